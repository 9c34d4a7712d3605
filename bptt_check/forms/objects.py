"""Objects with state: parameters in attributes, gradients left in attributes, or weights updated inside.

Every call gets a fresh object from ``make``, its parameters set to the point, so that nothing is carried from one call
to the next. A constructor that draws from the global random generators draws alike each time.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from bptt_check.errors import BpttCheckError, SubjectError, SubjectFailed
from bptt_check.forms.declared import declared_loss
from bptt_check.forms.layout import Arrangement, Layout
from bptt_check.forms.nested import flatten
from bptt_check.forms.places import Place, place_of
from bptt_check.lstm.losses import Loss
from bptt_check.points import Array, Point, copied, named
from bptt_check.recurrence import of_loss
from bptt_check.subject import Subject
from bptt_check.watch import seeded, undisturbed

LARGE_RATE = 2.0**20  # with it, w − lr·g carries g to full precision
PROBE_WIDTH = 1e-3  # relative width of the move that shows how an object takes new parameters


@dataclass(frozen=True)
class Objects:
    """Fresh objects with given parameters.

    ``in_place``: names of the parameters that are written into the object's own arrays (other parts of it share
    them), which keep their types; the others are replaced, and may be of any type.
    """

    make: Callable[[], Any]
    places: Mapping[str, Place]
    arranged: Arrangement
    in_place: frozenset[str] = frozenset()

    def fresh(self, point: Point) -> Any:
        """A new object at ``point``."""
        with seeded():
            obj = self.make()
        given = self.arranged.given(point)
        for name, place in self.places.items():
            if name in self.in_place:
                _write(place.get(obj), given[name], name)
            elif place.set is not None:
                place.set(obj, given[name])
        return obj

    def read(self, obj: Any) -> dict[str, Any]:
        """The object's parameters in the user's form."""
        return {name: place.get(obj) for name, place in self.places.items()}


def _write(target: Any, value: Any, name: str) -> None:
    """Into the object's own arrays, leaf by leaf."""
    _write_leaves(target, flatten(value), name)


def _write_leaves(target: Any, leaves: Mapping[str, Array], name: str) -> None:
    for key, into in flatten(target).items():
        if not isinstance(into, np.ndarray):
            raise SubjectError(f"parameter {name} is a {type(into).__name__}, which cannot be written in place")
        leaf = leaves[key]
        if leaf.dtype.kind != into.dtype.kind or leaf.dtype.itemsize > max(into.dtype.itemsize, 8):
            raise SubjectError(f"the object shares its array {name} with other parts, and it holds {into.dtype} only")
        into[...] = leaf


def places_of(wheres: Any, what: str, *, settable: bool) -> dict[str, Place]:
    """Places by name. Raises ``SubjectError`` for anything but a dict, and for one that must be set and cannot."""
    if not isinstance(wheres, Mapping) or not wheres:
        raise SubjectError(f"{what} must be a dict {{name: where}}, such as {{'W': 'layer.W'}}; it is {wheres!r}")
    places = {name: place_of(where, what=f"{what}[{name!r}]") for name, where in wheres.items()}
    for name, place in places.items():
        if settable and place.set is None:
            raise SubjectError(f"{what}[{name!r}] can be read and not set; give a path or a pair (get, set)")
    return places


def objects_of(
    make: Callable[[], Any], run: Callable[[Any], Any], parameters: Any, layout: Layout | None
) -> tuple[Objects, str | None]:
    """Objects whose point is read from a first one, and the type they are bound to, where they are.

    Raises
    ------
    SubjectError
        Where ``make`` hands out one object twice, or a place does not exist.
    SubjectFailed
        Where ``make`` or a ``get`` raises.
    """
    places = places_of(parameters, "parameters", settable=True)
    label = named(make)
    with undisturbed():
        try:
            with seeded():
                first, second = make(), make()
            if first is second:
                raise SubjectError(
                    f"{label} returns one object twice; each call must make a fresh one, such as copy.deepcopy(net)"
                )
            tree = {name: _own(place.get(first)) for name, place in places.items()}
        except BpttCheckError:
            raise
        except Exception as error:
            raise SubjectFailed(f"{label} raised {type(error).__name__}: {error}") from error
        replacing = Objects(make, places, Arrangement(tree, layout))
        point = Subject(label, replacing.arranged.blocks, lambda _: 0.0, lambda _: {}).point
        kept = frozenset(name for name, place in places.items() if _keeps_what_is_written(place, second, name))
        writing = Objects(make, places, replacing.arranged, kept)
        if _takes_replacing(replacing, writing, run, point):
            return replacing, None
    return writing, str(np.result_type(*point.values()))


def _keeps_what_is_written(place: Place, obj: Any, name: str) -> bool:
    """Whether writing into the array shows in the object: not where a property hands out a copy."""
    if not place.is_path:
        return False
    try:
        before = {key: np.array(leaf) for key, leaf in flatten(place.get(obj)).items()}
        other = {key: leaf + 1 for key, leaf in before.items()}
        _write_leaves(place.get(obj), other, name)
        shows = all(np.array_equal(leaf, other[key]) for key, leaf in flatten(place.get(obj)).items())
        _write_leaves(place.get(obj), before, name)  # the array may be one that several objects share
    except Exception:
        return False
    return shows


def _own(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _own(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(*map(_own, value)) if hasattr(value, "_fields") else type(value)(map(_own, value))
    return np.array(value, subok=True) if isinstance(value, np.ndarray) else value


def _takes_replacing(replacing: Objects, writing: Objects, run: Callable[[Any], Any], point: Point) -> bool:
    """Whether an object sees arrays that replace its own: not where other parts of it hold the old ones.

    Where writing into the arrays changes the loss and replacing them does not do the same, they are shared.
    """
    rng = np.random.default_rng(0)
    moved = {name: (a * (1 + PROBE_WIDTH * rng.uniform(-1, 1, a.shape))).astype(a.dtype) for name, a in point.items()}
    losses: list[float | None] = []
    for objects, at in ((replacing, point), (replacing, moved), (writing, moved)):
        loss = None
        with contextlib.suppress(Exception), np.errstate(all="ignore"):
            loss = float(run(objects.fresh(copied(at))))
        losses.append(loss)
    unmoved, replaced, written = losses
    return written is None or written in (replaced, unmoved)


def subject_of_object(
    make: Callable[[], Any],
    run: Callable[[Any], Any],
    *,
    parameters: Any,
    gradients: Any,
    layout: Layout | None,
    name: str | None,
    loss_of: str | Loss | None = None,
    targets: Any = None,
) -> Subject:
    """See :meth:`bptt_check.Subject.from_object`."""
    objects, precision = objects_of(make, run, parameters, layout)
    places = places_of(gradients, "gradients", settable=False)
    declared = declared_loss(loss_of, targets, objects.arranged.blocks)

    def ran(p: Point) -> tuple[Any, Any]:
        obj = objects.fresh(p)
        loss = run(obj)
        if isinstance(p, dict):  # what the run left in the parameters; a change of them is a finding
            p.update(
                (k, v) for k, v in flatten(objects.read(obj)).items() if k in p and k not in objects.arranged.packed
            )
        return loss, obj

    def gradient_at(p: Point) -> Any:
        _, obj = ran(p)
        return objects.arranged.taken({k: place.get(obj) for k, place in places.items()})

    def loss_at(p: Point) -> Any:
        return ran(p)[0]

    return Subject(
        name or named(make),
        objects.arranged.blocks,
        loss_at,
        gradient_at,
        precision=precision,
        recurrence=of_loss(loss_at, declared),
    )


def subject_of_update(
    make: Callable[[], Any],
    step: Callable[[Any], Any],
    *,
    parameters: Any,
    learning_rate: Any,
    name: str | None,
) -> Subject:
    """See :meth:`bptt_check.Subject.from_update`."""
    rate, prepared = _rate_of(make, learning_rate)
    objects, precision = objects_of(prepared, step, parameters, None)

    def stepped(p: Point) -> Any:
        return step(objects.fresh(copied(p)))  # the update must not reach the harness's own arrays

    def gradient_at(p: Point) -> dict[str, Any]:
        obj = objects.fresh(copied(p))
        step(obj)
        after = flatten(objects.read(obj))
        return {k: (before - np.asarray(after[k])) / np.asarray(rate, before.dtype) for k, before in p.items()}

    blocks = Subject("", objects.arranged.blocks, stepped, gradient_at).point
    noise = {k: np.finfo(w.dtype).eps * np.abs(w).astype(float) / abs(rate) for k, w in blocks.items()}
    return Subject(name or named(make), blocks, stepped, gradient_at, gradient_noise=noise, precision=precision)


def _rate_of(make: Callable[[], Any], learning_rate: Any) -> tuple[float, Callable[[], Any]]:
    """The rate, and a ``make`` whose objects have it: a large one where the place of the rate is known."""
    if isinstance(learning_rate, (int, float, np.number)) and not isinstance(learning_rate, bool):
        if not np.isfinite(learning_rate) or learning_rate == 0:
            raise SubjectError(f"learning_rate must be a number other than 0; it is {learning_rate}")
        return float(learning_rate), make
    place = place_of(learning_rate, what="learning_rate")
    if place.set is None:
        raise SubjectError(
            "learning_rate can be read and not set; give the number itself, a path, or a pair (get, set)"
        )

    def prepared() -> Any:
        obj = make()
        place.get(obj)  # a path that does not exist is a mistake, not a new attribute
        place.set(obj, LARGE_RATE)  # type: ignore[misc]
        return obj

    prepared.__name__ = named(make)
    return LARGE_RATE, prepared
