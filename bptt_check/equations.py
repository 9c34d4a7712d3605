"""Every equation and law, as data: id, formula, source, and the property that checks it.

docs/equations.md explains them. The ids are this project's own. A letter behind a number marks the line of a variant:
p peepholes, r gate recurrence, c coupled gates, o open gates, s state feedback. L6 has four readings, a to d, of which
two are true.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from bptt_check.lstm.variants import Gate, Variant

LIPTON = "Lipton et al., arXiv:1506.00019"
POST = "N. Jimenez, Simple LSTM, 2014"
GREFF = "Greff et al., arXiv:1503.04069"
GERS = "Gers & Schmidhuber 2000"
OURS = "follows from B1–B9"

LAWS = "properties/test_laws.py::"
HOLDS = LAWS + "test_the_two_sides_agree"
FALSE = LAWS + "test_a_false_reading_is_not_the_gradient"
LOCAL = "properties/test_local.py::test_each_backward_line_differentiates_the_forward_line_that_it_mirrors"
BY_HAND = "properties/test_by_hand.py::test_two_steps_of_the_{}_cell_are_those_worked_out_by_hand"


@dataclass(frozen=True)
class Entry:
    """One equation or law.

    ``kind``: forward, loss, backward, variant, law or reading. ``mirrors``: the forward lines that a backward line
    differentiates. ``properties``: the tests that check it, by node id, most telling first. ``holds``: false for what
    is kept because it is *not* an equation (two readings of L6).
    """

    id: str
    kind: str
    title: str
    formula: str
    source: str
    properties: tuple[str, ...] = ()
    mirrors: tuple[str, ...] = ()
    holds: bool = field(default=True)

    @property
    def mathml(self) -> str:
        """The formula typeset for a browser."""
        from bptt_check.mathml import mathml

        return mathml(self.formula)


@dataclass(frozen=True)
class Behind:
    """The equations behind a block: its ``own``, and those of what step t+1 hands back to it, ``carried``."""

    own: tuple[str, ...]
    carried: tuple[str, ...] = ()

    def at(self, t: int | None, T: int) -> tuple[str, ...]:
        """The equations at step t: nothing is handed back at t = T, and nothing else at t = 0."""
        if t == 0:
            return (*self.carried, *self.own)
        return self.own if t in (None, T) else (*self.own, *self.carried)


def _forward(name: str, title: str, formula: str, source: str = f"{LIPTON}; {POST}") -> Entry:
    by_hand = (BY_HAND.format("post"), BY_HAND.format("common"))
    return Entry(name, "forward", title, formula, source, (f"{HOLDS}[{name}]", *by_hand))


def _loss(name: str, title: str, formula: str) -> Entry:
    return Entry(name, "loss", title, formula, f"{POST}: the loss of a sequence", (f"{HOLDS}[{name}]",))


def _reading(name: str, title: str, formula: str, *, holds: bool) -> Entry:
    node = f"{HOLDS if holds else FALSE}[{name}]"
    return Entry(name, "reading", title, formula, f"{POST}: dL/dw as displayed", (node,), holds=holds)


def _backward(name: str, title: str, formula: str, mirrors: str, *laws: str) -> Entry:
    properties = (LOCAL, *(f"{HOLDS}[{law}]" for law in laws), BY_HAND.format("post"), BY_HAND.format("common"))
    return Entry(name, "backward", title, formula, f"{POST}: its backward pass", properties, tuple(mirrors.split()))


def _variant(name: str, title: str, formula: str, source: str, mirrors: str = "") -> Entry:
    node = LOCAL if mirrors else f"{HOLDS}[{name}]"
    return Entry(name, "variant", title, formula, source, (node,), tuple(mirrors.split()))


def _law(name: str, title: str, formula: str) -> Entry:
    return Entry(name, "law", title, formula, OURS, (f"{HOLDS}[{name}]",))


ENTRIES: tuple[Entry, ...] = (
    _forward("F1", "what every block sees", "x_c(t) = [x(t), h(t−1)]"),
    _forward("F2", "pre-activation", "z_k(t) = W_k x_c(t) + b_k  for k = g, i, f, o,  W_k = [W_kx, W_kh]"),
    _forward("F3", "candidate", "g(t) = φ(z_g(t)),  φ = tanh  (NIAF: g = z_g)"),
    _forward("F4", "input gate", "i(t) = σ(z_i(t))"),
    _forward("F5", "forget gate", "f(t) = σ(z_f(t))"),
    _forward("F6", "output gate", "o(t) = σ(z_o(t))"),
    _forward("F7", "memory", "s(t) = g(t) ⊙ i(t) + s(t−1) ⊙ f(t)"),
    _forward("F8", "output", "h(t) = a(s(t)) ⊙ o(t),  a = tanh  (post, NOAF: a(s) = s)"),
    _loss("L1", "loss of a step", "l(t) = ℓ(h(t), y(t)),  such as ‖h(t) − y(t)‖²"),
    _loss("L2", "loss of the sequence", "L = Σ_t l(t)"),
    _loss("L3", "loss from step t on", "L(t) = Σ_{u≥t} l(u),  L(1) = L"),
    _loss("L4", "loss, step by step", "L(t) = l(t) + L(t+1),  L(T) = l(T)"),
    _loss("L5", "the past stays as it was", "∂l(u)/∂h(t) = 0  for u < t"),
    _reading("L6a", "∂h(t)/∂w in total: overcounts", "dL/dw ≠ Σ_t Σ_i dL(t)/dh_i(t) · dh_i(t)/dw", holds=False),
    _reading(
        "L6b",
        "h(t−1) and s(t−1) held: the path through s alone is lost",
        "dL/dw ≠ Σ_t Σ_i dL(t)/dh_i(t) · ∂h_i(t)/∂w  with h(t−1), s(t−1) held",
        holds=False,
    ),
    _reading(
        "L6c",
        "earlier h held, s running on: exact",
        "dL/dw = Σ_t Σ_i dL(t)/dh_i(t) · ∂h_i(t)/∂w  with h(u) held for u < t",
        holds=True,
    ),
    _reading(
        "L6d", "loss of the step, ∂h(t)/∂w in total: exact", "dL/dw = Σ_t Σ_i ∂l(t)/∂h_i(t) · dh_i(t)/dw", holds=True
    ),
    _backward("B1", "derivative of the output", "dh(t) = ∂l(t)/∂h(t) + dh_next,  dh_next = 0 at t = T", "L4", "P7"),
    _backward(
        "B2", "derivative of the memory", "ds(t) = o(t) ⊙ a′(s(t)) ⊙ dh(t) + ds_next,  ds_next = 0 at t = T", "F8 F7"
    ),
    _backward(
        "B3",
        "derivatives of candidate and gates",
        "do(t) = a(s(t)) ⊙ dh(t),  di(t) = g(t) ⊙ ds(t),  dg(t) = i(t) ⊙ ds(t),  df(t) = s(t−1) ⊙ ds(t)",
        "F8 F7",
    ),
    _backward(
        "B4",
        "through the activations",
        "dz_k = k ⊙ (1−k) ⊙ dk  for k = i, f, o,  dz_g = (1−g²) ⊙ dg  (NIAF: dz_g = dg)",
        "F3 F4 F5 F6",
    ),
    _backward("B5", "weights", "dW_k = Σ_t dz_k(t)ᵀ x_c(t)", "F2", "P1", "P3"),
    _backward("B6", "biases", "db_k = Σ_t Σ_b dz_k(t)", "F2", "P1", "P3"),
    _backward(
        "B7", "what the blocks saw", "dx_c(t) = [dx(t), dh_next] = Σ_k dz_k(t) W_k  with dh_next for t−1", "F1 F2", "P2"
    ),
    _backward("B8", "constant error carousel", "ds_next = ds(t) ⊙ f(t)  for t−1", "F7", "P2"),
    _backward("B9", "initial states", "dh_0 = dh_next,  ds_0 = ds_next  as handed on past t = 1", "F1 F7", "P2"),
    _variant(
        "F2p",
        "peepholes",
        "z_i += p_i ⊙ s(t−1),  z_f += p_f ⊙ s(t−1),  z_o += p_o ⊙ s(t)",
        f"{GERS}; {GREFF}: vanilla",
    ),
    _variant(
        "F2r",
        "full gate recurrence",
        "z_k += W_ki i(t−1) + W_kf f(t−1) + W_ko o(t−1)  for k = i, f, o",
        f"{GREFF}: FGR",
    ),
    _variant("F1s", "state feedback", "x_c(t) = [x(t), s(t−1)]  for i, f, o,  x_c(t) = x(t)  for g", GERS),
    _variant(
        "F4o", "a gate that is open", "i(t) = 1  (NIG),  f(t) = 1  (NFG),  o(t) = 1  (NOG)", f"{GREFF}: NIG, NFG, NOG"
    ),
    _variant("F5c", "coupled gates", "f(t) = 1 − i(t)", f"{GREFF}: CIFG"),
    _variant("B2p", "peephole of the output gate", "ds(t) += p_o ⊙ dz_o(t)", f"{GREFF}: vanilla", "F2p"),
    _variant("B3c", "coupled gates", "di(t) = g(t) ⊙ ds(t) − df(t) = (g(t) − s(t−1)) ⊙ ds(t)", f"{GREFF}: CIFG", "F5c"),
    _variant(
        "B5p",
        "peephole weights",
        "dp_i = Σ_t dz_i ⊙ s(t−1),  dp_f = Σ_t dz_f ⊙ s(t−1),  dp_o = Σ_t dz_o ⊙ s(t)",
        f"{GREFF}: vanilla",
        "F2p",
    ),
    _variant("B7r", "gates of the step before", "dj(t) += Σ_k dz_k(t+1) W_kj  for j = i, f, o", f"{GREFF}: FGR", "F2r"),
    _variant("B8p", "peepholes, a step back", "ds_next += p_i ⊙ dz_i(t) + p_f ⊙ dz_f(t)", f"{GREFF}: vanilla", "F2p"),
    _variant("B8s", "state feedback", "ds_next += Σ_k dz_k(t) W_ks,  dh_next = 0", GERS, "F1s"),
    _law("P1", "additive over time", "dW = Σ_t dW(t),  dW(t) with W changed at step t alone"),
    _law("P2", "splitting", "dh_next and ds_next handed across any cut: the same gradients"),
    _law("P3", "additive over the batch", "dW = Σ_b dW of sequence b"),
    _law("P4", "linear", "G(αu + βv) = α G(u) + β G(v)  for u, v = ∂l/∂h"),
    _law("P5", "permutation", "renumber the memory cells: every gradient is renumbered with them"),
    _law("P6", "adjointness", "⟨u, J v⟩ = ⟨Jᵀ u, v⟩"),
    _law("P7", "boundary", "dh(T) = ∂l(T)/∂h(T)"),
    _law("P8", "nothing in, nothing out", "∂l/∂h = 0:  every gradient = 0"),
    _law("P9", "conservative", "⟨a, dG(b)⟩ = ⟨b, dG(a)⟩"),
    _law("P10", "truncation", "forgetting after every k steps = dL/dw with the state held at the cuts"),
    _law("P11", "masking", "masking the steps after t = cutting them off"),
    _law("P12", "precision", "float32 = float64 to the rounding of float32"),
    Entry(
        "P13",
        "law",
        "saturated gates",
        "1 − σ(z) = σ(−z),  1 − tanh²(z) = 4 σ(2z) σ(−2z)  to relative accuracy",
        "identities of σ and tanh",
        (f"{HOLDS}[P13]", LAWS + "test_a_saturated_gate_keeps_its_relative_accuracy"),
    ),
)


def behind_each(cell: Variant, weights: Iterable[str]) -> dict[str, Behind]:
    """Which equations stand behind each block of a cell of the family, its variant's lines included."""
    peepholes, memory = bool(cell.peepholed), cell.feedback == "s"
    gates = ("B7r",) if cell.gate_recurrence else ()
    named = {f"z_{k}(t)": Behind(("B4",)) for k in cell.blocks}
    named |= {f"{k}(t)": Behind(("B3",), gates) for k in ("i", "f", "o")} | {"g(t)": Behind(("B3",))}
    if cell.forget_gate is Gate.COUPLED:
        named["i(t)"] = Behind(("B3", "B3c"), gates)
    for name in weights:
        named[name] = Behind(("B6",) if name.startswith("b_") else ("B5p",) if name.startswith("p_") else ("B5",))
    output, carry = ("B7", "B8s") if memory else ("B7",), ("B8", *("B8s",) * memory, *("B8p",) * peepholes)
    named |= {"h(t)": Behind(("B1",), output), "s(t)": Behind(("B2", *("B2p",) * ("o" in cell.peepholed)), carry)}
    named |= {"h0": Behind(("B9",), output), "s0": Behind(("B9",), carry), "x": Behind(("B7",))}
    return named | {f"{k}0": Behind(("B9",), gates) for k in ("i", "f", "o")}
