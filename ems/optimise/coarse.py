"""The same programme by the hour: a quarter of the rows, solved in less than a quarter of the time.

Flows are the same all through a block of slots, states go straight from one end of it to the other. A rule is kept on
the mean over a block, one about the boundaries at the block's end. What is planned by it is no plan: it says near
which values to begin to look.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from scipy import sparse

from ems.optimise.matrix import Family, Matrix, Positions
from ems.optimise.solve import solve
from ems.series import Floats
from ems.slots import Slots


class Coarse:
    """A matrix over blocks of slots, and the way from its solution back to the slots."""

    def __init__(self, fine: Matrix, block: Positions) -> None:
        """`block` numbers the block of each slot, rising from 0 by 0 or 1."""
        means = _all(fine.rows.values(), block, _mean)
        self._spread = _all(fine.columns.values(), block, _prolonged).T.tocsr()
        bounds = _all(fine.columns.values(), block, _mean)
        self.matrix = Matrix(
            (means @ fine.a @ self._spread).tocsr(),
            means @ fine.row_lower,
            means @ fine.row_upper,
            bounds @ fine.lower,
            bounds @ fine.upper,
            self._spread.T @ fine.cost,
        )

    def values(self) -> Floats:
        """Its optimum, for all slots. Raises UnsolvedError."""
        return np.asarray(self._spread @ solve(self.matrix).values)


def clock_hours(slots: Slots) -> Positions:
    """The number of the hour by the clock that each slot lies in, from 0: prices change with it."""
    hours: Positions = np.array([int(start.timestamp()) // 3600 for start in slots], dtype=np.int64)
    hours -= hours[0]
    return hours


def _all(families: Iterable[Family], block: Positions, one: Any) -> sparse.csr_array:
    """From all slots to all blocks, for families in the order in which they stand in a matrix."""
    parts = []
    for family in families:
        if family.size:
            over = one(family.members[-1], block) if family.members else sparse.eye_array(1)
            parts.append(sparse.kron(sparse.eye_array(family.size // over.shape[1]), over))
    return sparse.block_diag(parts, format="csr")


def _mean(members: tuple[Any, ...], block: Positions) -> sparse.coo_array:
    """The mean of the slots of each block; of boundaries those at blocks' ends. The last axis may be about neither."""
    at = _slots(members, block)
    if at is None:
        return sparse.eye_array(len(members), format="coo")
    if _are_boundaries(members, block):
        ends = _ends(block)
        return sparse.coo_array((np.ones(ends.size), (np.arange(ends.size), ends)), shape=(ends.size, len(members)))
    into = block[at] - block[at[0]]
    share = 1.0 / np.bincount(into)[into]
    return sparse.coo_array((share, (into, np.arange(at.size))), shape=(int(into[-1]) + 1, at.size))


def _prolonged(members: tuple[Any, ...], block: Positions) -> sparse.coo_array:
    """What each block (row) adds to each slot: itself; each of its ends to the boundaries about it: a straight line."""
    at = _slots(members, block)
    if at is None:
        return sparse.eye_array(len(members), format="coo")
    if _are_boundaries(members, block):
        ends = _ends(block)
        lines = np.array([np.interp(at, ends, one) for one in np.eye(ends.size)])
        return sparse.coo_array(lines)
    into = block[at] - block[at[0]]
    return sparse.coo_array((np.ones(at.size), (into, np.arange(at.size))), shape=(int(into[-1]) + 1, at.size))


def _slots(members: tuple[Any, ...], block: Positions) -> Positions | None:
    """The slots or boundaries that an index set runs over; None where it is of something else."""
    if not all(isinstance(m, int) for m in members) or len(members) < block.size - 1:
        return None
    return np.array(members, dtype=np.int64)


def _are_boundaries(members: tuple[Any, ...], block: Positions) -> bool:
    return bool(members[-1] == block.size)


def _ends(block: Positions) -> Positions:
    """The boundaries between blocks, the first and the last."""
    return np.append(np.flatnonzero(np.diff(block, prepend=-1)), block.size)
