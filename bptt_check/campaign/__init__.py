"""Many cases: frozen cases, a pure function from a case to its record, and runs that keep what they find."""
