"""The index sets of rules as arrays: what stands where, and which members a template index runs over."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from ems.optimise.matrix import Positions
from ems.series import Floats


class Axis:
    """One index set: its members, where each stands, and their numbers if they are numbers."""

    def __init__(self, index: Any) -> None:
        self.members: tuple[Any, ...] = tuple(index)
        self.arity: int = index.dimen if isinstance(index.dimen, int) and index.dimen > 0 else 1

    @cached_property
    def place(self) -> dict[Any, int]:
        return {member: i for i, member in enumerate(self.members)}

    @cached_property
    def numbers(self) -> Floats | None:
        """Member values as an array, or None for names."""
        return self.coordinates(0) if self.arity == 1 else None

    def coordinates(self, part: int) -> Floats | None:
        """One coordinate of the members as an array, or None for names."""
        values = self.values(part)
        return np.array(values, dtype=float) if all(isinstance(v, int | float) for v in values) else None

    @cached_property
    def first(self) -> int | None:
        """The first of consecutive whole numbers, or None: then a place is a subtraction, not a look-up."""
        numbers = self.numbers
        if numbers is None or not numbers.size or not (np.diff(numbers) == 1).all():
            return None
        return int(numbers[0])

    def values(self, part: int) -> tuple[Any, ...]:
        """One coordinate of the members."""
        return self.members if self.arity == 1 else tuple(m[part] for m in self.members)


@dataclass(frozen=True)
class Bound:
    """What a template index stands for: coordinate `part` of the members of an axis, at these places."""

    axis: Axis
    place: Positions
    part: int = 0


@dataclass(frozen=True)
class Scope:
    """Template indices in force, and the row that each of their combinations belongs to; all arrays broadcast."""

    bound: Mapping[Any, Bound]
    row: Positions


class Union(Axis):
    """The members of an indexed set's sets, one set after another; a member may stand more than once."""

    def __init__(self, lists: list[tuple[Any, ...]], arity: int) -> None:
        self.members = tuple(m for members in lists for m in members)
        self.arity = arity
        self.counts = np.array([len(members) for members in lists], dtype=np.int64)
        self.begin = np.cumsum(self.counts) - self.counts
