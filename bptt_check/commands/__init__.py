"""The commands of ``bptt-check``, a family a file: ``add`` declares them, and each has a function that runs it."""
