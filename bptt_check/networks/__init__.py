"""Which network a subject is, where it is more than a bare cell of the LSTM family, and what goes wrong in it.

An output layer and a loss, layers above each other, two directions, Elman's cell, GRUs: found by comparing what the
subject shows with what such a network shows, then held against the known mistakes of its backward pass.
"""

from bptt_check.networks.known import KnownNetwork as KnownNetwork
from bptt_check.networks.record import RecognisedNetwork as RecognisedNetwork
from bptt_check.networks.search import recognise_network as recognise_network
