"""How the files of a run are called while it runs, and after the next one."""

from __future__ import annotations

RUN = "run.jsonl"  # its journal; what its worker processes write stands beside it
RUNNING = ".running-"  # in the name of its folder, between the name of the journal and a random one
PREVIOUS = ".previous"  # at the end of the name of a journal, before its suffix, that a later run has taken over
