"""The cycle: snapshot in, plan out, writes last; once every quarter-hour, unattended.

field -> snapshot -> forecast -> plan -> write gate -> field -> read-back -> record. Nothing in the middle reads a
device, a clock or a database. Every step of a slot is memoised in the journal: after a crash the same slot goes on with
the same forecast and the same plan. What fails is named, counted and shown; the loop itself goes on.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar, assert_never

from ems.bms import FieldLink
from ems.command import Command, Outcome, Overridden, Refused, Unreachable, Written
from ems.dispatch import Permission, due, heartbeats, permit, verify
from ems.district import District
from ems.estimate import sessions
from ems.feeds import Absent, read_weather_file
from ems.forecast import history_points
from ems.loop import memory
from ems.loop.bell import Bell
from ems.loop.clock import Clock, FastClock, RealClock
from ems.loop.minutes import Minutes, Reading
from ems.loop.planner import Planner
from ems.loop.recent import Recent
from ems.optimise import Plan
from ems.points import Quality, Sample
from ems.series import Floats, Forecast, History
from ems.slots import SLOT, Slots, floor, slot_number, slot_start
from ems.snapshot import Session, Snapshot
from ems.store import HeldBy, LeadershipLost, Lease, Store, StoreBusy, StoreError

T = TypeVar("T")

HISTORY = timedelta(days=35)
HORIZON_SLOTS = 192
PLAN_HOLDS = timedelta(hours=2)  # how long an older plan may stand in for one that failed
WEATHER_HOLDS = timedelta(hours=12)
REFRESH_EVERY = timedelta(seconds=55)  # of site time: a bell that rings each minute is never just too early
LEASE = timedelta(minutes=3)  # of real time: leadership outlives one slow cycle, and not much more


@dataclass(frozen=True)
class Event:
    """Something a person should know. `kind`: info, fallback, alarm or recovered."""

    at: datetime
    kind: str
    text: str

    def __str__(self) -> str:
        return f"{self.at:%Y-%m-%d %H:%M} {self.kind}: {self.text}"


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
    points_read: int = 0  # in the last sweep
    sweeps: int = 0
    readings_stored: int = 0
    relinquished_at_exit: int = 0
    cold_starts: int = 0  # meters forecast without any history of their own, in the last cycle
    plan_seconds: list[float] = field(default_factory=list)
    cycle_seconds: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class Settings:
    """How one control loop runs."""

    owner: str
    weather_file: Path | None = None
    sweep_every: timedelta = timedelta(minutes=1)
    horizon_slots: int = HORIZON_SLOTS
    patience: timedelta = timedelta(minutes=1)  # of real time, for a database that somebody holds
    exit_patience: timedelta = timedelta(seconds=6)  # the same once the field is given back


class NotLeaderError(RuntimeError):
    """Another process controls this site: two loops on one field would fight."""


class Control:
    """One district under control.

    `on_event` hears every event as it happens; `totals`, `plan` and `events` are for whoever shows the loop.
    """

    def __init__(
        self,
        district: District,
        *,
        field_link: FieldLink,
        store: Store,
        planner: Planner,
        clock: Clock,
        bell: Bell,
        settings: Settings,
        on_event: Callable[[Event], None] = lambda event: None,
        on_cycle: Callable[[Control], Awaitable[None]] | None = None,
    ) -> None:
        self.district = district
        self.field = field_link
        self.store = store
        self.planner = planner
        self.clock = clock
        self.bell = bell
        self.settings = settings
        self.on_event = on_event
        self.on_cycle = on_cycle
        self.totals = Totals()
        self.plan: Plan | None = None
        self.events: list[Event] = []
        self.samples: dict[str, Sample] = {}
        self.seconds: dict[str, float] = {}  # of the last finished cycle, by part
        self._timing: dict[str, float] = {}  # of the running one
        self.sessions: dict[str, Session] = {}
        self.real = RealClock()  # for leadership, which other processes judge by
        self._lease: Lease | None = None
        self._failed = 0  # cycles that ended without a plan of their own
        self._beats = heartbeats(district)
        self._recent = Recent(store.history, history_points(district))
        measured = frozenset(p for p, w in district.wires.items() if not w.writable)
        self._minutes = Minutes(measured, settings.sweep_every)
        self._overridden: dict[str, float] = {}  # points held by somebody at the device, and what we hold below
        self._unheard: set[str] = set()  # points whose watchdog cannot be kept content
        self._open_slot: int | None = None  # the slot whose run is begun and not closed
        self._silent: set[str] = set()  # buses that do not answer
        self._absent: set[str] = set()  # feeds that are missing
        self._last_sweep: datetime | None = None
        self._last_slot: int | None = None
        self._refreshed_at: datetime | None = None
        self._stopping = asyncio.Event()
        self._in_field = 0  # requests under way that a stop must not tear
        self._store_lock = asyncio.Lock()
        self._busy_since: float | None = None

    # Running

    async def run(self, cycles: int | None = None) -> Totals:
        """Runs until `stop`, or for a number of cycles; then gives every command back."""
        await self.lead()
        await self.bell.start()
        alive = asyncio.create_task(self._keep_alive())
        try:
            while True:
                await self._interruptible(self.tick(self.clock.now()))
                if self._stopping.is_set() or (cycles is not None and self.totals.plans + self._failed >= cycles):
                    break
                await self._interruptible(self.bell.ring())
                if self._stopping.is_set():
                    break
        except LeadershipLost:
            self._lease = None  # the field is another process's now: nothing more is written, not even a release
            raise
        finally:
            self._stopping.set()
            await self.bell.stop()
            await alive
            if self._lease is not None:
                await self._leave(self._lease)
        return self.totals

    async def _leave(self, lease: Lease) -> None:
        """Gives the field back and the lock up, as far as the store lets us: the field comes first."""
        await self.relinquish()
        with self._said_if_store_fails("the end of this run is not on record"):
            if (slot := self._open_slot) is not None:
                await self._stored(
                    lambda: self.store.journal.close_run(slot, "failed", self.clock.now(), "stopped"),
                    self.settings.exit_patience,
                )
            await self._stored(
                lambda: self.store.leadership.release(lease, self.real.now()), self.settings.exit_patience
            )

    @contextmanager
    def _said_if_store_fails(self, what: str) -> Iterator[None]:
        try:
            yield
        except StoreError as error:
            self.say("alarm", f"{what}: {error}")

    def stop(self) -> None:
        """Ends the run: thinking and waiting at once, writing when it is done."""
        self._stopping.set()

    async def _interruptible(self, work: Coroutine[Any, Any, None]) -> None:
        """Lets `work` run, until `stop` comes and nothing is under way on a bus."""
        task, stopped = asyncio.ensure_future(work), asyncio.ensure_future(self._stopping.wait())
        try:
            await asyncio.wait({task, stopped}, return_when=asyncio.FIRST_COMPLETED)
            while not task.done() and self._in_field:
                await asyncio.wait({task}, timeout=0.05)
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        finally:
            stopped.cancel()
            task.cancel()

    @contextmanager
    def _undisturbed(self) -> Iterator[None]:
        """What is under way on a bus is brought to its end, whatever else ends."""
        self._in_field += 1
        try:
            yield
        finally:
            self._in_field -= 1

    def say(self, kind: str, text: str) -> None:
        event = Event(self.clock.now(), kind, text)
        self.events.append(event)
        del self.events[:-500]
        if kind == "fallback":
            self.totals.fallbacks += 1
        self.on_event(event)

    async def lead(self) -> None:
        """Takes the lock of this site. Raises NotLeaderError while another process holds it."""
        taken = await self._stored(lambda: self.store.leadership.take(self.settings.owner, self.real.now(), LEASE))
        if isinstance(taken, HeldBy):
            raise NotLeaderError(
                f"{taken.owner} controls this site (until {taken.expires_at:%H:%M:%S} UTC); stop it first"
            )
        self._lease = taken
        # What a process before this one left in devices is kept alive, and expires, as if it were ours.
        self.field.adopt(await self._stored(self.store.journal.standing))

    async def tick(self, now: datetime) -> None:
        """One ring of the bell. The loop outlives whatever goes wrong in it, except that it leads no longer."""
        begun = time.monotonic()
        slot = slot_number(now)
        if self._last_slot is not None and slot < self._last_slot:
            self.say("alarm", f"the clock went back to {now:%Y-%m-%d %H:%M:%S}; decided slots are not decided again")
        deciding = slot != self._last_slot
        try:
            await self._renew_lease()
            await self._refresh(now)
            if deciding:
                self._last_slot = slot
                if isinstance(self.clock, FastClock):
                    self.clock.hold_at = slot_start(slot + 1)  # site time waits for an unfinished cycle
                await self.cycle(slot, now)
            elif self._last_sweep is None or not timedelta(0) <= now - self._last_sweep < self.settings.sweep_every:
                await self._sweep(now)
        except (asyncio.CancelledError, LeadershipLost):
            raise
        except Exception as error:
            self.say("alarm", f"{slot_start(slot):%H:%M}: {type(error).__name__}: {error}; the loop goes on")
            if deciding:
                self._failed += 1
                await self._close_failed(slot, error)
        finally:
            if deciding:
                self.totals.cycle_seconds.append(time.monotonic() - begun)
                if isinstance(self.clock, FastClock):
                    self.clock.hold_at = None
        if deciding and self.on_cycle is not None:
            await self.on_cycle(self)

    async def _close_failed(self, slot: int, error: Exception) -> None:
        with self._said_if_store_fails("the failed cycle is not on record"):
            why = f"{type(error).__name__}: {error}"
            await self._stored(
                lambda: self.store.journal.close_run(slot, "failed", self.clock.now(), why), self.settings.exit_patience
            )
            self._open_slot = None

    async def _renew_lease(self) -> None:
        lease = self._lease
        assert lease is not None
        try:
            self._lease = await self._stored(
                lambda: self.store.leadership.renew(lease, self.real.now(), LEASE), timedelta(0)
            )
        except StoreBusy:
            return  # said already; the row is renewed with the next ring, and the lock is held all the same

    async def _refresh(self, now: datetime) -> None:
        """Keeps the devices' watchdogs content, once a site minute."""
        # A clock that went back must not silence the heartbeats: anything but a little later is due.
        if self._refreshed_at is not None and timedelta(0) <= now - self._refreshed_at < REFRESH_EVERY:
            return
        self._refreshed_at = now
        before = self.field.standing
        with self._undisturbed():
            outcomes = await self.field.refresh(now)
        unheard = sorted(p for p, outcome in outcomes.items() if isinstance(outcome, Refused))
        for point in [p for p in unheard if p not in self._unheard]:
            self.say("alarm", f"{point} cannot be kept alive: {outcomes[point]}")
        self._unheard = set(unheard)
        expired = [command for point, command in before.items() if point not in self.field.standing]
        if expired:
            self.say("alarm", f"{len(expired)} commands expired and were given back, first {expired[0].point}")
            await self._record_given_back(expired)

    async def _keep_alive(self) -> None:
        """The same while a long cycle keeps the loop busy. In lock-step time stands still then, and so does this."""
        while not self._stopping.is_set():
            await asyncio.sleep(0.1)
            try:
                await self._refresh(self.clock.now())
            except Exception as error:
                self.say("alarm", f"devices could not be kept alive: {type(error).__name__}: {error}")

    # One cycle

    async def cycle(self, slot: int, now: datetime) -> None:
        """One slot from snapshot to record; or the rest of it, if a process before this one was killed in it."""
        began = len(self.events)
        journal, fence = self.store.journal, self.fence
        run = await self._stored(lambda: journal.open_run(slot, now, fence))
        self._timing = {}
        with self._timed("sweep"):
            await self._sweep(now)
        if run.state != "running":
            self.say("info", f"{slot_start(slot):%H:%M} is {run.state} already; the next slot is decided as usual")
            return
        self._open_slot = slot
        snapshot = await self._step(slot, "snapshot", self._snapshot, memory.dump_snapshot, memory.load_snapshot)
        standing = await self._stored(journal.last_confirmed)
        seen = Snapshot(at=now, samples=self.samples)  # not the recalled one: a resumed slot has written since
        deviations = [d for d in verify(standing, seen) if d.point not in self._overridden]
        for deviation in deviations:
            self.say("alarm", f"{deviation}; it is written again")

        slots = Slots(slot_start(slot), self.settings.horizon_slots)
        forecasts = await self._step(
            slot, "forecasts", lambda: self._forecast(slots, now), memory.dump_forecasts, memory.load_forecasts
        )
        plan = await self._planned(slot, snapshot, forecasts, slots)
        permission = await self._step(
            slot,
            "commands",
            lambda: self._permitted(plan, snapshot, standing),
            memory.dump_permission,
            memory.load_permission,
        )
        await self._stored(lambda: journal.commit_intents(permission.allowed, fence))
        with self._timed("write"), self._undisturbed():
            outcomes = await self._write(permission.allowed)
        self._renew(standing, plan)
        self.seconds = self._timing
        record = memory.decision(
            slot=slot,
            now=now,
            plan=plan,
            forecasts=forecasts,
            commands=permission.allowed,
            outcomes=outcomes,
            refused=permission.refused,
            deviations=deviations,
            events=[asdict(e) for e in self.events[began:]],
            counts=self._counts(),
            seconds=self.seconds,
        )
        await self._stored(lambda: self.store.save_decision(slot, record))
        await self._stored(lambda: journal.close_run(slot, "done", self.clock.now()))
        self._open_slot = None
        if plan is None:
            self._failed += 1
        else:
            self.totals.plans += 1

    def _renew(self, standing: Mapping[str, float], plan: Plan | None) -> None:
        """Prolongs what stands while a plan holds; what nobody renews the adapters give back when it expires."""
        age = timedelta(0) if plan is not None or self.plan is None else self.clock.now() - self.plan.slots.start
        if plan is not None or (self.plan is not None and age <= PLAN_HOLDS):
            self.field.renew(standing, floor(self.clock.now()) + 2 * SLOT)

    async def _permitted(self, plan: Plan | None, snapshot: Snapshot, standing: Mapping[str, float]) -> Permission:
        """What the plan wants, through the write gate."""
        commands = due(
            plan.setpoints if plan is not None else (),
            district=self.district,
            snapshot=snapshot,
            standing=standing,
            overridden=self._overridden,
            expires_at=floor(snapshot.at) + 2 * SLOT,
        )
        permission = permit(commands, district=self.district, snapshot=snapshot, now=self.clock.now())
        self.totals.refused += len(permission.refused)
        if permission.refused:
            command, refusal = permission.refused[0]
            more = f" and {len(permission.refused) - 1} more" if len(permission.refused) > 1 else ""
            self.say("alarm", f"the gate refused {command.point} = {command.value}: it {refusal.why}{more}")
        return permission

    async def _write(self, commands: list[Command]) -> dict[str, Outcome]:
        """Writes what is not on record as written: after a crash, by the process before this one."""
        states = await self._stored(lambda: self.store.journal.states([c.key for c in commands]))
        outcomes: dict[str, Outcome] = {c.key: Written(c.value) for c in commands if states.get(c.key) == "written"}
        pending = [c for c in commands if c.key not in outcomes]
        written = await self.field.write(pending)
        outcomes |= dict(zip([c.key for c in pending], written, strict=True))
        await self._stored(lambda: self.store.journal.record_outcomes(outcomes))
        self._count(commands, outcomes)
        stand = {c.point: c.value for c in commands if isinstance(outcomes[c.key], Written)}
        await self._stored(lambda: self.store.save_setpoints(stand, self.clock.now()))
        return outcomes

    async def _planned(
        self,
        slot: int,
        snapshot: Snapshot,
        forecasts: Mapping[str, Forecast],
        slots: Slots,
    ) -> Plan | None:
        """This slot's plan; when planning fails, the older plan while it holds, else local control."""

        async def compute() -> Plan:
            plan, took = await self.planner.plan(snapshot, forecasts, slots, self.plan)
            self._timing["plan"] = took
            self.totals.plan_seconds.append(took)
            return plan

        try:
            self.plan = await self._step(slot, "plan", compute, memory.dump_plan, memory.load_plan)
            for note in self.plan.notes:
                self.say("fallback", note)
        except asyncio.CancelledError:
            raise
        except Exception as error:
            older = self.plan
            if older is not None and slots.start - older.slots.start <= PLAN_HOLDS:
                self.say("fallback", f"no plan ({type(error).__name__}: {error}); the set points of the last one stand")
            else:
                self.say("fallback", f"no plan ({type(error).__name__}: {error}); devices go back to local control")
                await self.relinquish()
            return None
        return self.plan

    async def _snapshot(self) -> Snapshot:
        at = self._last_sweep or self.clock.now()
        snapshot = Snapshot(at=at, samples=dict(self.samples))
        self.sessions = sessions(self.district, snapshot, self.sessions)
        overrides = await self._stored(lambda: self.store.overrides(at))
        return replace(snapshot, sessions=self.sessions, overrides=overrides)

    async def _forecast(self, slots: Slots, now: datetime) -> dict[str, Forecast]:
        weather = await self._weather(now)
        count = HISTORY // SLOT
        past = Slots(slots.start - count * SLOT, count)
        with self._timed("history"):
            history: History = await self._stored(lambda: self._recent.upto(past))
        forecasts, self._timing["forecast"] = await self.planner.forecast(history, weather, slots, now)
        self.totals.cold_starts = sum(1 for f in forecasts.values() if f.model.startswith("climatology"))
        return forecasts

    async def _weather(self, now: datetime) -> dict[str, Forecast]:
        path = self.settings.weather_file
        if path is None:
            found: dict[str, Forecast] | Absent = Absent("no weather feed is set up")
        else:
            found = read_weather_file(path, now, WEATHER_HOLDS)
        if isinstance(found, Absent):
            self._absent.add("weather")
            self.say("fallback", f"weather forecast: {found.why}; climatology and persistence stand in")
            return {}
        if "weather" in self._absent:
            self._absent.discard("weather")
            self.say("recovered", "the weather forecast is back")
        return found

    # The field

    async def _sweep(self, now: datetime) -> None:
        with self._undisturbed():
            self.samples = await self.field.sweep(now)
        self._last_sweep = now
        self.totals.sweeps += 1
        self.totals.points_read = sum(1 for s in self.samples.values() if s.quality is not Quality.UNREACHABLE)
        bad = sum(1 for s in self.samples.values() if not s.is_good)
        self.totals.bad_quality = max(self.totals.bad_quality, bad)
        self._watch_buses()
        await self._save(self._minutes.add(self.samples, now))

    def _watch_buses(self) -> None:
        down = {name for name, health in self.field.health.items() if not health.up}
        for name in sorted(down - self._silent):
            self.say(
                "alarm", f"{name} does not answer: {self.field.health[name].last_error}; its devices run on their own"
            )
        for name in sorted(self._silent - down):
            self.say("recovered", f"{name} answers again")
        self._silent = down

    async def _save(self, readings: list[Reading]) -> None:
        """Stores what is known. While the database is held the store keeps readings waiting, and the loop says so."""
        try:
            async with self._store_lock:
                self.totals.readings_stored += await asyncio.to_thread(self.store.save_readings, readings)
                await asyncio.to_thread(self.store.save_latest, self.samples)
        except StoreBusy as busy:
            self._database_away(busy)
        else:
            self._database_back()

    async def keep(self, series: list[tuple[str, Slots, Floats]]) -> None:
        """Stores whole series that did not come from a sweep: an imported or simulated past."""
        stored = await self._stored(lambda: self.store.save_series(series))
        self._recent.forget()
        self.totals.readings_stored += stored

    def _database_away(self, busy: StoreBusy) -> None:
        if self._busy_since is None:
            self._busy_since = time.monotonic()
            self.say("alarm", f"the database is locked ({busy}); readings wait in memory")

    def _database_back(self) -> None:
        if self._busy_since is not None:
            waited_s = time.monotonic() - self._busy_since
            self._busy_since = None
            self.say("recovered", f"the database is free again after {waited_s:.0f} s")

    async def _stored(self, call: Callable[[], T], patience: timedelta | None = None) -> T:
        """One call to the store off the event loop; while the database is locked it is tried again for a while."""
        patience = self.settings.patience if patience is None else patience
        deadline = time.monotonic() + patience.total_seconds()
        while True:
            try:
                async with self._store_lock:
                    result = await asyncio.to_thread(call)
            except StoreBusy as busy:
                self._database_away(busy)
                if time.monotonic() > deadline:
                    raise
                await asyncio.sleep(0.2)
            else:
                self._database_back()
                return result

    @contextmanager
    def _timed(self, what: str) -> Iterator[None]:
        """How long a part of the cycle took, for the decision record."""
        begun = time.monotonic()
        yield
        self._timing[what] = time.monotonic() - begun

    async def _step(
        self,
        slot: int,
        name: str,
        compute: Callable[[], Awaitable[T]],
        dump: Callable[[T], Any],
        load: Callable[[Any], T],
    ) -> T:
        """A step of this slot: computed once, then recalled, also by the process that comes after this one."""
        journal = self.store.journal
        known = await self._stored(lambda: journal.recall(slot, name))
        if known is None:
            content = dump(await compute())
            known = await self._stored(lambda: journal.remember(slot, name, content))
        # Through the journal and back in either case: a first and a resumed run see the very same thing.
        return load(known[0])

    def _count(self, commands: list[Command], outcomes: Mapping[str, Outcome]) -> None:
        for command in commands:
            outcome = outcomes[command.key]
            self.totals.setpoints_written += 1
            match outcome:
                case Written():
                    self.totals.setpoints_confirmed += 1
                    self._overridden.pop(command.point, None)
                case Overridden(read_back, holder):
                    self.totals.overridden += 1
                    if command.value is not None:
                        self._overridden[command.point] = command.value
                    self.say(
                        "alarm", f"{command.point}: asked {command.value}, stands at {read_back}: {holder} holds it"
                    )
                case Refused(why):
                    self.totals.refused += 1
                    self.say("alarm", f"{command.point} = {command.value} refused by the device: {why}")
                case Unreachable(why):
                    self.totals.unreachable += 1
                    if self.district.wires[command.point].bus.name not in self._silent:
                        self.say("alarm", f"{command.point} = {command.value} not delivered: {why}")
                case _:
                    assert_never(outcome)

    def _counts(self) -> dict[str, int]:
        return {k: v for k, v in asdict(self.totals).items() if isinstance(v, int)}

    async def relinquish(self) -> int:
        """Gives every standing command back to the devices' own control. Returns how many were given back.

        The field comes before the record: with the store gone, what this process knows to stand is given back.
        """
        now = self.clock.now()
        standing = {c.point: c for c in self.field.standing.values() if c.point not in self._beats}
        with self._said_if_store_fails("the journal cannot be read; what this process wrote is given back"):
            standing |= {
                c.point: c for c in await self._stored(self.store.journal.standing, self.settings.exit_patience)
            }
        given: list[Command] = []
        kept = list(standing.values())
        for _ in range(2):  # a lost answer is worth a second try
            outcomes = await self.field.write([_release(c, now) for c in kept])
            given += [c for c, o in zip(kept, outcomes, strict=True) if isinstance(o, Written | Overridden)]
            kept = [c for c, o in zip(kept, outcomes, strict=True) if not isinstance(o, Written | Overridden)]
            if not kept:
                break
        # A heartbeat that stops says the same as one given back, only later.
        await self.field.write(
            [Command(key=f"release:{p}", point=p, value=None, expires_at=now + SLOT) for p in sorted(self._beats)]
        )
        with self._said_if_store_fails("what was given back is not on record"):
            await self._record_given_back(given)
        self._overridden.clear()
        self.totals.relinquished_at_exit = len(given)
        if kept:
            self.say("alarm", f"{len(kept)} commands could not be given back, first {kept[0].point}")
        self.say("info", f"{len(given)} commands given back to local control")
        return len(given)

    async def _record_given_back(self, commands: list[Command]) -> None:
        """Puts on record that devices hold these commands no longer."""
        now, journal, fence = self.clock.now(), self.store.journal, self.fence
        releases = [_release(c, now) for c in commands]
        await self._stored(lambda: journal.commit_intents(releases, fence), self.settings.exit_patience)
        await self._stored(
            lambda: journal.record_outcomes({c.key: Written(None) for c in releases}), self.settings.exit_patience
        )
        await self._stored(
            lambda: self.store.save_setpoints({c.point: None for c in commands}, now), self.settings.exit_patience
        )

    @property
    def fence(self) -> int:
        """The number that shows this process to be the newest leader."""
        assert self._lease is not None
        return self._lease.fence


def _release(command: Command, now: datetime) -> Command:
    """The command that takes another one back."""
    return Command(
        key=f"release:{command.key}",
        point=command.point,
        value=None,
        expires_at=now + SLOT,
        priority=command.priority,
        previous=command.value,
    )
