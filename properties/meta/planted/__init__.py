"""Faults and hard cases as data, by family: what the check is tried on.

A *case* is a subject with what is known about it: right, or wrong in a stated way that counts at this point. Each is
drawn from a seed by ``draw(family, seed)``, so that a seed is a case and a failure can be repeated from two words.
"""

from __future__ import annotations

from planted.case import Planted, caught, rounding_level
from planted.families import FAMILIES, draw, options, unsafe

__all__ = ["FAMILIES", "Planted", "caught", "draw", "options", "rounding_level", "unsafe"]
