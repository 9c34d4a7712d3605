"""What stands behind the pytest plugin. No mathematics; NumPy and Hypothesis only where a test has asked for them."""
