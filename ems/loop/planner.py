"""Forecast and plan in a process of their own, so that solving never keeps the field waiting.

The child is warm: it holds the district and its libraries between calls. It ignores Ctrl-C; its parent stops it.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import signal
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from datetime import datetime
from typing import Protocol, TypeVar

from ems.district import District
from ems.forecast import forecast
from ems.optimise import Plan, plan
from ems.series import Forecast, History
from ems.slots import Slots
from ems.snapshot import Snapshot

T = TypeVar("T")


LIMIT_S = 240.0  # of real time for one answer: beyond it a quarter-hour would pass without a plan


class PlannerLostError(RuntimeError):
    """The planner's process died or hung, and so did the one that replaced it."""


class Planner(Protocol):
    """Who turns what is known into a plan. Each answer comes with the seconds it took."""

    async def forecast(
        self, history: History, weather: Mapping[str, Forecast], slots: Slots, issued_at: datetime
    ) -> tuple[dict[str, Forecast], float]: ...

    async def plan(
        self, snapshot: Snapshot, forecasts: Mapping[str, Forecast], slots: Slots, previous: Plan | None
    ) -> tuple[Plan, float]: ...

    def stop(self) -> None: ...


class ChildPlanner:
    """The planner of a running site: one warm child process.

    A child that dies or hangs costs one answer: it is replaced, and the call is tried once more.
    """

    def __init__(self, district: District, limit_s: float = LIMIT_S) -> None:
        self._district = district
        self._limit_s = limit_s
        self._pool = self._fresh()

    def _fresh(self) -> ProcessPoolExecutor:
        pool = ProcessPoolExecutor(
            max_workers=1,
            mp_context=multiprocessing.get_context("spawn"),
            initializer=_start,
            initargs=(self._district,),
        )
        pool.submit(_ready)  # the child starts with its first call: let that be now, beside everything else
        return pool

    async def forecast(
        self, history: History, weather: Mapping[str, Forecast], slots: Slots, issued_at: datetime
    ) -> tuple[dict[str, Forecast], float]:
        return await self._ask(_forecast, history, dict(weather), slots, issued_at)

    async def plan(
        self, snapshot: Snapshot, forecasts: Mapping[str, Forecast], slots: Slots, previous: Plan | None
    ) -> tuple[Plan, float]:
        return await self._ask(_plan, snapshot, dict(forecasts), slots, previous)

    async def _ask(self, call: Callable[..., tuple[T, float]], *arguments: object) -> tuple[T, float]:
        try:
            return await self._asked(call, *arguments)
        except (BrokenProcessPool, TimeoutError):
            self.stop()
            self._pool = self._fresh()
        try:
            return await self._asked(call, *arguments)
        except TimeoutError as error:
            raise PlannerLostError(f"the planner gave no answer within {self._limit_s:g} s, twice") from error
        except BrokenProcessPool as error:
            raise PlannerLostError("the planner's process died, twice") from error

    async def _asked(self, call: Callable[..., tuple[T, float]], *arguments: object) -> tuple[T, float]:
        work = asyncio.get_running_loop().run_in_executor(self._pool, call, *arguments)
        return await asyncio.wait_for(work, self._limit_s)

    def stop(self) -> None:
        # A hung solver hears no polite word, and the executor has no public way to end one before Python 3.14.
        for child in list((self._pool._processes or {}).values()):
            child.kill()
        self._pool.shutdown(wait=False, cancel_futures=True)


class OwnPlanner:
    """The same in the calling process, for studies and tests that run in lock-step anyway."""

    def __init__(self, district: District) -> None:
        self.district = district

    async def forecast(
        self, history: History, weather: Mapping[str, Forecast], slots: Slots, issued_at: datetime
    ) -> tuple[dict[str, Forecast], float]:
        return _timed(lambda: forecast(self.district, history, weather, slots, issued_at))

    async def plan(
        self, snapshot: Snapshot, forecasts: Mapping[str, Forecast], slots: Slots, previous: Plan | None
    ) -> tuple[Plan, float]:
        return _timed(lambda: plan(self.district, snapshot, forecasts, slots, previous))

    def stop(self) -> None:
        return None


def _timed(call: Callable[[], T]) -> tuple[T, float]:
    begun = time.monotonic()
    return call(), time.monotonic() - begun


_district: District | None = None


def _start(district: District) -> None:
    global _district
    _district = district
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _ready() -> None:
    """Nothing: to be called is to be ready."""


def _forecast(
    history: History, weather: dict[str, Forecast], slots: Slots, issued_at: datetime
) -> tuple[dict[str, Forecast], float]:
    assert _district is not None
    district = _district
    return _timed(lambda: forecast(district, history, weather, slots, issued_at))


def _plan(
    snapshot: Snapshot, forecasts: dict[str, Forecast], slots: Slots, previous: Plan | None
) -> tuple[Plan, float]:
    assert _district is not None
    district = _district
    return _timed(lambda: plan(district, snapshot, forecasts, slots, previous))
