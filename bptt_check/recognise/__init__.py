"""Which cell of the family a user's recurrent subject is, found by comparing what both compute.

>>> from bptt_check import Subject
>>> from bptt_check.recognise import recognise
>>> subject = Subject.from_variant("CIFG", T=3, B=2, D=2, H=2)
>>> recognise(subject).variant
<cell CIFG>
"""

from bptt_check.recognise.record import Recognised as Recognised
from bptt_check.recognise.search import recognise as recognise
