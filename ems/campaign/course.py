"""One course: a small district, one seed, some days; troubles in its first half, none in its second."""

from __future__ import annotations

import asyncio
import hashlib
import math
import random
import resource
import shutil
import sqlite3
import tempfile
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import numpy as np

from ems.bms import Field, Patience
from ems.bms.line import Line
from ems.campaign.invariants import BACKUP_EVERY, Invariants, Violation
from ems.campaign.life import KilledError, Life, VirtualLine, WatchedStore, open_store
from ems.campaign.planners import REAL_HORIZON, STUB_HORIZON, TroubledPlanner, planner_for
from ems.campaign.plant import Plant
from ems.campaign.swarm import small_district
from ems.campaign.time import SlotBell, SteppedClock, VirtualLoop, run_virtually
from ems.campaign.trouble import Trouble, draw
from ems.district import Bus, Wire, read_district
from ems.feeds.weather import write_weather_file
from ems.loop.control import Control
from ems.loop.events import Event, Settings
from ems.loop.lead import NotLeaderError
from ems.points import Quality
from ems.series import Forecast
from ems.slots import SLOT, SLOT_SECONDS, Slots, floor, slot_number
from ems.store import Store, StoreBusy
from ems.store.backup import Backup, back_up, read_backup, restore
from ems.store.readings import Row
from ems.store.requests import Handover

MOST_LIVES = 60
START = datetime(2026, 3, 27, 0, 0, tzinfo=UTC)  # two days on, the clocks change
AUTUMN = datetime(2026, 10, 23, 0, 0, tzinfo=UTC)  # the same; each fifth seed begins here
SETTINGS = {
    "sweep_every": SLOT,
    "patience": timedelta(seconds=30),
    "exit_patience": timedelta(seconds=1),
    "lease": timedelta(hours=1),
    "pulse": timedelta(minutes=5),
    "watches_disk": False,
    "threads": False,
}


class ThrashingError(RuntimeError):
    """The control process dies again and again."""


@dataclass
class Outcome:
    """What came of one course."""

    seed: int
    days: float
    real: bool
    points: int
    violations: list[Violation] = field(default_factory=list)
    lost_readings: int = 0
    since_backup: int = 0  # readings that went with a database that broke: they came after the last back-up
    missed: int = 0
    false_alarms: int = 0
    writes: int = 0
    readings: int = 0
    troubles: Counter[str] = field(default_factory=Counter)
    ways: Counter[str] = field(default_factory=Counter)
    log: list[str] = field(default_factory=list)
    digest: str = ""
    planned: int = 0  # troubles
    cpu_s: float = 0.0
    memory_mb: list[float] = field(default_factory=list)  # once a day, when asked for
    open_files: list[int] = field(default_factory=list)
    log_mb: list[float] = field(default_factory=list)  # the write-ahead log of the database


class Course:
    """Runs one seed. The folder holds the site's real database and files."""

    def __init__(
        self,
        seed: int,
        days: float,
        folder: Path,
        *,
        real: bool = False,
        only: Iterable[str] = (),
        keep: Iterable[int] | None = None,
        watch_memory: bool = False,
        buildings: Path | None = None,
    ) -> None:
        self.seed, self.days, self.folder, self.real = seed, days, folder, real
        chance = random.Random(seed)
        random.seed(seed)  # the pauses between probes
        self.whole = buildings is not None
        self.district = small_district(seed, folder / "buildings") if buildings is None else read_district(buildings)
        self.start = AUTUMN if seed % 5 == 0 else START
        self.loop = VirtualLoop()
        self.clock = SteppedClock(self.loop, self.start)
        self.plant = Plant(self.district, self.start, random.Random(seed + 1))
        self.troubles = draw(self.district, self.start, days, chance, only)
        if keep is not None:
            self.troubles.planned = [self.troubles.planned[k] for k in keep]
        self.watch_memory = watch_memory
        self.acknowledged: list[Row] = []
        self.events: list[str] = []
        self.outcome = Outcome(seed, days, real, len(self.district.wires), planned=len(self.troubles.planned))
        self.life = Life(0)
        self.holder: sqlite3.Connection | None = None
        self._control: Control | None = None
        self._task: asyncio.Task[None] | None = None
        self._store: WatchedStore | None = None
        self._chance = random.Random(seed + 2)
        self._backup: Backup | None = None

    def run(self) -> Outcome:
        """The whole course; what did not hold is in the outcome."""
        try:
            run_virtually(self._run(), self.loop)
        except Exception as error:  # the loop came to an end it should not have
            said = f"{type(error).__name__}: {error}"
            self.outcome.violations.append(Violation(self.clock.true_now(), "ended", said))
            self.outcome.log = [*self.events, said]
        return self.outcome

    async def _run(self) -> None:
        self._forecast_weather()
        self._begin_life()
        eyes = self._eyes = Invariants(self.district, self.plant, self.folder / "site.db")
        end = self.start + timedelta(days=self.days)
        healed_at = self.start + timedelta(days=self.days) / 2 + SLOT
        now = self.start
        while now < end:
            await self._until(now, now + timedelta(minutes=5))
            now += timedelta(minutes=5)
            eyes.check_writes(self.troubles.on, self.life.number)
            if (now - self.start) % BACKUP_EVERY == BACKUP_AT:
                self._back_up(now)
            if self.watch_memory and now.hour == now.minute == 0:
                self._weigh()
            if now.minute % 15 == 5 and not self.troubles.is_on("corrupt", ""):
                honest = not any(t.kind.name in BLINDS for t in self._near(now))
                disturbed = any(t.kind.name in STOPS for t in self._near(now))
                eyes.check_state(now, reachable=not disturbed, honest_tank=honest)
                if now > healed_at + 3 * SLOT and not self.clock.stepped:
                    eyes.check_decision(now)
        await self._end(eyes, end)

    def _back_up(self, now: datetime) -> None:
        """As the timer of a site does; only where something will be restored, for it takes its time."""
        if any(t.kind.name == "corrupt" for t in self.troubles.planned) and not self.troubles.is_on("corrupt", ""):
            older = self._backup
            self._backup = back_up(self.folder, self.folder / "backups", now)
            if older is not None:  # a month of them at full size is more than a machine holds
                shutil.rmtree(older.folder)

    def _weigh(self) -> None:
        """What the process has come to; the campaign's own memory of the past is not to be counted."""
        self._eyes.forget_before(slot_number(self.clock.true_now()) - 2 * 96)
        del self.acknowledged[:-5000]
        del self.events[:-1000]
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        self.outcome.memory_mb.append(pages * resource.getpagesize() / 2**20)
        self.outcome.open_files.append(len(list(Path("/proc/self/fd").iterdir())))
        log = self.folder / "site.db-wal"
        self.outcome.log_mb.append(log.stat().st_size / 2**20 if log.exists() else 0.0)

    def _near(self, now: datetime) -> list[Trouble]:
        """Troubles of the hour and of the two hours before."""
        return [t for t in self.troubles.planned if t.begins <= now <= t.ends + timedelta(hours=2)]

    async def _until(self, now: datetime, instant: datetime) -> None:
        """Lets the loop live up to an instant; what begins and ends meanwhile is done just before it."""
        while now < instant:
            edges = [e for t in self.troubles.planned for e in (t.begins, t.ends) if now < e <= instant]
            step = now = min([instant, *edges])
            # One breath before: the plant and the troubles of an instant are there before the loop looks.
            await asyncio.sleep((step - self.clock.true_now()).total_seconds() - 1e-3)
            self.plant.advance(step)
            begun, ended = self.troubles.at(step)
            for trouble in ended:
                await self._heal(trouble)
            for trouble in begun:
                await self._harm(trouble)
            if slot_number(step) % 16 == 0 and step == floor(step):
                self._forecast_weather()
            await asyncio.sleep(2e-3)
            if self._task is None:
                self._begin_life()
            elif self._task.done():
                self._eyes.check_writes(self.troubles.on, self.life.number)
                self._bury()
                if self.life.number > MOST_LIVES:
                    raise ThrashingError(f"{MOST_LIVES} processes have died; the last words: {self.events[-1]}")
                self._begin_life()

    # Lives

    def _begin_life(self, dies_at: int | None = None) -> None:
        self.life = Life(self.life.number + 1, dies_at)
        life = self.life
        try:
            self._store = open_store(self.folder, life, self.acknowledged, lambda concern: None)
            self._hinder_disk()
        except StoreBusy as busy:  # whoever supervises it tries again
            self.events.append(f"{life.number} cannot start: {busy}")
            self.life = Life(life.number - 1)  # it never lived
            return

        def line_of(bus: Bus, wires: Sequence[Wire], patience: Patience) -> Line:
            return VirtualLine(bus, wires, patience, self.plant, self.troubles, life)

        own = planner_for(self.district, self.seed, life.number, real=self.real, whole=self.whole)
        planner = TroubledPlanner(own, self.troubles)
        self._control = Control(
            self.district,
            field_link=Field(self.district.wires, patience=Patience(60.0, 300.0), line_of=line_of),
            store=self._store,
            planner=planner,
            clock=self.clock,
            bell=SlotBell(self.clock),
            settings=Settings(
                owner=f"life {life.number}",
                folder=self.folder,
                weather_file=self.folder / "weather.json",
                horizon_slots=REAL_HORIZON if self.real else STUB_HORIZON,
                **SETTINGS,  # type: ignore[arg-type]
            ),
            on_event=self._hear,
            real=_TrueClock(self.clock),
            elapsed=self.loop.time,
        )
        self._task = asyncio.create_task(self._live(self._control))

    async def _live(self, control: Control) -> None:
        with suppress(KilledError):
            await control.run()

    def _hear(self, event: Event) -> None:
        if not self.life.dead:
            self.events.append(f"{self.life.number} {event}")

    def _bury(self) -> None:
        """A dead process lets go of its locks; nothing it had under way reaches anything."""
        task, store = self._task, self._store
        assert task is not None and store is not None
        if task.done() and not task.cancelled() and task.exception() is not None:
            self.events.append(f"{self.life.number} ended: {task.exception()!r}")
        for other in asyncio.all_tasks():
            if other is not asyncio.current_task():
                other.cancel()
        store.close()
        self._task = None

    # Troubles

    async def _harm(self, trouble: Trouble) -> None:
        self.outcome.troubles[trouble.kind.name] += 1
        self.events.append(f"+ {trouble}")
        now = self.clock.true_now()
        match trouble.kind.name:
            case "reboot" if not self.plant.would_show(trouble.subject):
                self.troubles.cancel(trouble)
            case "reboot":
                self.plant.reboot(trouble.subject)
            case "manual":
                write = self.district.wires[trouble.subject].measure.write
                assert write is not None
                self.plant.manual[trouble.subject] = write.maximum if trouble.size < 0.5 else write.minimum
            case "database-held" | "disk-full" | "disk-read-only" if self.troubles.is_on("corrupt", ""):
                self.troubles.cancel(trouble)  # nothing is left that could be held or filled
            case "database-held" if self.holder is None:
                self.holder = sqlite3.connect(self.folder / "site.db", isolation_level=None, timeout=1.0)
                self.holder.execute("BEGIN IMMEDIATE")
            case "weather-absurd":
                self._write_weather(900.0)
            case "disk-full" | "disk-read-only":
                self._hinder_disk()
            case "corrupt" if self._backup is None or self.holder is not None:
                self.troubles.cancel(trouble)
            case "corrupt":
                self._break_database()
            case "forecasts-diverge" if now - self.start < TELLS_FROM:
                self.troubles.cancel(trouble)
            case "paused":
                self.life.stops_at = self.life.steps + 1 + int(trouble.size * 70)
                self.life.on_stop = partial(self._pause, timedelta(minutes=1 + 9 * trouble.size))
            case "weather-gone":
                (self.folder / "weather.json").unlink(missing_ok=True)
            case "clock-back" | "clock-forward":
                hours = 1 if trouble.kind.name == "clock-forward" else -1
                self.clock.stepped += timedelta(hours=hours)
            case "kill":
                self.life.dies_at = self.life.steps + 1 + int(trouble.size * 70)
            case "rival":
                await self._rival()
            case "handed-back":
                Handover(self.folder).give(trouble.subject, "campaign", now)
            case "locked" if self.holder is not None or any(self.troubles.is_on(k, "") for k in BROKEN):
                self.troubles.cancel(trouble)
            case "locked":
                with Store.open(f"sqlite:///{self.folder / 'site.db'}") as store:
                    store.save_maintenance(trouble.subject, "campaign", "work", trouble.ends)

    async def _heal(self, trouble: Trouble) -> None:
        self.events.append(f"- {trouble}")
        match trouble.kind.name:
            case "manual":
                self.plant.manual.pop(trouble.subject, None)
            case "database-held" if self.holder is not None:
                if not self.troubles.is_on("database-held", ""):
                    self.holder.close()
                    self.holder = None
            case "weather-gone" | "weather-absurd":
                self._forecast_weather()
            case "disk-full" | "disk-read-only":
                self._free_disk(trouble.kind.name)
            case "corrupt" if self._backup is not None and not self.troubles.is_on("corrupt", ""):
                self._restore(self._backup)
            case "clock-back" | "clock-forward":
                hours = 1 if trouble.kind.name == "clock-forward" else -1
                self.clock.stepped -= timedelta(hours=hours)
            case "handed-back" if not self.troubles.is_on("handed-back", trouble.subject):
                Handover(self.folder).take(trouble.subject)

    def _hinder_disk(self) -> None:
        """What SQLite itself does on a disk that is full, and on one that was mounted read-only after an error."""
        database = None if self._store is None else self._store.mortal
        if database is None:
            return
        if self.troubles.is_on("disk-full", ""):
            database.tell("CREATE TABLE IF NOT EXISTS filling (content BLOB) STRICT")
            database.tell(f"INSERT INTO filling VALUES (zeroblob({database.tell('PRAGMA freelist_count')} * 4096))")
            database.tell(f"PRAGMA max_page_count={database.tell('PRAGMA page_count')}")
        if self.troubles.is_on("disk-read-only", ""):
            database.tell("PRAGMA query_only=ON")

    def _free_disk(self, kind: str) -> None:
        if self._task is None or self._store is None or self.troubles.is_on(kind, ""):
            return
        database = self._store.mortal
        if kind == "disk-read-only":
            database.tell("PRAGMA query_only=OFF")
        else:
            database.tell("PRAGMA max_page_count=1000000")
            database.tell("DROP TABLE IF EXISTS filling")

    def _break_database(self) -> None:
        """The process dies and its disk comes back with zeros at the beginning of the file."""
        if self._task is not None:
            self._eyes.check_writes(self.troubles.on, self.life.number)
            self.life.dead = True
            self._bury()
        site = self.folder / "site.db"
        for log in (site.with_name("site.db-wal"), site.with_name("site.db-shm")):
            log.unlink(missing_ok=True)
        with site.open("r+b") as file:
            file.write(bytes(4096))
        # The dead-man process, which has tests of its own, gives back what stands in the devices.
        self.plant.held = {p: h for p, h in self.plant.held.items() if p.endswith("heartbeat_count")}

    def _restore(self, backup: Backup) -> None:
        """What a person does then. What was measured since the back-up is gone, and counted."""
        restore(read_backup(backup.folder), self.folder, self.clock.true_now())
        self._eyes.look_again()
        with Store.read_only(f"sqlite:///{self.folder / 'site.db'}") as store:
            found = store.history(sorted({p for p, *_ in self.acknowledged}), self._so_far())
        kept = []
        for row in self.acknowledged:
            at = (row[1] - int(found.slots.start.timestamp())) // SLOT_SECONDS
            known = row[2] is not None and not math.isnan(found.values[row[0]][at])
            if known or row[1] < backup.made_at.timestamp() - BACKUP_SLACK_S:
                kept.append(row)
        self.outcome.since_backup += len(self.acknowledged) - len(kept)
        self.acknowledged[:] = kept

    def _so_far(self) -> Slots:
        begin = self.start - timedelta(hours=2)  # somebody may have stepped the clock
        return Slots(begin, (self.clock.true_now() + timedelta(hours=2) - begin) // SLOT)

    def _pause(self, length: timedelta) -> None:
        """Time passes for everything but the process, in the middle of whatever it was about to do."""
        self.loop.passed_s += length.total_seconds()
        self.plant.advance(self.clock.true_now())

    async def _rival(self) -> None:
        """A second control process is started by mistake: it must not come to write."""
        if self.troubles.is_on("corrupt", ""):
            return  # it does not even start
        try:
            store = open_store(self.folder, Life(-1), [], lambda concern: None)
        except StoreBusy:
            return  # nor where somebody holds the database
        try:
            taken = store.leadership.take("rival", self.clock.true_now())
            if not hasattr(taken, "expired"):
                raise NotLeaderError("a rival became leader beside a living one")
        finally:
            store.close()

    def _forecast_weather(self) -> None:
        if not self.troubles.is_on("weather-gone", "") and not self.troubles.is_on("weather-absurd", ""):
            self._write_weather(10.0)

    def _write_weather(self, outdoor_c: float) -> None:
        slots = Slots(floor(self.clock.now()), 192)
        row = np.full(slots.count, outdoor_c)
        point = "station/weather/outdoor_temperature_c"
        known = {point: Forecast(point, slots.start, slots, row - 1, row, row + 1, "campaign")}
        write_weather_file(self.folder / "weather.json", known)

    # The end

    async def _end(self, eyes: Invariants, end: datetime) -> None:
        """Nothing may be left of the troubles; then the process stops politely and gives everything back."""
        control, outcome = self._control, self.outcome
        assert control is not None and self._store is not None and self._task is not None
        if control.totals.cycles and control.watch.standing:
            held = {k for k, _ in control.watch.standing if k not in PASSING}
            if held:
                eyes.note(end, "not-healed", f"still wrong: {sorted(held)}")
        control.stop()
        await self._task
        self.plant.advance(self.clock.true_now())
        eyes.check_writes(self.troubles.on, self.life.number)
        left = {p for p in self.plant.held if not p.endswith("heartbeat_count")}
        if left:
            eyes.note(end, "left-behind", f"{sorted(left)} stand after a polite end")
        if self._store.backlog:
            eyes.note(end, "left-behind", f"{self._store.backlog} readings wait in the spool")
        outcome.lost_readings = eyes.check_readings(self.acknowledged, self.troubles.planned, end)
        outcome.missed, outcome.false_alarms = eyes.check_alarms(self.troubles.planned, end)
        self._store.close()
        eyes.close()
        outcome.violations = [v for v in eyes.violations if v.rule not in ("missed", "false-alarm", "lost-reading")]
        outcome.log = [*self.events, *map(str, eyes.violations)]
        outcome.writes = len(self.plant.landed)
        outcome.readings = sum(1 for r in self.acknowledged if r[3] is Quality.GOOD)
        outcome.ways = Counter(
            {"plan": control.totals.plans, "shifted": control.totals.shifted_plans, "rules": control.totals.ruled}
        )
        landed = [f"{w.at.isoformat()} {w.command.point} {w.command.value}" for w in self.plant.landed]
        outcome.digest = hashlib.sha256("\n".join([*self.events, *landed]).encode()).hexdigest()[:16]


class _TrueClock:
    """The time by which leases are judged: nobody steps it here."""

    def __init__(self, clock: SteppedClock) -> None:
        self.now = clock.true_now


# Troubles under which the loop cannot know a tank, and those under which it cannot take its commands back.
BLINDS = (
    "bus-off",
    "manual",
    "not-applied",
    "reboot",
    "database-held",
    "clock-forward",
    "clock-back",
    "not-acknowledged",
    "garbled",
    "disk-full",
    "disk-read-only",
    "corrupt",
    "paused",
)
STOPS = (
    "bus-off", "kill", "clock-forward", "clock-back", "not-acknowledged", "not-applied", "garbled", "corrupt", "paused",
    "disk-full",  # decisions are carried out and not on record
)  # fmt: skip
BROKEN = ("disk-full", "disk-read-only", "corrupt")  # nobody writes to the database meanwhile
TELLS_FROM = timedelta(hours=26)  # with less than a day of history no forecast is judged
BACKUP_AT = timedelta(minutes=5)  # of each six hours
BACKUP_SLACK_S = 2 * SLOT_SECONDS  # readings of a quarter-hour are saved after its end
PASSING = ("command-expired", "clock-stepped", "meter-changed")


def run_course(
    seed: int,
    days: float,
    *,
    real: bool = False,
    only: Iterable[str] = (),
    keep: Iterable[int] | None = None,
    watch_memory: bool = False,
    buildings: Path | None = None,
) -> Outcome:
    """One seed in a folder of its own, in memory where the machine has such a place.

    `only` names the kinds of trouble that may happen, `keep` those planned troubles that shall. `buildings` is a folder
    of a district to take in the place of a small one.
    """
    shm, begun = Path("/dev/shm"), _cpu_s()
    with tempfile.TemporaryDirectory(prefix="ems-campaign-", dir=shm if shm.is_dir() else None) as folder:
        outcome = Course(
            seed,
            days,
            Path(folder),
            real=real,
            only=only,
            keep=keep,
            watch_memory=watch_memory,
            buildings=buildings,
        ).run()
    outcome.cpu_s = _cpu_s() - begun
    return outcome


def _cpu_s() -> float:
    """Of this process so far: a machine that others use too makes no course longer by it."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime
