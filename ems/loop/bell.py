"""What wakes the loop. A bell says that time has passed, never which slot it is: the loop asks its own clock."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Protocol

from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.interval import IntervalTrigger

from ems.loop.clock import LockStep


class Bell(Protocol):
    """Rings about once a site minute."""

    async def start(self) -> None: ...
    async def ring(self) -> None: ...
    async def stop(self) -> None: ...


class SchedulerBell:
    """APScheduler, and beside it a monotonic time-out: a wall clock set back must not silence the loop."""

    def __init__(self, period_s: float) -> None:
        self.period_s = period_s
        self._rung = asyncio.Event()
        self._scheduler = AsyncIOScheduler(timezone="UTC")

    async def start(self) -> None:
        self._scheduler.add_job(
            self._strike,
            IntervalTrigger(seconds=self.period_s, timezone="UTC"),
            coalesce=True,
            max_instances=1,
            misfire_grace_time=None,
        )
        self._scheduler.start()

    async def _strike(self) -> None:
        self._rung.set()

    async def ring(self) -> None:
        with contextlib.suppress(TimeoutError):  # the second bell: asyncio's timers are monotonic
            await asyncio.wait_for(self._rung.wait(), timeout=self.period_s * 2)
        self._rung.clear()

    async def stop(self) -> None:
        if self._scheduler.running:
            self._scheduler.shutdown(wait=False)


class VirtualBell:
    """Rings as often as it is asked, one site minute later each time."""

    def __init__(self, clock: LockStep) -> None:
        self.clock = clock

    async def start(self) -> None:
        return None

    async def ring(self) -> None:
        await self.clock.step()

    async def stop(self) -> None:
        return None
