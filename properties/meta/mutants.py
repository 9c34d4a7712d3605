"""Wrong on purpose: one line of the backward or of the forward pass replaced, for each line that carries an equation.

``old`` occurs exactly once in the source; ``cells`` are those in which the line is live. ``apply`` gives the module
that the changed source makes.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import ModuleType

ALL = ("post", "NP", "V", "NIG", "NFG", "NOG", "NIAF", "NOAF", "CIFG", "FGR", "state_feedback")
PEEPHOLED = ("V", "NIG", "NFG", "NOG", "NIAF", "NOAF", "CIFG", "FGR")
FEEDS_H_BACK = tuple(name for name in ALL if name != "state_feedback")
TANH_OUTPUT = tuple(name for name in ALL if name not in ("post", "NOAF"))


def without(*names: str, of: tuple[str, ...] = ALL) -> tuple[str, ...]:
    return tuple(name for name in of if name not in names)


@dataclass(frozen=True)
class Mutant:
    equation: str
    what: str
    old: str
    new: str
    cells: tuple[str, ...] = ALL
    module: str = "backward"
    also: tuple[str, ...] = ()  # other equations that the line serves

    def apply(self, *others: Mutant) -> ModuleType:
        """The module with this line changed, and those of ``others``; the real module stays as it is."""
        name = f"bptt_check.lstm.{self.module}"
        source = Path(str(import_module(name).__file__)).read_text(encoding="utf-8")
        for mutant in (self, *others):
            if source.count(mutant.old) != 1:
                raise ValueError(
                    f"{mutant.old!r} occurs {source.count(mutant.old)} times in {name}; a mutant needs it once"
                )
            source = source.replace(mutant.old, mutant.new)
        changed = ModuleType(name)
        exec(compile(source, f"<{self.what}>", "exec"), changed.__dict__)
        return changed

    def __str__(self) -> str:
        return f"{self.equation}: {self.what}"


BACKWARD = (
    Mutant("B1", "carry dropped from dh", "dh = dl[t] + dh_next", "dh = dl[t] + 0 * dh_next", FEEDS_H_BACK),
    Mutant("B1", "loss fed at the last step alone", "dh = dl[t] + dh_next", "dh = dl[t] * (t == T) + dh_next"),
    Mutant("B1", "loss of the last step fed at every step", "dh = dl[t] + dh_next", "dh = dl[T] + dh_next"),
    Mutant("B2", "carry dropped from ds", "* dh + ds_next", "* dh"),
    Mutant(
        "B2",
        "output slope forgotten",
        "ds = o_slope[t]",
        "ds = trace.o[t]",
        TANH_OUTPUT,
    ),
    Mutant(
        "B2", "output gate forgotten", 'trace.over_time("o") * of_s.slope(s, a)', "of_s.slope(s, a)", without("NOG")
    ),
    Mutant("B2", "carry added before the slope", "* dh + ds_next", "* (dh + ds_next)", without("NOG", of=TANH_OUTPUT)),
    Mutant(
        "B2p",
        "peephole of o forgotten",
        'ds = ds + p["o"] * dz["o"]',
        "ds = ds + 0",
        without("NOG", of=PEEPHOLED),
    ),
    Mutant(
        "B3",
        "do from s in the place of a(s)",
        "a[t] * dh",
        "s[t] * dh",
        without("NOG", of=TANH_OUTPUT),
    ),
    Mutant("B3", "df from s(t)", 'handed_back("f", s[t - 1] * ds)', 'handed_back("f", s[t] * ds)', without("NFG")),
    Mutant("B3", "di from i", 'handed_back("i", g[t] * ds)', 'handed_back("i", i[t] * ds)', without("NIG")),
    Mutant("B3", "dg from g", "dg = i[t] * ds", "dg = g[t] * ds"),
    Mutant("B3c", "coupled gate forgotten", "di = di - df", "di = di", ("CIFG",)),
    Mutant("B3c", "coupled gate with the wrong sign", "di = di - df", "di = di + df", ("CIFG",)),
    Mutant("B4", "slope of o forgotten", 'dz["o"] = slope["o"][t] * do', 'dz["o"] = do', without("NOG")),
    Mutant(
        "B4",
        "slope of a gate applied twice",
        "dz[k] = slope[k][t] * dk",
        "dz[k] = slope[k][t] ** 2 * dk",
    ),
    Mutant(
        "B4",
        "slope of g of the wrong function",
        'dz["g"] = slope["g"][t] * dg',
        'dz["g"] = LOGISTIC.slope(trace.z["g"][t], g[t]) * dg',
    ),
    Mutant(
        "B5",
        "weights see the step before",
        "trace.seen(j, t) for t",
        "trace.seen(j, max(t - 1, 1)) for t",
    ),
    Mutant(
        "B5",
        "sum over time forgotten",
        "if by_step else flattened",
        "if by_step else (lambda a: a[..., 0, :, :])",
        also=("B6", "B5p"),
    ),
    Mutant("B6", "bias as a mean over the batch", "each.sum(axis=-2)", "each.sum(axis=-2) / dz_k.shape[-2]"),
    Mutant(
        "B6", "bias assigned, not summed", "each.sum(axis=-2)", "(each if by_step else dz_k[..., 0, :, :]).sum(axis=-2)"
    ),
    Mutant(
        "B7",
        "matrix transposed",
        "dz[k] @ W_kj",
        'dz[k] @ (W_kj if j != "h" else turned(W_kj))',
        FEEDS_H_BACK,
    ),
    Mutant("B7", "dx of one gate alone", "dx = dx + dz_k", "dx = dz_k"),
    Mutant("B7", "dh_next forgotten", 'dh_next = dx_c["h"] if', "dh_next = np.zeros_like(dh) if", FEEDS_H_BACK),
    Mutant(
        "B7r", "gates of the step before forgotten", "next_gate = {k: dx_c[k]", "next_gate = {k: 0 * dx_c[k]", ("FGR",)
    ),
    Mutant("B8", "forget gate left out of the carousel", "ds_next = ds * f[t]", "ds_next = ds", without("NFG")),
    Mutant(
        "B8", "forget gate of the step before", "ds_next = ds * f[t]", "ds_next = ds * f[t - 1]", without("NFG", "FGR")
    ),
    Mutant(
        "B8p",
        "peepholes of i and f forgotten",
        "ds_next = ds_next + p[k] * dz[k]",
        "ds_next = ds_next + 0",
        PEEPHOLED,
    ),
    Mutant("B8s", "memory seen by the gates forgotten", ' + dx_c["s"]', "", ("state_feedback",)),
    Mutant(
        "B5p",
        "peephole weights see s(t)",
        's = over_time(trace.s[1:] if k == "o" else trace.s[:-1])',
        "s = over_time(trace.s[1:])",
        PEEPHOLED,
    ),
    Mutant(
        "B5p",
        "peephole of o sees s(t−1)",
        's = over_time(trace.s[1:] if k == "o" else trace.s[:-1])',
        "s = over_time(trace.s[:-1])",
        without("NOG", of=PEEPHOLED),
    ),
    Mutant("B9", "ds0 is ds(1)", '"s0": ds_next}', '"s0": ds}', without("NFG")),
    Mutant("B9", "dh0 is dh(1)", '{"h0": dh_next', '{"h0": dh'),
)

FORWARD = (
    Mutant(
        "F1",
        "input of the step before",
        'return steps[t] if j == "x"',
        'return steps[max(t - 1, 1)] if j == "x"',
        FEEDS_H_BACK,
        "forward",
    ),
    Mutant(
        "F1s",
        "gates see s(t−1), t ≥ 2, one step late",
        "else steps[t - 1]",
        "else steps[max(t - 2, 0)]",
        ("state_feedback",),
        "forward",
    ),
    Mutant("F2", "x of the step before", "z_k = of_x[k][t]", "z_k = of_x[k][max(t - 1, 1)]", ALL, "forward"),
    Mutant("F2", "biases twice", "row(b_k) + x", "2 * row(b_k) + x", ALL, "forward"),
    Mutant(
        "F2p",
        "every peephole sees s(t−1)",
        's[t if k == "o" else t - 1]',
        "s[t - 1]",
        without("NOG", of=PEEPHOLED),
        "forward",
    ),
    Mutant(
        "F2r",
        "gates of step 0 in the place of t−1",
        "steps_j[t - 1] @ W_kj",
        "steps_j[0 if any(steps_j is one for one in (trace.i, trace.f, trace.o)) else t - 1] @ W_kj",
        ("FGR",),
        "forward",
    ),
    Mutant(
        "F3",
        "slope in the place of g",
        "input_activation(z_g)",
        "input_activation(2 * z_g)",
        ALL,
        "forward",
    ),
    *(
        Mutant(
            line,
            f"gate {k} of half the slope",
            "logistic(z_k)",
            f'logistic(z_k / (2 if k == "{k}" else 1))',
            without(lacks),
            "forward",
        )
        for line, k, lacks in (("F4", "i", "NIG"), ("F6", "o", "NOG"))
    ),
    Mutant(
        "F5",
        "gate f of half the slope",
        "logistic(z_k)",
        'logistic(z_k / (2 if k == "f" else 1))',
        without("NFG", "CIFG"),
        "forward",
    ),
    Mutant(
        "F4o",
        "an open gate at one half",
        "return np.ones_like(s[t - 1])",
        "return np.ones_like(s[t - 1]) / 2",
        ("NIG", "NFG", "NOG"),
        "forward",
    ),
    Mutant(
        "F5c",
        "coupled gate equal to i",
        'logistic(-z["i"][t]) - (trace.i[t] - logistic(z["i"][t]))',
        "trace.i[t]",
        ("CIFG",),
        "forward",
    ),
    Mutant("F7", "memory forgets nothing", "g * i + s[t - 1] * f)", "g * i + s[t - 1])", without("NFG"), "forward"),
    Mutant(
        "F8",
        "output of the gate alone",
        "output_activation(s_t) * o",
        "output_activation(s_t) * o * o",
        without("NOG"),
        "forward",
    ),
)

MUTANTS = (*BACKWARD, *FORWARD)
