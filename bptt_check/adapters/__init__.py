"""Backward passes written for other libraries, as subjects: PyTorch, JAX, and compiled C.

Each module imports its library when a subject is made, and names the extra that brings it where it is missing.
"""
