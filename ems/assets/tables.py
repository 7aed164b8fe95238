"""Numbers by name and slot, as the rules of an asset file take them.

To Pyomo these are ordinary mappings and rules; underneath they are arrays, so a compiler of rules can take them whole.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from ems.series import Floats

Index = str | tuple[Any, ...]


class Table(Mapping[Index, float]):
    """Numbers by name, or by name and further indices that count from 0: `array` is shaped (names, ...).

    `modes` are the members of the second index where it does not count.
    """

    def __init__(self, names: tuple[str, ...], array: Floats, modes: tuple[str, ...] = ()) -> None:
        self.names, self.array, self.modes = names, array, modes

    @cached_property
    def _place(self) -> dict[str, int]:
        return {name: i for i, name in enumerate(self.names)}

    def __getitem__(self, index: Index) -> float:
        name, *at = index if isinstance(index, tuple) else (index,)
        if self.modes:
            at[0] = self.modes.index(at[0])
        return float(self.array[(self._place[name], *at)])

    def __iter__(self) -> Iterator[Index]:
        for place in np.ndindex(self.array.shape):
            further = (self.modes[place[1]], *place[2:]) if self.modes else place[1:]
            yield (self.names[place[0]], *further) if further else self.names[place[0]]

    def __len__(self) -> int:
        return int(self.array.size)


@dataclass(frozen=True)
class Bounds:
    """A bounds rule: arrays shaped as the variable's index, names first. Infinite: no bound."""

    names: tuple[str, ...]
    low: Floats
    high: Floats

    @cached_property
    def _place(self) -> dict[str, int]:
        return {name: i for i, name in enumerate(self.names)}

    def __call__(self, _: Any, name: str, *at: int) -> tuple[float, float]:
        place = (self._place[name], *at)
        return float(self.low[place]), float(self.high[place])


def per_slot(rows: Mapping[str, Floats]) -> Table:
    """Arrays of numbers by name, mostly one value per slot; all of one shape."""
    return Table(tuple(rows), np.array(list(rows.values()), dtype=float) if rows else np.zeros((0, 0)))


def per_name(numbers: Mapping[str, float]) -> Table:
    return Table(tuple(numbers), np.array(list(numbers.values()), dtype=float))


def upper(rows: Mapping[str, Floats]) -> Bounds:
    """From 0 to a limit per name and slot."""
    high = per_slot(rows)
    return Bounds(high.names, np.zeros_like(high.array), high.array)


def between(low: Mapping[str, float | Floats], high: Mapping[str, float | Floats], *shape: int) -> Bounds:
    """Bounds by name; `shape` is that of the variable's other indices, over which one number holds everywhere."""

    def rows(of: Mapping[str, float | Floats]) -> Floats:
        array = np.empty((len(low), *shape))
        for i, name in enumerate(low):
            array[i] = of[name]
        return array

    return Bounds(tuple(low), rows(low), rows(high))
