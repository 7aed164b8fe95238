"""Forecast and plan in a process of their own, so that solving never keeps the field waiting.

The child is warm: it holds the district and its libraries between calls. It ignores Ctrl-C; its parent stops it.
"""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import os
import resource
import signal
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from datetime import datetime
from pathlib import Path
from typing import Protocol, TypeVar

from ems.district import District
from ems.forecast import Experience, forecast
from ems.forecast.experience import dump, load
from ems.loop.insight import Insight
from ems.optimise import NOT_AT_ALL, Memory, Plan, plan
from ems.series import Forecast, History
from ems.slots import Slots
from ems.snapshot import Snapshot

T = TypeVar("T")


LEARNT_FILE = "learnt.npz"  # in a site's folder
BUDGET_S = 30.0  # for a better plan; the first one stands after seconds
MEMORY_BYTES = 8 << 30  # of address space: a planner that runs away ends alone, not the machine with it
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

    def __init__(self, district: District, limit_s: float = LIMIT_S, learnt_file: Path | None = None) -> None:
        """`learnt_file` keeps what the forecasts were learnt as, beyond the child's life; None: nothing is kept."""
        self._district = district
        self._learnt_file = learnt_file
        self._limit_s = limit_s
        self._pool = self._fresh()

    def _fresh(self) -> ProcessPoolExecutor:
        pool = ProcessPoolExecutor(
            max_workers=1,
            mp_context=multiprocessing.get_context("spawn"),
            initializer=_start,
            initargs=(self._district, self._learnt_file),
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
    """The same in the calling process, for studies and tests that run in lock-step anyway; it gives no reasons."""

    def __init__(self, district: District) -> None:
        self.district = district
        self.insight = Insight(district)
        self.memory = Memory()
        self.experience = Experience()

    async def forecast(
        self, history: History, weather: Mapping[str, Forecast], slots: Slots, issued_at: datetime
    ) -> tuple[dict[str, Forecast], float]:
        made = _timed(lambda: forecast(self.district, history, weather, slots, issued_at, self.experience))
        self.insight.learn(history)
        return made

    async def plan(
        self, snapshot: Snapshot, forecasts: Mapping[str, Forecast], slots: Slots, previous: Plan | None
    ) -> tuple[Plan, float]:
        known = self.insight
        seen = known.seen(snapshot)
        return _timed(lambda: plan(known.district, seen, forecasts, slots, previous, self.memory, effort=NOT_AT_ALL))

    def stop(self) -> None:
        return None


def _timed(call: Callable[[], T]) -> tuple[T, float]:
    begun = time.monotonic()
    return call(), time.monotonic() - begun


_district: District | None = None
_insight: Insight | None = None
_memory = Memory()  # of the one planner that a child is
_experience = Experience()
_learnt_file: Path | None = None


def _start(district: District, learnt_file: Path | None) -> None:
    global _district, _insight, _experience, _learnt_file
    _district, _insight = district, Insight(district)
    _learnt_file = learnt_file
    _experience = recalled(learnt_file)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, resource.getrlimit(resource.RLIMIT_AS)[1]))
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """A parent that was killed outright stops nobody: the child looks after that itself."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _ready() -> None:
    """Nothing: to be called is to be ready."""


def _forecast(
    history: History, weather: dict[str, Forecast], slots: Slots, issued_at: datetime
) -> tuple[dict[str, Forecast], float]:
    assert _district is not None and _insight is not None
    district, changes = _district, _experience.changes
    made = _timed(lambda: forecast(district, history, weather, slots, issued_at, _experience))
    _insight.learn(history)
    if _learnt_file is not None and _experience.changes != changes:
        keep(_learnt_file, _experience)
    return made


def _plan(
    snapshot: Snapshot, forecasts: dict[str, Forecast], slots: Slots, previous: Plan | None
) -> tuple[Plan, float]:
    assert _insight is not None
    insight = _insight
    return _timed(lambda: plan(insight.district, insight.seen(snapshot), forecasts, slots, previous, _memory))


def recalled(file: Path | None) -> Experience:
    """What a file keeps of the forecasts; nothing where there is none or it cannot be read: it is learnt anew."""
    if file is None:
        return Experience()
    try:
        return load(file.read_bytes())
    except (OSError, ValueError):
        return Experience()


def keep(file: Path, experience: Experience) -> None:
    """Write what was learnt, whole or not at all. A full disk costs the next start its memory, not this plan."""
    beside = file.with_suffix(".part")
    with contextlib.suppress(OSError):
        beside.write_bytes(dump(experience))
        beside.replace(file)
