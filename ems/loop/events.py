"""What the loop says, counts and is told: events for whoever watches, totals of a run, settings of a site."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

HORIZON_SLOTS = 192


@dataclass(frozen=True)
class Event:
    """Something a person should know. `kind`: info, fallback, alarm or recovered."""

    at: datetime
    kind: str
    text: str

    def __str__(self) -> str:
        return f"{self.at:%Y-%m-%d %H:%M} {self.kind}: {self.text}"


OnEvent = Callable[[Event], None]


@dataclass
class Totals:
    """What a run did so far."""

    plans: int = 0
    setpoints_written: int = 0
    setpoints_confirmed: int = 0
    refused: int = 0
    overridden: int = 0
    unreachable: int = 0
    bad_quality: int = 0  # points without a good value, in the worst sweep
    fallbacks: int = 0
    shifted_plans: int = 0  # quarter-hours that followed an older plan
    ruled: int = 0  # quarter-hours under the fixed rules
    local: int = 0  # quarter-hours in which devices were left to themselves
    failed: int = 0  # cycles that ended with an error
    points_read: int = 0  # in the last sweep
    sweeps: int = 0
    readings_stored: int = 0
    relinquished_at_exit: int = 0
    withheld: int = 0  # set points that shadow mode kept from being written
    cold_starts: int = 0  # meters forecast without any history of their own, in the last cycle
    plan_seconds: list[float] = field(default_factory=list)
    cycle_seconds: list[float] = field(default_factory=list)

    @property
    def cycles(self) -> int:
        """Quarter-hours that were decided, one way or another."""
        return self.plans + self.shifted_plans + self.ruled + self.local + self.failed


@dataclass(frozen=True)
class Settings:
    """How one control loop runs. Durations are of real time unless they say otherwise."""

    owner: str
    folder: Path | None = None  # where people's requests and the handover lie; None: nobody can ask
    weather_file: Path | None = None
    sweep_every: timedelta = timedelta(minutes=1)  # of site time
    horizon_slots: int = HORIZON_SLOTS
    patience: timedelta = timedelta(minutes=1)  # for a database that somebody holds
    exit_patience: timedelta = timedelta(seconds=6)  # the same once the field is given back
    lease: timedelta = timedelta(minutes=3)  # leadership that nobody renews ends after this
    pulse: timedelta = timedelta(seconds=0.1)  # how often watchdogs, leadership and requests are looked at
    asks_homes: bool = True  # what homes use is kept with their agreement; False where homes are made up
    watches_disk: bool = True  # False in a simulation, whose disk is nobody's
    shadow: bool = False  # everything but the write
    threads: bool = True  # the store works beside the loop; False in a simulation, where order must not vary
