"""All that is known at one instant, frozen: after it is taken, nothing is read until the writes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime

from ems.points import Quality, Sample


@dataclass(frozen=True)
class Session:
    """A vehicle (or a room of bicycles) at a charge point: what it still needs and until when.

    `needed_kwh` counts from the snapshot's instant, at the plug. `arrives_at` is None for a vehicle that stands there,
    else when it is expected back. `stored_kwh` and `capacity_kwh` only where the vehicle tells (ISO 15118-20).
    `most_kw` is what it was seen to take when nothing else held it back, None while that is not known.
    `may_leave_per_h` is the chance that it leaves before `departs_at`, per hour. `guessed`: no driver said anything.
    Where habits are known, `may_depart_at` and `may_need_kwh` are equally probable outcomes in ascending order; their
    last ones are `departs_at` and `needed_kwh`.
    """

    asset: str
    needed_kwh: float
    departs_at: datetime
    arrives_at: datetime | None = None
    stored_kwh: float | None = None
    capacity_kwh: float | None = None
    most_kw: float | None = None
    may_leave_per_h: float = 0.0
    guessed: bool = False
    may_depart_at: tuple[datetime, ...] = ()
    may_need_kwh: tuple[float, ...] = ()


@dataclass(frozen=True)
class Override:
    """A person took a point over: this value holds until `until`, whatever the plan says."""

    point: str
    value: float
    by: str
    reason: str
    until: datetime


@dataclass(frozen=True)
class Snapshot:
    """The latest sample of every point, and what people asked for, at instant `at`.

    `overrides` are points that people took over: nothing is written there. `holds` are points that we write for people
    at the value they ask for. The plan works around both. `closed` are local days on which a room stays shut whatever
    its timetable says, by asset. `states` are what observers make of the samples, by
    `asset/state`: what no sensor shows alone, such as the temperature of walls.
    """

    at: datetime
    samples: Mapping[str, Sample]
    sessions: Mapping[str, Session] = field(default_factory=dict)
    overrides: Mapping[str, Override] = field(default_factory=dict)
    out_of_service: frozenset[str] = frozenset()
    holds: Mapping[str, Override] = field(default_factory=dict)
    states: Mapping[str, float] = field(default_factory=dict)
    closed: Mapping[str, frozenset[date]] = field(default_factory=dict)

    def value(self, point: str) -> float | None:
        """The usable value of a point, or None: missing is not zero."""
        sample = self.samples.get(point)
        return None if sample is None else sample.usable

    def count(self, quality: Quality) -> int:
        return sum(1 for s in self.samples.values() if s.quality is quality)
