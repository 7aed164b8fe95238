"""The clocks of a site.

In life site time is real time. The demo runs it faster and lets it wait for an unfinished cycle; `LockStep` moves it
only when it is asked to, so that a run is the same on any machine.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Protocol

Advance = Callable[[datetime], Awaitable[None]]


class Clock(Protocol):
    """Site time."""

    def now(self) -> datetime: ...


class RealClock:
    """The machine's clock, in UTC."""

    def now(self) -> datetime:
        return datetime.now(UTC)


class FastClock:
    """Site time that runs `speed` times faster than real time from `start`.

    It never passes `hold_at` when that is set: an unfinished cycle holds the time, and `held_s` counts how long.
    Stepping is done by `run`, which tells the plant each new instant.
    """

    def __init__(self, start: datetime, speed: float, advance: Advance | None = None) -> None:
        if not speed > 0:
            raise ValueError(f"speed is {speed}; give a positive number, 1 is real time")
        self.speed = speed
        self.hold_at: datetime | None = None
        self.held_s = 0.0
        self._site = start
        self._advance = advance

    def now(self) -> datetime:
        return self._site

    async def run(self, step_s: float = 0.25) -> None:
        """Moves site time until it is cancelled, by whole site minutes as soon as they have passed."""
        before = time.monotonic()
        owed = timedelta()
        while True:
            await asyncio.sleep(step_s)
            passed, before = time.monotonic() - before, time.monotonic()
            owed += timedelta(seconds=passed * self.speed)
            target = self._site + owed
            if self.hold_at is not None and target >= self.hold_at:
                self.held_s += passed
                target, owed = max(self._site, self.hold_at - timedelta(minutes=1)), timedelta()
            minutes = (target - self._site) // timedelta(minutes=1)
            if minutes > 0:
                reached = self._site + minutes * timedelta(minutes=1)
                owed = max(owed - (reached - self._site), timedelta())
                if self._advance is not None:
                    await self._advance(reached)
                self._site = reached


class LockStep:
    """Site time that moves only by `step`: the plant and the loop take turns."""

    def __init__(self, start: datetime, advance: Advance | None = None) -> None:
        self._site = start
        self._advance = advance

    def now(self) -> datetime:
        return self._site

    async def step(self, length: timedelta = timedelta(minutes=1)) -> None:
        reached = self._site + length
        if self._advance is not None:
            await self._advance(reached)
        self._site = reached
