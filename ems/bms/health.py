"""What answers and what does not: a breaker per bus and per unit, so that dead things cost a sweep nothing.

After two failures in a row a breaker opens, and sweeps and writes pass by. A probe outside the sweep tries again with
growing pauses. Pauses are real seconds: it is the wire that needs them, however fast the site's clock runs.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

FAILURES_TO_OPEN = 2


@dataclass(frozen=True)
class BusHealth:
    """How one bus is doing. `since` is the site time at which `up` last changed; None before the first answer."""

    name: str
    up: bool
    since: datetime | None
    failures: int  # in a row
    last_error: str
    silent_units: tuple[int, ...] = ()  # Modbus units that do not answer, or not everything, though the bus does
    polled: tuple[str, ...] = ()  # points whose station does not tell of changes as its file says, each with why


@dataclass
class Breaker:
    """Counts failures in a row of a bus or a unit."""

    failures: int = 0
    last_error: str = ""

    @property
    def is_open(self) -> bool:
        return self.failures >= FAILURES_TO_OPEN

    def failed(self, why: str) -> None:
        self.failures += 1
        self.last_error = why

    def answered(self) -> None:
        self.failures = 0


@dataclass(frozen=True)
class Patience:
    """Seconds between probes: from `first`, doubling, to `longest`, each with a fifth of jitter either way."""

    first: float = 2.0
    longest: float = 40.0

    def pauses(self) -> Iterator[float]:
        """The pauses before each probe, without end."""
        pause = self.first
        while True:
            yield pause * random.uniform(0.8, 1.2)
            pause = min(2 * pause, self.longest)
