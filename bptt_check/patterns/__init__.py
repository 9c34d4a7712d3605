"""What the numbers of a wrong gradient say by themselves: all its blocks side by side, no model of the recurrence.

A mistake makes something particular of a right gradient: its negative, its transpose, a sum that lacks a step. Each
module here makes such guesses; a guess that the numbers bear out, to rounding and beyond chance, is a pattern.
"""

from bptt_check.patterns.ranking import KINDS as KINDS
from bptt_check.patterns.ranking import REGIONS as REGIONS
from bptt_check.patterns.ranking import Pattern as Pattern
from bptt_check.patterns.ranking import patterns as patterns
from bptt_check.patterns.regions import steps_in_words as steps_in_words
from bptt_check.patterns.where import Place as Place
from bptt_check.patterns.where import Where as Where
from bptt_check.patterns.where import where as where
