"""The moving window gives what the store would have given."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import numpy as np

from ems.loop.recent import Recent
from ems.series import History
from ems.slots import SLOT, Slots

START = datetime(2026, 1, 20, tzinfo=UTC)


class Shelf:
    """A store whose value at a slot is its number; counts what is read."""

    def __init__(self) -> None:
        self.read_slots = 0
        self.late: dict[datetime, float] = {}

    def history(self, points: Sequence[str], slots: Slots) -> History:
        self.read_slots += slots.count
        values = np.array([self.late.get(s, (s - START) / SLOT) for s in slots])
        return History(slots, {p: values.copy() for p in points})


def test_only_new_slots_are_read() -> None:
    shelf = Shelf()
    recent = Recent(shelf.history, ["a/b/c_kw"])
    recent.upto(Slots(START, 96))
    assert shelf.read_slots == 96
    moved = recent.upto(Slots(START + SLOT, 96))
    assert moved.values["a/b/c_kw"].tolist() == [float(i) for i in range(1, 97)]
    assert shelf.read_slots == 96 + 9  # one new and eight that may have changed


def test_late_readings_are_seen() -> None:
    shelf = Shelf()
    recent = Recent(shelf.history, ["a/b/c_kw"])
    recent.upto(Slots(START, 96))
    shelf.late[START + 94 * SLOT] = -1.0
    assert recent.upto(Slots(START + SLOT, 96)).values["a/b/c_kw"][93] == -1.0


def test_what_was_forgotten_is_read_again() -> None:
    shelf = Shelf()
    recent = Recent(shelf.history, ["a/b/c_kw"])
    recent.upto(Slots(START, 96))
    recent.forget()
    recent.upto(Slots(START, 96))
    assert shelf.read_slots == 192


def test_a_long_silence_reads_everything() -> None:
    shelf = Shelf()
    recent = Recent(shelf.history, ["a/b/c_kw"])
    recent.upto(Slots(START, 96))
    later = Slots(START + timedelta(days=3), 96)
    assert recent.upto(later).values["a/b/c_kw"][0] == 288.0
