"""All that is known at one instant, frozen: after it is taken, nothing is read until the writes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from ems.points import Quality, Sample


@dataclass(frozen=True)
class Session:
    """A vehicle (or a room of bicycles) at a charge point: what it still needs and until when.

    `needed_kwh` counts from the snapshot's instant, at the plug.
    """

    asset: str
    needed_kwh: float
    departs_at: datetime


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
    """The latest sample of every point, and what people asked for, at instant `at`."""

    at: datetime
    samples: Mapping[str, Sample]
    sessions: Mapping[str, Session] = field(default_factory=dict)
    overrides: Mapping[str, Override] = field(default_factory=dict)
    out_of_service: frozenset[str] = frozenset()

    def value(self, point: str) -> float | None:
        """The usable value of a point, or None: missing is not zero."""
        sample = self.samples.get(point)
        return None if sample is None else sample.usable

    def count(self, quality: Quality) -> int:
        return sum(1 for s in self.samples.values() if s.quality is quality)
