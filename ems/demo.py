"""The demo: the digital district on real sockets, and the control loop that runs it, as two processes on this machine.

The loop leads the time: at a finite speed site time flows and waits for an unfinished cycle; at `max` plant and loop
take turns. Five weeks of history are simulated in a third process and stored while the first plan is already made.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import multiprocessing
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from ems.district import District, read_district, relocate
from ems.loop.bell import Bell, SchedulerBell, VirtualBell
from ems.loop.clock import Advance, FastClock, LockStep, RealClock
from ems.loop.control import Control, Event, Totals
from ems.loop.planner import LEARNT_FILE, ChildPlanner
from ems.loop.site import Site, controlled, pages, stop_on_signals, write_clock
from ems.series import Floats
from ems.simulate.past import past
from ems.simulate.scenario import Scenario, read_scenario
from ems.slots import Slots
from ems.store import People, Store
from ems.web.invitation import agree, invite

HISTORY_DAYS = 35
THE_END = "the end"  # of the past: whatever ends without it has died
BATCH = 20  # series handed to the store at once


@dataclass(frozen=True)
class DemoSettings:
    """What a person chooses when starting the demo."""

    buildings: Path
    scenario: Path
    folder: Path
    data: Path | None = None
    speed: float | None = 60.0  # None: lock-step, as fast as it goes
    cycles: int | None = None
    network: int = 0
    port: int = 0  # of the pages; 0: none
    history_days: int = HISTORY_DAYS
    sweep_minutes: int = 5
    seed: int = 1
    shadow: bool = False  # everything but the write


@dataclass(frozen=True)
class Progress:
    """How far something long has come."""

    what: str
    done: int
    total: int


class DistrictGoneError(RuntimeError):
    """The simulated district did not start, has ended, or refuses an order."""


class FolderTakenError(RuntimeError):
    """The demo's folder belongs to somebody else."""


class DistrictProcess:
    """`ems district --follow` as a child: orders go in as JSON lines, answers come out."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._turn = asyncio.Lock()

    async def order(self, **order: Any) -> dict[str, Any]:
        """One order and its answer. Raises DistrictGoneError with the district's own words when it refuses."""
        assert self._process.stdin is not None and self._process.stdout is not None
        async with self._turn:
            self._process.stdin.write(json.dumps(order).encode() + b"\n")
            line = await self._process.stdout.readline()
        if not line:
            raise DistrictGoneError("the simulated district has ended; its messages stand above")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise DistrictGoneError(f"the simulated district refuses: {answer['error']}")
        return answer

    async def advance(self, to: datetime) -> None:
        await self.order(do="advance", to=to.isoformat())


@asynccontextmanager
async def district_process(settings: DemoSettings, site: Site) -> AsyncIterator[DistrictProcess]:
    """The simulated district, started and ready to answer on its sockets."""
    command = [
        sys.executable, "-m", "ems", "district", "--follow",
        "--buildings", str(settings.buildings), "--scenario", str(settings.scenario),
        "--network", str(settings.network), "--seed", str(settings.seed),
        "--weather-file", str(site.weather_file),
    ]  # fmt: skip
    if settings.data is not None:
        command += ["--data", str(settings.data)]
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        start_new_session=True,  # Ctrl-C ends the loop first, which gives the devices back while they still answer
        limit=2**24,
    )
    assert process.stdin is not None and process.stdout is not None
    try:
        ready = await process.stdout.readline()
        if not ready:
            raise DistrictGoneError("the simulated district did not start; its messages stand above")
        yield DistrictProcess(process)
    finally:
        with contextlib.suppress(ConnectionError, ProcessLookupError):
            process.stdin.close()
            try:
                await asyncio.wait_for(process.wait(), timeout=10)
            except TimeoutError:
                process.kill()
                await process.wait()


async def demo(
    settings: DemoSettings,
    *,
    on_event: Callable[[Event], None],
    on_progress: Callable[[Progress], None],
    on_cycle: Callable[[Control, DistrictProcess], Awaitable[None]],
    on_ready: Callable[[Control, str | None, dict[str, str]], None] = lambda control, address, codes: None,
) -> tuple[Totals, District]:
    """Runs the demo to its end: a number of cycles, or until Ctrl-C. Returns what the run did."""
    scenario = read_scenario(settings.scenario)
    district = relocate(read_district(settings.buildings), settings.network)
    site = Site(settings.folder)
    with _own_folder(site):
        return await _demo(settings, scenario, district, site, on_event, on_progress, on_cycle, on_ready)


@contextlib.contextmanager
def _own_folder(site: Site) -> Iterator[None]:
    """An emptied folder of this demo's own while it runs.

    Raises FolderTakenError for the folder of a real site, or of a demo that runs: their data are not ours to delete.
    """
    mark = site.folder / "demo.lock"
    if (site.folder / "site.db").exists() and not mark.exists():
        raise FolderTakenError(f"{site.folder} holds the database of a site; give the demo a --folder of its own")
    site.folder.mkdir(parents=True, exist_ok=True)
    with mark.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise FolderTakenError(
                f"another demo runs in {site.folder}; give this one a --folder of its own"
            ) from error
        for stale in (
            *site.folder.glob("site.db*"),
            *site.folder.glob("people.db*"),
            site.weather_file,
            site.clock_file,
            site.folder / LEARNT_FILE,
        ):
            stale.unlink(missing_ok=True)
        yield


async def _demo(
    settings: DemoSettings,
    scenario: Scenario,
    district: District,
    site: Site,
    on_event: Callable[[Event], None],
    on_progress: Callable[[Progress], None],
    on_cycle: Callable[[Control, DistrictProcess], Awaitable[None]],
    on_ready: Callable[[Control, str | None, dict[str, str]], None],
) -> tuple[Totals, District]:
    on_progress(Progress("starting the simulated district", 0, 1))
    codes = _invited(site, district) if settings.port else {}
    planner = ChildPlanner(district, learnt_file=site.folder / LEARNT_FILE)
    store = Store.open(site.store_url, attempts=1)  # the loop itself tries again, and says so
    async with district_process(settings, site) as plant:
        on_progress(Progress("starting the simulated district", 1, 1))
        clock, bell, pacing = _time(settings, scenario, plant.advance)
        write_clock(site.clock_file, clock.now(), RealClock().now(), settings.speed or 1.0)
        async with (
            controlled(
                district,
                site,
                store=store,
                planner=planner,
                clock=clock,
                bell=bell,
                sweep_every=timedelta(minutes=settings.sweep_minutes),
                shadow=settings.shadow,
                on_event=on_event,
                on_cycle=lambda control: on_cycle(control, plant),
                asks_homes=settings.port != 0,  # nobody can be asked without pages
            ) as control,
            pages(site, settings.buildings, settings.port) as address,
        ):
            stop_on_signals(control)
            on_ready(control, address, codes)
            beside = [asyncio.create_task(_heard(_keep_history(settings, scenario, control, on_progress), control))]
            beside.append(asyncio.create_task(_heard(_tell_time(site, clock, settings.speed or 1.0), control)))
            if pacing is not None:
                beside.append(asyncio.create_task(_heard(pacing.run(), control, ends_the_run=True)))
            try:
                totals = await control.run(settings.cycles)
            finally:
                for task in beside:
                    task.cancel()
                await asyncio.gather(*beside, return_exceptions=True)
    store.close()
    return totals, district


def _invited(site: Site, district: District) -> dict[str, str]:
    """Codes with which a person tries the pages: the manager's, and those of two homes."""
    people = People.open(site.people_url)
    try:
        codes = invite(people, district, RealClock().now())
        agree(people, RealClock().now())
        return codes
    finally:
        people.close()


async def _tell_time(site: Site, clock: FastClock | LockStep, speed: float) -> None:
    """Leaves site time for the pages, also while an unfinished cycle holds it."""
    real = RealClock()
    while True:
        write_clock(site.clock_file, clock.now(), real.now(), speed)
        await asyncio.sleep(0.5)


async def _heard(work: Coroutine[Any, Any, None], control: Control, ends_the_run: bool = False) -> None:
    """Work beside the loop whose failure is said, and ends the run where nothing could go on without it."""
    try:
        await work
    except Exception as error:
        control.say("alarm", f"{type(error).__name__}: {error}")
        if ends_the_run:
            control.stop()


def _time(
    settings: DemoSettings, scenario: Scenario, advance: Advance
) -> tuple[FastClock | LockStep, Bell, FastClock | None]:
    if settings.speed is None:
        lock_step = LockStep(scenario.start, advance)
        return lock_step, VirtualBell(lock_step), None
    fast = FastClock(scenario.start, settings.speed, advance)
    return fast, SchedulerBell(max(60.0 / settings.speed, 0.2)), fast


async def _keep_history(
    settings: DemoSettings, scenario: Scenario, control: Control, on_progress: Callable[[Progress], None]
) -> None:
    """Stores the simulated past point by point as it arrives from its own process."""
    if settings.history_days == 0:
        return
    receiving, sending = multiprocessing.Pipe(duplex=False)
    context = multiprocessing.get_context("spawn")
    process = context.Process(
        target=_tell_past,
        args=(sending, settings.buildings, scenario.start, settings.history_days, settings.seed),
        daemon=True,
    )
    process.start()
    sending.close()
    try:
        while (message := await asyncio.to_thread(_receive, receiving)) != THE_END:
            if message is None:
                raise RuntimeError("the process that simulates the past has died; history ends early")
            if isinstance(message, Progress):
                on_progress(message)
            else:
                await control.keep(message)
    finally:
        process.terminate()
        receiving.close()


def _receive(receiving: Connection) -> Any:
    """The next message of the past, or None when its process is gone."""
    try:
        return receiving.recv()
    except (EOFError, OSError):
        return None


def _tell_past(sending: Connection, buildings: Path, end: datetime, days: int, seed: int) -> None:
    """In the child: simulates the past and sends it in batches, building meters first."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.nice(10)  # the first plan comes first
    with contextlib.suppress(BrokenPipeError):
        district = read_district(buildings)
        report = lambda done, total: sending.send(Progress("simulating the past", done, total))  # noqa: E731
        batch: list[tuple[str, Slots, Floats]] = []
        for series in past(district, end=end, days=days, seed=seed, progress=report):
            batch.append(series)
            if len(batch) >= BATCH:
                sending.send(batch)
                batch = []
        sending.send(batch)
        sending.send(THE_END)


def report(totals: Totals, district: District, settings: DemoSettings) -> dict[str, Any]:
    """The one line of figures that a headless run ends with."""
    plan_s = sorted(totals.plan_seconds)
    return {
        "plans": totals.plans,
        "setpoints_written": totals.setpoints_written,
        "setpoints_confirmed": totals.setpoints_confirmed,
        "setpoints_refused": totals.refused,
        "setpoints_overridden": totals.overridden,
        "bad_quality": totals.bad_quality,
        "fallbacks": totals.fallbacks,
        "cold_starts": totals.cold_starts,
        "points_read": totals.points_read,
        "dwellings": len(district.dwellings),
        "buildings": len(district.buildings),
        "bacnet_devices": sum(1 for b in district.buses.values() if b.protocol == "bacnet"),
        "modbus_units": sum(1 for d in district.devices if d.bus.protocol == "modbus"),
        "readings_stored": totals.readings_stored,
        "plan_seconds": round(plan_s[len(plan_s) // 2], 2) if plan_s else None,
        "cycle_seconds": round(max(totals.cycle_seconds), 2) if totals.cycle_seconds else None,
        "relinquished_at_exit": totals.relinquished_at_exit,
    }
