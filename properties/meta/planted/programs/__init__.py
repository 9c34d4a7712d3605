"""Backward passes as users write them, right as they stand; the planted faults are edits of their source."""
