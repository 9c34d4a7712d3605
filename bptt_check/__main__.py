"""``python -m bptt_check`` is the command ``bptt-check``."""

from bptt_check.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
