"""Numbers that people write: −1, 2, 1/T, 0.01. A factor that is one of them has a name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from itertools import combinations

ROUND = 1e-6  # how near a number must lie to one with two digits for a person to have written it
SHARP = 1e-4  # how sharply a number must be known before it may be given a name
LENGTHS = ("T", "B", "D", "H")
SIGNS = ((1.0, ""), (-1.0, "−"))


@dataclass(frozen=True)
class Name:
    """A number as a person would write it; ``far`` is how far-fetched that is: of a number's
    names, the plainest count. Below zero, the number is always tried."""

    text: str
    value: float
    far: int = 0


def is_round(value: float) -> bool:
    """Whether a person could have typed it: two digits at most."""
    return value != 0 and abs(value - float(f"{value:.1e}")) <= ROUND * abs(value)


def rounded(number: float) -> list[Name]:
    """The number of two digits next to this one."""
    value = float(f"{number:.1e}")
    return [Name(shown(value), value)] if value else []


def factors(lengths: Mapping[str, object]) -> list[Name]:
    """Factors that mistakes bring in, the plainest first: signs, halves, lengths, their products and inverses."""
    known = [(k, v) for k in LENGTHS if isinstance(v := lengths.get(k), int) and not isinstance(v, bool) and v > 1]
    return list(_factors(tuple(known)))


@cache
def _factors(of: tuple[tuple[str, int], ...]) -> tuple[Name, ...]:
    known = dict(of)
    found = [Name("−1", -1.0), Name("2", 2.0), Name("½", 0.5), Name("−2", -2.0), Name("−½", -0.5)]
    for count in (1, 2, 3):
        for chosen in combinations(known, count):
            name, value = "·".join(chosen), 1.0
            for each in chosen:
                value *= known[each]
            under = name if count == 1 else f"({name})"
            for text, number in ((name, value), (f"1/{under}", 1 / value), (f"2/{under}", 2 / value)):
                far = count - 1 + text.startswith("2")
                found += [Name(f"{sign}{text} = {shown(s * number)}", s * number, far) for s, sign in SIGNS]
    for name, length in known.items():
        for shift, sign in ((-1, "−"), (1, "+")):
            if (other := length + shift) > 1:
                found.append(Name(f"{name}{sign}1 = {other}", float(other), 3))
                found.append(Name(f"({name}{sign}1)/{name} = {shown(other / length)}", other / length, 3))
                found.append(Name(f"{name}/({name}{sign}1) = {shown(length / other)}", length / other, 3))
    found += [Name("3", 3.0, 4), Name("4", 4.0, 4), Name("⅓", 1 / 3, 4), Name("¼", 0.25, 4)]
    return tuple(sorted((name for name in found if name.value != 1.0), key=lambda name: name.far))


def shown(value: float) -> str:
    """A number for the eye, with the minus sign of the sentences around it."""
    return f"{value:.6g}".replace("-", "−") if "e" not in f"{value:.6g}" else f"{value:.6g}"


def is_learning_rate(value: float) -> bool:
    """Whether it looks like a learning rate: 1, 2, 3 or 5 times a negative power of ten, ½ left out."""
    mantissa, _, power = f"{abs(value):.1e}".partition("e")
    return is_round(value) and int(power) < 0 and mantissa in ("1.0", "2.0", "3.0", "5.0") and abs(value) < 0.4
