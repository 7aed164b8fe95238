"""The weeks that forecasts learn from, kept in memory: each quarter-hour only the newest slots are read."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from ems.series import History
from ems.slots import Slots

Read = Callable[[Sequence[str], Slots], History]
# Read again each time: a slot is stored when it is over, and late readings may still arrive.
UNSETTLED_SLOTS = 8


class Recent:
    """A moving window over the store's history. `forget` when something else than the loop wrote into the past."""

    def __init__(self, read: Read, points: Sequence[str]) -> None:
        self.points = list(points)
        self._read = read
        self._known: History | None = None

    def forget(self) -> None:
        self._known = None

    def upto(self, slots: Slots) -> History:
        """The history of all points over `slots`, as the store has it."""
        known = self._known
        kept = 0 if known is None else known.slots.count - (slots.start - known.slots.start) // slots.length
        kept = min(kept - UNSETTLED_SLOTS, slots.count - UNSETTLED_SLOTS)
        if known is None or slots.start < known.slots.start or kept <= 0:
            self._known = self._read(self.points, slots)
            return self._known
        fresh = self._read(self.points, Slots(slots.at(kept), slots.count - kept, slots.minutes))
        moved = (slots.start - known.slots.start) // slots.length
        self._known = History(
            slots,
            {p: np.concatenate([known.values[p][moved : moved + kept], new]) for p, new in fresh.values.items()},
        )
        return self._known
