"""The cells of the family as frozen records. The engine reads a record; no class is subclassed to change one line.

Greff et al., *LSTM: A Search Space Odyssey* (arXiv:1503.04069), define the vanilla cell V and eight cells that each
differ from it in one thing. The cell of the "Simple LSTM" post (N. Jimenez, 2014) is V without peepholes and without
output activation. The cell whose gates see the memory in place of the output is the peephole form of the encyclopaedia
article on the LSTM.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum
from functools import cached_property


class Gate(Enum):
    """What a gate is computed from."""

    LEARNED = "σ(z), z affine in what the gate sees"
    OPEN = "1, no parameters"
    COUPLED = "1 − i, no parameters (forget gate only)"


@dataclass(frozen=True, repr=False)
class Variant:
    """One cell of the family: which gates it has, what they see, which activations it applies.

    ``source`` names the publication that defines it. ``feedback`` is the array of step t−1 that the gates see: ``"h"``
    or ``"s"``. With ``"s"`` the candidate g sees x(t) alone.
    """

    name: str
    source: str
    input_activation: str = "tanh"
    output_activation: str = "tanh"
    input_gate: Gate = Gate.LEARNED
    forget_gate: Gate = Gate.LEARNED
    output_gate: Gate = Gate.LEARNED
    peepholes: bool = True
    gate_recurrence: bool = False
    feedback: str = "h"

    def __repr__(self) -> str:
        return f"<cell {self.name}>"

    def gate(self, k: str) -> Gate:
        """How gate ``k`` (``"i"``, ``"f"`` or ``"o"``) is computed."""
        return {"i": self.input_gate, "f": self.forget_gate, "o": self.output_gate}[k]

    @cached_property
    def gates(self) -> tuple[str, ...]:
        """The gates with parameters of their own, in forward order."""
        return tuple(k for k in ("i", "f", "o") if self.gate(k) is Gate.LEARNED)

    @cached_property
    def blocks(self) -> tuple[str, ...]:
        """Everything that has a pre-activation z_k: the candidate g and the learned gates."""
        return ("g", *self.gates)

    @cached_property
    def peepholed(self) -> tuple[str, ...]:
        """The gates that have a peephole weight p_k."""
        return self.gates if self.peepholes else ()

    def sees(self, k: str) -> tuple[str, ...]:
        """The parts of x_c(t) that block ``k`` reads (F1): x(t), and from step t−1 h or s, and gates for FGR."""
        if k == "g" and self.feedback == "s":
            return ("x",)  # F1, state feedback
        gates = ("i", "f", "o") if self.gate_recurrence and k != "g" else ()  # F2, FGR
        return ("x", self.feedback, *gates)


_GREFF = "Greff et al., LSTM: A Search Space Odyssey, arXiv:1503.04069"
_POST = "N. Jimenez, Simple LSTM, 2014; notation of Lipton, arXiv:1506.00019"
_FEEDBACK = "the peephole form of the encyclopaedia article on the LSTM, after Gers & Schmidhuber 2000"

V = Variant("V", f"{_GREFF}: vanilla")
NIG = replace(V, name="NIG", source=f"{_GREFF}: no input gate", input_gate=Gate.OPEN)
NFG = replace(V, name="NFG", source=f"{_GREFF}: no forget gate", forget_gate=Gate.OPEN)
NOG = replace(V, name="NOG", source=f"{_GREFF}: no output gate", output_gate=Gate.OPEN)
NIAF = replace(V, name="NIAF", source=f"{_GREFF}: no input activation function", input_activation="identity")
NOAF = replace(V, name="NOAF", source=f"{_GREFF}: no output activation function", output_activation="identity")
CIFG = replace(V, name="CIFG", source=f"{_GREFF}: coupled input and forget gate", forget_gate=Gate.COUPLED)
NP = replace(V, name="NP", source=f"{_GREFF}: no peepholes; the common LSTM", peepholes=False)
FGR = replace(V, name="FGR", source=f"{_GREFF}: full gate recurrence", gate_recurrence=True)
POST = replace(NP, name="post", source=_POST, output_activation="identity")
STATE_FEEDBACK = replace(NP, name="state_feedback", source=_FEEDBACK, feedback="s")

VARIANTS: tuple[Variant, ...] = (POST, NP, V, NIG, NFG, NOG, NIAF, NOAF, CIFG, FGR, STATE_FEEDBACK)


def variant_named(name: str) -> Variant:
    """The cell of that name.

    Raises
    ------
    ValueError
        Where there is none; the message lists the names.
    """
    for variant in VARIANTS:
        if variant.name == name:
            return variant
    raise ValueError(f"no cell is named {name!r}; the cells are {', '.join(v.name for v in VARIANTS)}")
