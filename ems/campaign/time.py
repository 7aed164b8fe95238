"""Virtual time: an event loop that never waits, and a site clock on top of it that can be stepped.

Whoever sleeps is woken at once, in the order of the instants; so a day takes as long as its work, and the same seed
gives the same order of everything.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from datetime import datetime, timedelta
from typing import Any, TypeVar

from ems.slots import SLOT, floor

T = TypeVar("T")


class _NeverWaiting(selectors.SelectSelector):
    """Instead of waiting, time moves on."""

    loop: VirtualLoop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise RuntimeError("everything waits and nothing is due: in virtual time nobody would ever wake up")
        self.loop.passed_s += max(timeout, 0.0)
        return super().select(0)


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose timer is `passed_s`."""

    def __init__(self) -> None:
        self.passed_s = 0.0
        selector = _NeverWaiting()
        selector.loop = self
        super().__init__(selector)

    def time(self) -> float:
        return self.passed_s


def run_virtually(work: Coroutine[Any, Any, T], loop: VirtualLoop) -> T:
    """Runs `work` to its end in virtual time."""
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        return runner.run(work)


class SteppedClock:
    """The site's wall clock: virtual time from `start`, plus what somebody stepped it by."""

    def __init__(self, loop: VirtualLoop, start: datetime) -> None:
        self._loop = loop
        self._start = start
        self.stepped = timedelta()

    def now(self) -> datetime:
        return self.true_now() + self.stepped

    def true_now(self) -> datetime:
        """What a good clock would show: the devices live by it."""
        return self._start + timedelta(seconds=self._loop.time())


class SlotBell:
    """Rings at each quarter-hour of the clock; after a step at the latest a quarter-hour later by the timer."""

    def __init__(self, clock: SteppedClock) -> None:
        self._clock = clock

    async def start(self) -> None:
        return None

    async def ring(self) -> None:
        now = self._clock.now()
        await asyncio.sleep((floor(now) + SLOT - now).total_seconds())

    async def stop(self) -> None:
        return None
