"""The table of ways to go wrong: every equation of the backward pass, spoilt as people spoil it.

A row reads: name, the lines it strikes, what becomes of their text, what is wrong, why people write it. faults.py
applies the rows to the cells: to single lines, to all lines of a gate or of a source, and to all at once. What is met
most is marked ``common``.
"""

from __future__ import annotations

from bptt_check.faults import Way
from bptt_check.mistakes.carousel import CAROUSEL
from bptt_check.mistakes.gates import GATES
from bptt_check.mistakes.memory import MEMORY
from bptt_check.mistakes.output import CARRIES, LOSS
from bptt_check.mistakes.seen import ENDS, SEEN
from bptt_check.mistakes.slopes import SLOPES
from bptt_check.mistakes.sums import SUMS

WAYS: tuple[Way, ...] = (*LOSS, *CARRIES, *MEMORY, *GATES, *SLOPES, *SUMS, *SEEN, *CAROUSEL, *ENDS)
