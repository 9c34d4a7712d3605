"""A matrix is not transposed. Whh is square, so that nothing breaks. At T = 1 only dhprev is wrong."""

from twin import changed

global_arrays = changed(
    "global_arrays.py",
    right="dhnext = Whh.T @ dz",
    wrong="dhnext = Whh @ dz",
)
subject = global_arrays.subject
