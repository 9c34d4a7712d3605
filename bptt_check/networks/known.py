"""A subject whose network is known, in the terms of that network: its lines, its mistakes, its right gradient."""

from __future__ import annotations

from collections.abc import Mapping

from bptt_check.faults import Fault
from bptt_check.known import Known
from bptt_check.matching import Matching
from bptt_check.networks.record import RecognisedNetwork
from bptt_check.networks.stages import Chain
from bptt_check.program import END
from bptt_check.subject import Array, Subject


class KnownNetwork(Known):
    """A subject whose network is known; what a cell returns for intermediates is not looked at."""

    recognised: RecognisedNetwork

    def __init__(self, subject: Subject, recognised: RecognisedNetwork, gradient: Mapping[str, Array]) -> None:
        self.chain_of_lines = recognised.chain(subject.point)
        super().__init__(subject, recognised, gradient)

    def _seen(self) -> Matching:
        observed = {f"d{name}": array for name, array in self.ends.items()}
        return Matching(self.chain_of_lines, observed, eps=self.eps)

    @property
    def faults(self) -> tuple[Fault, ...]:
        """Every mistake that is known of such a network, but for what the harness does where it unrolls a cell."""
        faults = self.recognised.faults
        if not any(name.startswith("next ") for name in self.subject.interventions):
            return faults
        ends = {line.target for line in self.chain_of_lines.lines if line.kind == END}
        return tuple(f for f in faults if all(target != "dh" and target not in ends for target, _ in f.changes))

    def _lines(self) -> Chain:
        return self.chain_of_lines
