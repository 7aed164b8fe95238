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
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any, TypeVar

from ems.bms import FieldLink, ShadowField
from ems.command import Command
from ems.dispatch import due, verify
from ems.district import District
from ems.estimate import observed_points, sessions
from ems.feeds import Absent, read_weather_file
from ems.forecast import history_points
from ems.loop import memory
from ems.loop.asked import HELD, Wanted
from ems.loop.bell import Bell
from ems.loop.checks import DeviceChecks
from ems.loop.clock import Clock, FastClock, RealClock
from ems.loop.events import Event, OnEvent, Settings, Totals
from ems.loop.forecasts import believed, for_people
from ems.loop.hands import Delivery, Hands, release_of
from ems.loop.homes import Homes
from ems.loop.lead import Lead, NotLeaderError, seconds_awake_or_not
from ems.loop.minutes import Minutes, Reading
from ems.loop.patience import PatientStore
from ems.loop.people import Wishes
from ems.loop.planner import Planner
from ems.loop.recent import Recent
from ems.loop.upkeep import Upkeep
from ems.loop.watch import Watch
from ems.loop.ways_down import Decided, Way, dump_decided, load_decided, refuse_unbelievable, way_down
from ems.optimise import Plan
from ems.points import Sample
from ems.series import Floats, Forecast, History
from ems.slots import SLOT, Slots, as_utc, floor, slot_number, slot_start
from ems.snapshot import Session, Snapshot
from ems.store import LeadershipLost, Store, StoreBusy, StoreError
from ems.store.ageing import OF_HOMES, OF_PLANTS
from ems.store.space import Level

__all__ = ["HISTORY", "Control", "Event", "NotLeaderError", "Settings", "Totals"]

T = TypeVar("T")

HISTORY = timedelta(days=35)
WEATHER_HOLDS = timedelta(hours=12)
ASLEEP_S = 60.0  # no sweep ends so long after the bell, unless the process stood still
DECIDES_WITHIN = 3 * SLOT  # a cycle of the last two quarter-hours, and the time that it takes


class Control:
    """One district under control.

    `on_event` hears every event as it happens, `on_alive` of every step that came to its end; `totals`, `plan` and
    `events` are for whoever shows the loop.
    `real` is the time by which other processes judge our lease, `elapsed` a timer that nobody can set.
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
        on_event: OnEvent = lambda event: None,
        on_cycle: Callable[[Control], Awaitable[None]] | None = None,
        on_alive: Callable[[], None] = lambda: None,
        real: Clock | None = None,
        elapsed: Callable[[], float] = seconds_awake_or_not,
    ) -> None:
        self.district = district
        field_link = ShadowField(field_link) if settings.shadow else field_link
        self.field = field_link
        self.store = store
        self.planner = planner
        self.clock = clock
        self.bell = bell
        self.settings = settings
        self.on_cycle = on_cycle
        self.on_alive = on_alive
        self.totals = Totals()
        self.plan: Plan | None = None
        self.seconds: dict[str, float] = {}  # of the last finished cycle, by part
        self.sessions: dict[str, Session] = {}
        self.watch = Watch(store, clock.now, self.totals, on_event)
        self.patient = PatientStore(store, settings, self.watch)
        self.lead = Lead(self.patient, settings, (real or RealClock()).now, elapsed)
        self.hands = Hands(district, field_link, self.patient, self.lead, clock, self.watch, self.totals)
        field_link.guard_writes(self.lead.objection)
        self.wishes = Wishes(settings.folder, district, self.hands, self.patient, self.watch, settings.asks_homes)
        self.checks = DeviceChecks(settings.folder, district, self.hands)
        self.homes = Homes(district)
        ages = {name: OF_HOMES if name in district.dwellings else OF_PLANTS for name in district.assets}
        self.upkeep = Upkeep(settings.folder if settings.watches_disk else None, self.patient, self.watch, ages)
        self._forecasts: dict[str, Forecast] = {}  # the last ones made, for a plan that must be shifted
        self._timing: dict[str, float] = {}  # of the running cycle
        looked_at = dict.fromkeys([*history_points(district), *observed_points(district), *self.homes.sums])
        self._recent = Recent(store.history, list(looked_at))
        measured = frozenset(p for p, w in district.wires.items() if not w.writable)
        self._minutes = Minutes(measured, settings.sweep_every)
        self._open_slot: int | None = None  # the slot whose run is begun and not closed
        self._last_slot: int | None = None
        self._elapsed = elapsed
        self._decided_at_s = self._rang_s = elapsed()  # by a timer that nobody sets
        self._stopping = asyncio.Event()
        self.lost: LeadershipLost | None = None  # set when another process took over

    @property
    def events(self) -> list[Event]:
        return self.watch.events

    @property
    def samples(self) -> dict[str, Sample]:
        """The last sweep."""
        return self.hands.samples

    def decides(self) -> bool:
        """Whether a quarter-hour was decided lately, or this process is too young to have decided one."""
        return self._elapsed() - self._decided_at_s < DECIDES_WITHIN.total_seconds()

    # Running

    async def run(self, cycles: int | None = None) -> Totals:
        """Runs until `stop`, or for a number of cycles; then gives every command back."""
        await self.start()
        alive = asyncio.create_task(self._keep_alive())
        try:
            await self.bell.start()
            while True:
                await self._interruptible(self._rung())
                if self._stopping.is_set() or (cycles is not None and self.totals.cycles >= cycles):
                    break
                await self._interruptible(self.bell.ring())
                if self._stopping.is_set():
                    break
        finally:
            self._stopping.set()
            await self.bell.stop()
            await alive
            if self.lead.holds:  # else the field is another process's now: nothing is written, not even a release
                await self._leave()
        if self.lost is not None:
            raise self.lost
        return self.totals

    async def start(self) -> None:
        """Takes the lock of this site. Raises NotLeaderError while another process holds it."""
        await self.lead.take()
        # What a process before this one left in devices is kept alive, and expires, as if it were ours.
        self.field.adopt(await self.patient.call(self.store.journal.standing))
        self._shorten(self.clock.now())
        await self.patient.call(self.watch.recall)
        await self.hands.recall()
        await self.wishes.follow()

    async def _leave(self) -> None:
        """Gives the field back and the lock up, as far as the store lets us: the field comes first."""
        await self.relinquish()
        with self.watch.said_if_store_fails("the end of this run is not on record"):
            if (slot := self._open_slot) is not None:
                await self.patient.at_exit(
                    lambda: self.store.journal.close_run(slot, "failed", self.clock.now(), "stopped")
                )
            await self.patient.at_exit(self.watch.tell)
            await self.lead.give_up()

    def stop(self) -> None:
        """Ends the run: thinking and waiting at once, writing when it is done."""
        self._stopping.set()

    async def _interruptible(self, work: Coroutine[Any, Any, None]) -> None:
        """Lets `work` run, until `stop` comes and nothing is under way on a bus."""
        task, stopped = asyncio.ensure_future(work), asyncio.ensure_future(self._stopping.wait())
        try:
            await asyncio.wait({task, stopped}, return_when=asyncio.FIRST_COMPLETED)
            while not task.done() and self.hands.busy:
                await asyncio.wait({task}, timeout=0.05)
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        finally:
            stopped.cancel()
            task.cancel()

    def say(self, kind: str, text: str) -> None:
        self.watch.say(kind, text)

    async def relinquish(self) -> int:
        """Gives every standing command back to the devices' own control. Returns how many were given back."""
        self.totals.relinquished_at_exit = await self.hands.relinquish()
        return self.totals.relinquished_at_exit

    async def _keep_alive(self) -> None:
        """Beside the cycle, however long it takes: watchdogs, leadership, and what people ask."""
        while not self._stopping.is_set():
            await asyncio.sleep(self.settings.pulse.total_seconds())
            try:
                await self.lead.renew_if_due()
                await self.wishes.follow()
                await self.hands.refresh(self.clock.now())
            except LeadershipLost as lost:
                self.lost = lost
                self.stop()
            except Exception as error:
                text = f"devices could not be kept alive: {type(error).__name__}: {error}"
                if self.watch.standing.get(("cycle-failed", "keep-alive")) != text:  # else ten times a second
                    self.watch.wrong("cycle-failed", "keep-alive", text)
            else:
                self.watch.right("cycle-failed", "keep-alive", "devices are kept alive again")

    async def _rung(self) -> None:
        """A tick of now: the time is asked when it begins, for the process may have stood still since the bell rang."""
        await self.tick(self.clock.now())

    async def tick(self, now: datetime) -> None:
        """One ring of the bell. The loop outlives whatever goes wrong in it, except that it leads no longer."""
        begun, self._rang_s = time.monotonic(), self._elapsed()
        slot = slot_number(now)
        if self._last_slot is not None and slot < self._last_slot:
            text = f"the clock went back to {now:%Y-%m-%d %H:%M:%S}; decided slots are not decided again"
            self.watch.wrong("clock-stepped", "", text)
        deciding = slot != self._last_slot
        self._shorten(now)
        try:
            await self.hands.refresh(now)
            if deciding:
                self._last_slot = slot
                if isinstance(self.clock, FastClock):
                    self.clock.hold_at = slot_start(slot + 1)  # site time waits for an unfinished cycle
                await self.cycle(slot, now)
            elif self._sweep_is_due(now):
                await self._sweep(now)
        except asyncio.CancelledError:
            raise
        except LeadershipLost as lost:
            self.lost = lost
            self.stop()
            return
        except Exception as error:
            why = f"{slot_start(slot):%H:%M}: {type(error).__name__}: {error}; the loop goes on"
            self.watch.wrong("cycle-failed", "", why)
            if deciding:
                self.totals.failed += 1
                await self._close_failed(slot, error)
        finally:
            if deciding:
                self.totals.cycle_seconds.append(time.monotonic() - begun)
                if isinstance(self.clock, FastClock):
                    self.clock.hold_at = None
        try:
            if deciding:
                await self.upkeep.each_slot(now)
            await self._tell_people()
            await self._check_devices()
        except Exception as error:  # a read-only disk, a file that is no file: none of it is worth the control
            self.say("alarm", f"beside the cycle: {type(error).__name__}: {error}; the loop goes on")
        self.on_alive()
        if deciding and self.on_cycle is not None:
            await self.on_cycle(self)

    def _shorten(self, now: datetime) -> None:
        """Lets no command stand longer than one that is decided now.

        Where the clock went back by a day, they would hold for that day, whose slots are decided already.
        """
        until = floor(now) + 2 * SLOT
        self.field.renew([p for p, c in self.field.standing.items() if c.expires_at > until], until)

    def _sweep_is_due(self, now: datetime) -> bool:
        swept = self.hands.swept_at
        return swept is None or not timedelta(0) <= now - swept < self.settings.sweep_every

    async def _tell_people(self) -> None:
        with self.watch.said_if_store_fails("alarms wait"):
            await self.patient.at_once(self.watch.tell)
            await self.wishes.answer()

    async def _check_devices(self) -> None:
        try:
            await self.checks.answer(self._seen)
        except LeadershipLost as lost:
            self.lost = lost
            self.stop()
        except (StoreError, OSError) as error:
            self.say("info", f"a device is not tested: {error}; it is tried again")

    async def _close_failed(self, slot: int, error: Exception) -> None:
        with self.watch.said_if_store_fails("the failed cycle is not on record"):
            why = f"{type(error).__name__}: {error}"
            await self.patient.at_exit(lambda: self.store.journal.close_run(slot, "failed", self.clock.now(), why))
            self._open_slot = None

    # One cycle

    async def cycle(self, slot: int, now: datetime) -> None:
        """One slot from snapshot to record; or the rest of it, if a process before this one was killed in it."""
        began = self.watch.raised
        journal, fence = self.store.journal, self.lead.fence
        self._timing = {}
        with self._timed("sweep"):
            await self._sweep(now)  # before the journal is asked: what is read is kept though the database is held
        run = await self.patient.call(lambda: journal.open_run(slot, now, fence))
        if run.state != "running":
            self.say("info", f"{slot_start(slot):%H:%M} is {run.state} already; the next slot is decided as usual")
            return
        self._open_slot = slot
        snapshot = await self._step(slot, "snapshot", self._snapshot, memory.dump_snapshot, memory.load_snapshot)
        standing = await self.patient.call(journal.last_confirmed)
        seen = await self._seen(now)  # not the recalled one: a resumed slot has written since
        await self.hands.look_for_holders(slot)
        self.hands.let_go(seen)
        deviations = [d for d in verify(standing, seen) if d.point not in self.hands.overridden]
        self.watch.only("setpoint-moved", {d.point: f"{d}; it is written again" for d in deviations})

        slots = Slots(slot_start(slot), self.settings.horizon_slots)
        decided, forecasts = await self._decided(slot, snapshot, slots, now)
        if decided.way is Way.LOCAL:
            await self.relinquish()
        commands = await self._step(
            slot,
            "commands",
            lambda: self._due(decided, snapshot, standing),
            memory.dump_commands,
            memory.load_commands,
        )
        with self._timed("write"):
            delivery = await self.hands.write(commands, seen, standing)
        if decided.way is not Way.LOCAL:
            self.field.renew(standing, floor(self.clock.now()) + 2 * SLOT)
        self.seconds = self._timing
        await self._record(slot, now, decided, forecasts, delivery, deviations, began)
        self._open_slot = None
        self._count(decided)

    async def _record(
        self,
        slot: int,
        now: datetime,
        decided: Decided,
        forecasts: Mapping[str, Forecast],
        delivery: Delivery,
        deviations: list[Any],
        began: int,
    ) -> None:
        new = self.watch.raised - began
        record = memory.decision(
            slot=slot,
            now=now,
            plan=decided.plan,
            forecasts=forecasts,
            commands=delivery.permission.allowed,
            outcomes=delivery.outcomes,
            refused=delivery.permission.refused,
            deviations=deviations,
            events=[vars(e) for e in self.events[-new:]] if new else [],
            counts={k: v for k, v in vars(self.totals).items() if isinstance(v, int)},
            seconds=self.seconds,
        )
        record["way"] = decided.way.value
        record["shadow"] = self.settings.shadow
        if self.upkeep.level is not Level.SCARCE:
            await self.patient.call(lambda: self.store.save_decision(slot, record))
        await self.patient.call(lambda: self.store.journal.close_run(slot, "done", self.clock.now()))

    def _count(self, decided: Decided) -> None:
        """By the way it was decided; and what was wrong with planning is wrong no longer, or still is."""
        self._decided_at_s = self._elapsed()
        self.watch.right("cycle-failed", "", "cycles come to their end again")
        match decided.way:
            case Way.PLAN:
                self.totals.plans += 1
                self.watch.right("plan-missing", "", "there is a plan again")
            case Way.SHIFTED:
                self.totals.shifted_plans += 1
            case Way.RULES:
                self.totals.ruled += 1
            case Way.LOCAL:
                self.totals.local += 1
        if decided.way is not Way.LOCAL:
            self.watch.right("local-control", "", "the district is under control again")

    async def _due(self, decided: Decided, snapshot: Snapshot, standing: Mapping[str, float]) -> list[Command]:
        asked = Wanted() if decided.way is Way.LOCAL else await self.wishes.asked(snapshot.at)
        held = asked.setpoints(self.district, snapshot)
        wanted = [*(s for s in decided.setpoints if s.point not in held), *held.values()]
        commands = due(
            wanted,
            district=self.district,
            snapshot=snapshot,
            standing=standing,
            overridden=self.hands.overridden,
            expires_at=floor(snapshot.at) + 2 * SLOT,
        )
        # What only a person wanted is given back once nobody wants it any more.
        points = {s.point for s in wanted}
        over = [c for p, c in self.field.standing.items() if c.reason.startswith(HELD) and p not in points]
        return [*commands, *(release_of(c, snapshot.at) for c in over if c.value is not None)]

    async def _decided(
        self, slot: int, snapshot: Snapshot, slots: Slots, now: datetime
    ) -> tuple[Decided, Mapping[str, Forecast]]:
        """This slot's plan; when forecasting or planning fails, the next best way, for all who come back to it."""
        forecasts: Mapping[str, Forecast] = {}

        async def decide() -> Decided:
            nonlocal forecasts
            try:
                forecasts = await self._step(
                    slot, "forecasts", lambda: self._forecast(slots, now), memory.dump_forecasts, memory.load_forecasts
                )
                plan, took = await self.planner.plan(snapshot, forecasts, slots, self.plan)
                refuse_unbelievable(plan, slots, self.district)
                self._timing["plan"] = took
                self.totals.plan_seconds.append(took)
                return Decided(Way.PLAN, plan, plan.setpoints)
            except (asyncio.CancelledError, StoreBusy, LeadershipLost):
                raise
            except Exception as error:
                failed = f"no plan ({type(error).__name__}: {error})"
            known = forecasts or self._forecasts
            return way_down(failed, self.plan, self.district, snapshot, known, slots.start)

        decided = await self._step(slot, "plan", decide, dump_decided, load_decided)
        if decided.way is Way.PLAN and decided.plan is not None:
            self.plan = decided.plan
            if forecasts:
                self._forecasts = dict(forecasts)
            else:  # the plan was recalled
                known = await self.patient.call(lambda: self.store.journal.recall(slot, "forecasts"))
                forecasts = {} if known is None else memory.load_forecasts(known[0])
            for note in decided.plan.notes:
                self.say("fallback", note)
        else:
            self._say_way(decided)
        return decided, forecasts

    def _say_way(self, decided: Decided) -> None:
        instead = {
            Way.SHIFTED: "the last one is followed",
            Way.RULES: "fixed rules hold",
            Way.LOCAL: "devices go back to local control",
        }[decided.way]
        text = f"{decided.why}; {instead}"
        self.watch.wrong("local-control" if decided.way is Way.LOCAL else "plan-missing", "", text, says="fallback")

    async def _snapshot(self) -> Snapshot:
        """What is known at the last sweep, frozen for this slot."""
        snapshot = await self._seen(self.hands.swept_at or self.clock.now())
        asked = await self.wishes.asked(snapshot.at)
        self.sessions = sessions(self.district, snapshot, self.sessions, asked.trips(snapshot.at))
        return asked.on(self.district, replace(snapshot, sessions=self.sessions))

    async def _seen(self, at: datetime) -> Snapshot:
        """The last sweep with what people hold, are working on, or took back."""
        overrides = await self.patient.call(lambda: self.store.overrides(at))
        locked = await self.patient.call(lambda: self.store.out_of_service(at))
        return Snapshot(
            at=at,
            samples=dict(self.samples),
            overrides=overrides,
            out_of_service=frozenset(locked) | self.wishes.assets_given_back,
        )

    async def _forecast(self, slots: Slots, now: datetime) -> dict[str, Forecast]:
        weather = await self._weather(now)
        count = HISTORY // SLOT
        past = Slots(slots.start - count * SLOT, count)
        with self._timed("history"):
            history: History = await self.patient.call(lambda: self._recent.upto(past))
        history = replace(history, closed=(await self.wishes.asked(now)).closed)
        forecasts, self._timing["forecast"] = await self.planner.forecast(history, weather, slots, now)
        forecasts, refused = believed(forecasts, history)
        self.watch.only("forecast-refused", refused, "the forecast of {} can be believed again")
        self.totals.cold_starts = sum(1 for f in forecasts.values() if f.model.startswith("climatology"))
        if not forecasts:  # of a planner that keeps them to itself
            return forecasts
        besides = partial(for_people, self.district, history, forecasts, slots, now)
        return forecasts | (await asyncio.to_thread(besides) if self.settings.threads else besides())

    async def _weather(self, now: datetime) -> dict[str, Forecast]:
        path = self.settings.weather_file
        if path is None:
            found: dict[str, Forecast] | Absent = Absent("no weather feed is set up")
        else:
            found = read_weather_file(path, now, WEATHER_HOLDS)
        if isinstance(found, Absent):
            text = f"weather forecast: {found.why}; climatology and persistence stand in"
            self.watch.wrong("weather-absent", "", text, says="fallback")
            return {}
        self.watch.right("weather-absent", "", "the weather forecast is back")
        return found

    # Readings

    async def _sweep(self, now: datetime) -> None:
        samples = await self.hands.sweep(now)
        # A process that was frozen meanwhile has read what is true now, and not what was when the bell rang.
        slept = self._elapsed() - self._rang_s > ASLEEP_S
        await self._save(self._minutes.add(samples, as_utc(self.clock.now()) if slept else now))

    async def _save(self, readings: list[Reading]) -> None:
        """Stores what is known and may be kept. While the database is held, readings wait in the store's own file."""
        agreed, latest = await self.wishes.agreements(), self.samples
        if agreed is not None:
            readings = self.homes.of_readings(readings, agreed)
            latest = {p: s for p, s in latest.items() if self.homes.may_show(p, agreed)}
        waited = self.store.backlog > 0
        with contextlib.suppress(StoreBusy):
            self.totals.readings_stored += await self.patient.call(
                lambda: self.store.save_readings(readings), timedelta(0)
            )
            if waited:
                self._recent.forget()  # what came late may be older than the slots that are read again each time
            await self.patient.call(lambda: self.store.save_latest(latest), timedelta(0))

    async def keep(self, series: list[tuple[str, Slots, Floats]]) -> None:
        """Stores whole series that did not come from a sweep: an imported or simulated past."""
        agreed = await self.wishes.agreements()
        if agreed is not None:
            series = self.homes.of_series(series, agreed)
        stored = await self.patient.call(lambda: self.store.save_series(series))
        self._recent.forget()
        self.totals.readings_stored += stored

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
        known = await self.patient.call(lambda: journal.recall(slot, name))
        if known is None:
            content = dump(await compute())
            known = await self.patient.call(lambda: journal.remember(slot, name, content))
        self.on_alive()
        # Through the journal and back in either case: a first and a resumed run see the very same thing.
        return load(known[0])
