"""Minute samples live here, in memory; what is stored of them is one reading per point and quarter-hour."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from ems.points import Quality, Sample, is_counter, quantity_of
from ems.slots import SLOT_SECONDS, slot_number

Reading = tuple[str, int, float | None, Quality]


@dataclass
class _Sum:
    total: float = 0.0
    count: int = 0
    first: float | None = None
    worst: Quality = Quality.GOOD


@dataclass
class Minutes:
    """The running quarter-hour of every measured point.

    A counter is stored as it stood at the slot's start, everything else as the mean of its good samples. A point with
    no good sample in the slot is stored as missing, with the quality that explains why.
    """

    points: frozenset[str]
    slot: int | None = None
    sums: dict[str, _Sum] = field(default_factory=dict)

    def add(self, samples: Mapping[str, Sample], slot: int) -> list[Reading]:
        """Takes one sweep in; returns the readings of the slot that this sweep closes, if it does."""
        closed = list(self._readings()) if self.slot is not None and slot != self.slot else []
        if slot != self.slot:
            self.slot, self.sums = slot, {}
        for point in self.points:
            sample = samples.get(point)
            if sample is None:
                continue
            held = self.sums.setdefault(point, _Sum())
            value = sample.usable
            if value is None:
                held.worst = sample.quality
            elif slot_number(sample.at) == slot:
                held.total += value
                held.count += 1
                held.first = value if held.first is None else held.first
        return closed

    def _readings(self) -> Iterator[Reading]:
        assert self.slot is not None
        start_s = self.slot * SLOT_SECONDS
        for point, held in self.sums.items():
            if held.count == 0:
                yield point, start_s, None, held.worst
            else:
                value = held.first if is_counter(quantity_of(point)) else held.total / held.count
                yield point, start_s, value, Quality.GOOD


def measured_points(wires: Iterable[str], writable: Iterable[str]) -> frozenset[str]:
    """The points whose quarter-hours are stored: everything read, less what we write (stored on change)."""
    return frozenset(wires) - frozenset(writable)
