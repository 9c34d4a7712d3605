"""The known mistakes of hand-derived backpropagation through time, as data.

A *way* is how people go wrong: which lines it strikes, what becomes of their text, what it is called, and why it
happens; the tables of ways follow the equations, one file each. A *fault* is a way applied to lines of one cell; it can
be run (program.py), and the gradient that comes out is the one that somebody gets who makes that mistake.

*Slips* are what has no reason: one name taken for another, a factor or term too many or left out, in any one line. They
are made where the catalogue has nothing.

The list comes from reading some seventy public hand-written backward passes, and from spoiling every line of every cell
in each of these ways.
"""

from bptt_check.faults.catalogue import WAYS as WAYS
from bptt_check.faults.catalogue import catalogue as catalogue
from bptt_check.faults.catalogue import faults_of as faults_of
from bptt_check.faults.catalogue import of_states_handed_out as of_states_handed_out
from bptt_check.faults.fault import Fault as Fault
from bptt_check.faults.fault import Way as Way
from bptt_check.faults.named import fault_named as fault_named
from bptt_check.faults.slips import slips as slips
