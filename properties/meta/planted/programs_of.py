"""From the programs' source to subjects: a fault is an edit of the source, and what is tested is a whole program."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from bptt_check import Subject
from planted.case import Array, Gradient, Point

HOME = Path(__file__).parent / "programs"
Edit = tuple[str, str]


@cache
def source(program: str) -> str:
    """The text of a program."""
    return (HOME / f"{program}.py").read_text(encoding="utf-8")


def edited(program: str, edits: tuple[Edit, ...]) -> str:
    """The source with each edit made; each must apply at exactly one place."""
    text = source(program)
    for old, new in edits:
        if text.count(old) != 1:
            raise ValueError(f"{program}: {old!r} occurs {text.count(old)} times")
        text = text.replace(old, new)
    return text


def run(program: str, edits: tuple[Edit, ...] = ()) -> dict[str, Any]:
    """The namespace of an edited program, fresh each time."""
    module: dict[str, Any] = {}
    exec(compile(edited(program, edits), f"<{program}>", "exec"), module)
    return module


@dataclass(frozen=True)
class Spec:
    """Shapes and sizes of one drawn problem. ``scale`` multiplies the weights, ``inputs`` the inputs."""

    program: str
    T: int
    B: int
    D: int
    H: int
    seed: int
    scale: float = 1.0
    inputs: float = 1.0
    form: str = "functions"
    loss: str = "euclidean"
    kind: Any = np.float64
    loss_factor: float = 1.0
    loss_offset: float = 0.0
    zero: tuple[str, ...] = ()
    replaced: dict[str, Array] = field(default_factory=dict)

    def draw(self) -> tuple[dict[str, Array], Any]:
        """Point and targets."""
        rng = np.random.default_rng(self.seed)
        T, B, D, H = self.T, self.B, self.D, self.H
        outputs = 3
        if self.program == "stacked":
            shapes = {"W": (4 * H, D + H), "b": (4 * H,), "V": (outputs, H), "c": (outputs,)}
            y: Any = rng.uniform(-1, 1, (T, B, outputs)).astype(self.kind)
        else:
            shapes = {}
            for k in "gifo":
                shapes |= {f"W{k}": (D, H), f"U{k}": (H, H), f"b{k}": (H,)}
            shapes |= {"Wy": (H, outputs), "by": (outputs,)}
            y = rng.integers(outputs, size=(T, B))
        point = {k: self.scale * rng.normal(size=s) / (np.sqrt(D + H) if len(s) > 1 else 1) for k, s in shapes.items()}
        point |= {"x": self.inputs * rng.normal(size=(T, B, D)), "h0": np.tanh(rng.normal(size=(B, H)))}
        point |= {"s0": rng.normal(size=(B, H))}
        point |= {k: np.zeros_like(point[k]) for k in self.zero}
        point |= self.replaced
        return {k: a.astype(self.kind) for k, a in point.items()}, y


def make(spec: Spec, edits: tuple[Edit, ...] = ()) -> Subject:
    """The subject of a program, edited, in the form that ``spec`` asks for."""
    if spec.program == "peephole":
        cell = run("peephole", edits)["Cell"]
        return scaled(
            Subject.from_cell(cell, T=spec.T, B=spec.B, D=spec.D, H=spec.H, loss=spec.loss, rng=spec.seed),
            spec.loss_factor,
        )
    point, y = spec.draw()
    module = run(spec.program, edits)
    factor, offset = (spec.kind(v) for v in (spec.loss_factor, spec.loss_offset))
    plain = factor == 1 and offset == 0

    def forward(p: Point) -> tuple[Any, Any]:
        loss, cache = module["forward"](p, y)
        return (loss if plain else factor * loss + offset), cache

    def backward(cache: Any) -> dict[str, Array]:
        gradient = module["backward"](cache)
        return gradient if plain else {k: factor * a for k, a in gradient.items()}

    def loss(p: Point) -> Any:
        return forward(p)[0]

    def gradient(p: Point) -> dict[str, Array]:
        return backward(forward(p)[1])

    name = f"{spec.program} {spec.T}x{spec.B}x{spec.D}x{spec.H}"
    if spec.form == "forward_backward":
        return Subject.from_forward_backward(forward, backward, point, name=name)
    if spec.form == "value_and_gradient":
        return Subject.from_value_and_gradient(lambda p: (loss(p), gradient(p)), point, name=name)
    return Subject.from_functions(loss, gradient, point, name=name)


def scaled(subject: Subject, factor: float) -> Subject:
    """The same subject with its loss, and so every gradient, times ``factor``."""
    if factor == 1:
        return subject
    return replace(
        subject,
        loss_at=lambda p: factor * subject.loss_at(p),
        gradient_at=lambda p: {k: factor * np.asarray(a) for k, a in subject.gradient_at(p).items()},
        pair=None,
    )


def right_gradient(spec: Spec, edits: tuple[Edit, ...] = ()) -> Gradient:
    """The gradient of the program as it stands, or with ``edits`` that keep it right."""
    return make(spec, edits).gradient_at


def spoil(subject: Subject, name: str, index: tuple[int, ...], factor: float) -> Subject:
    """The same subject with one entry of one gradient multiplied."""

    def spoilt(gradient: Any) -> Any:
        gradient = {k: np.array(a) for k, a in gradient.items()}
        gradient[name][index] *= factor
        return gradient

    pair = None if subject.pair is None else (subject.pair[0], lambda cache: spoilt(subject.pair[1](cache)))
    return replace(subject, gradient_at=lambda p: spoilt(subject.gradient_at(p)), pair=pair)


def unsafe(subject: Subject) -> Subject:
    """The same subject with a loss that is computed in float64 whatever it is given, as compiled code does."""

    def as_float64(p: Any) -> dict[str, Any]:
        if any(np.iscomplexobj(a) for a in p.values()):
            raise TypeError("cannot cast complex to double")
        return {k: np.asarray(a, dtype=np.float64) for k, a in p.items()}

    return replace(
        subject,
        loss_at=lambda p: float(subject.loss_at(as_float64(p))),
        gradient_at=lambda p: subject.gradient_at(as_float64(p)),
        pair=None,
    )
