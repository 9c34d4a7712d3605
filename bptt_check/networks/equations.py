"""The equations of networks as data: output layer, Elman's cell, gated recurrent unit, layers, directions.

They stand in docs/equations.md beside those of the LSTM. One property checks the backward ones: the lines made of them
give the derivative of the forward ones.
"""

from __future__ import annotations

from bptt_check.equations import ENTRIES, Entry

OUTPUT = "Karpathy, min-char-rnn (2015), for the form; Bridle 1990 for softmax and cross-entropy"
ELMAN = "Elman, Finding structure in time, Cognitive Science 1990"
CHO = "Cho et al., arXiv:1406.1078; reset after the product: cuDNN, after Chung et al., arXiv:1412.3555"
STACKED = "Graves et al., arXiv:1303.5778"
SCHUSTER = "Schuster & Paliwal, Bidirectional recurrent neural networks, 1997"
CHECKED = ("properties/test_networks.py::test_the_lines_of_a_network_differentiate_what_it_computes",)


def _forward(name: str, title: str, formula: str, source: str) -> Entry:
    return Entry(name, "network, forward", title, formula, source, CHECKED)


def _backward(name: str, title: str, formula: str, source: str, mirrors: str) -> Entry:
    return Entry(name, "network, backward", title, formula, source, CHECKED, tuple(mirrors.split()))


NETWORK_ENTRIES: tuple[Entry, ...] = (
    _forward("F9", "output layer", "y(t) = W_yh h(t) + b_y,  l(t) = scale · ℓ(y(t), target(t))", OUTPUT),
    _backward(
        "B10",
        "derivative of the outputs",
        "dy(t) = ∂l(t)/∂y(t),  p − target for softmax and cross-entropy,  2 (y − target) for the squared error",
        OUTPUT,
        "F9",
    ),
    _backward("B11", "output weights", "dW_yh = Σ_t dy(t)ᵀ h(t),  db_y = Σ_t dy(t)", OUTPUT, "F9"),
    _backward("B12", "what the output layer hands down", "∂l(t)/∂h(t) = dy(t) W_yh", OUTPUT, "F9"),
    _forward("E1", "pre-activation", "z_h(t) = W_hx x(t) + W_hh h(t−1) + b_h", ELMAN),
    _forward("E2", "output", "h(t) = tanh(z_h(t)),  or max(z_h(t), 0)", ELMAN),
    _backward("E3", "through the activation", "dz_h = (1 − h²) ⊙ dh", ELMAN, "E2"),
    _forward("G1", "update gate", "u(t) = σ(W_ux x(t) + W_uh h(t−1) + b_u)", CHO),
    _forward("G2", "reset gate", "r(t) = σ(W_rx x(t) + W_rh h(t−1) + b_r)", CHO),
    _forward(
        "G3",
        "candidate",
        "n(t) = tanh(W_nx x(t) + b_n + W_nh q(t)),  q(t) = r(t) ⊙ h(t−1);  reset after the product: "
        "n(t) = tanh(W_nx x(t) + b_n + r(t) ⊙ q(t)),  q(t) = W_nh h(t−1) + c_n",
        CHO,
    ),
    _forward("G4", "output", "h(t) = u ⊙ h(t−1) + (1−u) ⊙ n,  or with u and 1 − u exchanged", CHO),
    _backward("G5", "derivatives of candidate and update gate", "dn = (1−u) ⊙ dh,  du = (h(t−1) − n) ⊙ dh", CHO, "G4"),
    _backward(
        "G6", "through the activations", "dz_n = (1−n²) ⊙ dn,  dz_k = k ⊙ (1−k) ⊙ dk  for k = u, r", CHO, "G1 G2 G3"
    ),
    _backward(
        "G7",
        "through the reset",
        "dq = dz_n W_nh,  dr = h(t−1) ⊙ dq;  reset after the product: dq = r ⊙ dz_n,  dr = q ⊙ dz_n",
        CHO,
        "G3",
    ),
    _backward(
        "G8",
        "carry",
        "dh_next = u ⊙ dh + r ⊙ dq + dz_u W_uh + dz_r W_rh,  with dq W_nh for r ⊙ dq where the reset comes after",
        CHO,
        "G1 G2 G3 G4",
    ),
    _backward(
        "G9",
        "recurrent weights of the candidate",
        "dW_nh = Σ_t dz_nᵀ (r ⊙ h(t−1));  reset after the product: dW_nh = Σ_t dqᵀ h(t−1),  dc_n = Σ_t dq",
        CHO,
        "G3",
    ),
    _backward("N1", "from layer to layer", "∂l(t)/∂h(t) of a layer = dx(t) of the one above", STACKED, "F1"),
    _backward(
        "N2",
        "two directions, one output layer",
        "h(t) = [h_f(t), h_b(T+1−t)]:  each gets its half of ∂l/∂h, h_b in its own order of time",
        SCHUSTER,
        "F9",
    ),
    _backward("N3", "two directions, one input", "dx(t) = dx_f(t) + dx_b(T+1−t)", SCHUSTER, "F1"),
)


def entry_of(name: str) -> Entry:
    """The equation of that id, of a cell or of a network. Raises ``KeyError`` where there is none."""
    return {entry.id: entry for entry in (*ENTRIES, *NETWORK_ENTRIES)}[name]
