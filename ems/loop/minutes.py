"""Minute samples live here, in memory; what is stored of them is one reading per point and quarter-hour."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from ems.points import Quality, Sample, is_counter, quantity_of
from ems.slots import SLOT_SECONDS, slot_number, slot_start

Reading = tuple[str, int, float | None, Quality]


@dataclass
class _Held:
    """What is known so far of one point in the running slot."""

    total: float = 0.0
    count: int = 0
    at_start: float | None = None
    quality: Quality = Quality.GOOD  # of what is used: a stand-in among the samples makes a stand-in of their mean
    why: Quality = Quality.MISSING  # of the last sample that could not be used


@dataclass
class Minutes:
    """The running quarter-hour of every measured point.

    A counter is stored as it stood at the slot's start, everything else as the mean of those of its samples that may
    be used. A meter's power is that of the moment before it was asked, so a sample taken at the very boundary is the
    last one of the slot that ends there. A value that rests on a stand-in, were it one sample among fifteen, is stored
    as substituted. A point with no sample that may be used is stored without a value, and with the reason.
    """

    points: frozenset[str]
    sweep_every: timedelta = timedelta(minutes=1)  # a counter read later than this after the start does not count
    slot: int | None = None
    held: dict[str, _Held] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._counters = frozenset(p for p in self.points if is_counter(quantity_of(p)))
        self._others = self.points - self._counters

    def add(self, samples: Mapping[str, Sample], now: datetime) -> list[Reading]:
        """Takes the sweep of `now` in; returns the readings of the slot that it closes, if it does."""
        slot = slot_number(now)
        on_boundary = now == slot_start(slot)
        if slot == self.slot:
            self._take_means(samples)
            return []
        if on_boundary and self.slot == slot - 1:
            self._take_means(samples)
        closed = self._readings()
        self.slot, self.held = slot, {}
        if not on_boundary:
            self._take_means(samples)
        if now - slot_start(slot) < self.sweep_every:
            self._take_counters(samples)
        return closed

    def _take_means(self, samples: Mapping[str, Sample]) -> None:
        for point in self._others:
            if (sample := samples.get(point)) is not None:
                if (held := self.held.get(point)) is None:
                    held = self.held[point] = _Held()
                if (value := sample.usable) is None:
                    held.why = sample.quality
                    continue
                held.total += value
                held.count += 1
                if sample.quality is not Quality.GOOD:
                    held.quality = sample.quality

    def _take_counters(self, samples: Mapping[str, Sample]) -> None:
        for point in self._counters:
            if (sample := samples.get(point)) is not None:
                self.held[point] = _Held(at_start=sample.usable, quality=sample.quality, why=sample.quality)

    def _readings(self) -> list[Reading]:
        if self.slot is None:
            return []
        start_s = self.slot * SLOT_SECONDS
        closed: list[Reading] = []
        for point, held in self.held.items():
            value = held.at_start if point in self._counters else held.total / held.count if held.count else None
            closed.append((point, start_s, value, held.why if value is None else held.quality))
        return closed
