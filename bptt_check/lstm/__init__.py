"""The papers: the LSTM family, its forward pass, its hand-derived backward pass, its losses. NumPy only."""
