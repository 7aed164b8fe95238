"""A linear programme with names: which columns are which variable's, which rows which rule's."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from ems.series import Floats

Positions = NDArray[np.int64]


@dataclass(frozen=True)
class Family:
    """The columns of one variable, or the rows of one rule: a box of `shape` from `start` on, in index order."""

    name: str
    start: int
    members: tuple[tuple[Any, ...], ...]  # by axis

    @cached_property
    def shape(self) -> tuple[int, ...]:
        return tuple(len(m) for m in self.members)

    @cached_property
    def size(self) -> int:
        return int(np.prod(self.shape, dtype=np.int64))

    @property
    def slice(self) -> slice:
        return slice(self.start, self.start + self.size)

    def of(self, values: NDArray[Any]) -> NDArray[Any]:
        """This family's part of a vector over all columns (or rows), shaped like its index."""
        return values[self.slice].reshape(self.shape)

    @cached_property
    def positions(self) -> Positions:
        """Numbers of its columns (or rows), shaped like its index."""
        return (self.start + np.arange(self.size)).reshape(self.shape)


@dataclass
class Matrix:
    """A linear programme with named families: minimise cost @ x, row_lower <= a @ x <= row_upper, lower <= x <= upper.

    `rows` and `columns` are by `block.component`. Infinite bounds are numpy's.
    """

    a: sparse.csr_array
    row_lower: Floats
    row_upper: Floats
    lower: Floats
    upper: Floats
    cost: Floats
    rows: dict[str, Family] = field(default_factory=dict)
    columns: dict[str, Family] = field(default_factory=dict)
