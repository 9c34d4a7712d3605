"""How the files of a run are called while it runs."""

from __future__ import annotations

RUN = "run.jsonl"  # its journal; what its worker processes write stands beside it
RUNNING = ".running-"  # in the name of its folder, between the name of the journal and a random one
