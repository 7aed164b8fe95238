"""The loop on the simulated plant without sockets: plans pass the gate, and a killed slot goes on as it was."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from ems.bms import Holder
from ems.command import Command, Outcome, Overridden, Refused
from ems.district import District, read_district
from ems.loop.bell import VirtualBell
from ems.loop.clock import LockStep
from ems.loop.control import Control, Event, NotLeaderError, Settings, Totals
from ems.loop.hands import release_of
from ems.loop.planner import ChildPlanner, OwnPlanner
from ems.optimise import Plan
from ems.points import Quality, Sample
from ems.series import Forecast, History
from ems.simulate.direct import DirectField
from ems.simulate.plant import World
from ems.slots import SLOT, Slots, slot_number
from ems.snapshot import Override, Snapshot
from ems.store import Store, StoreBusy, Trouble
from ems.store.requests import Handover, Request, Requests
from tests.small_district import copy_small_district

WINTER = datetime(2026, 1, 20, 5, 0, tzinfo=UTC)
SUMMER = datetime(2026, 7, 14, 9, 0, tzinfo=UTC)


@pytest.fixture(scope="module")
def district(tmp_path_factory: pytest.TempPathFactory) -> District:
    return read_district(copy_small_district(tmp_path_factory.mktemp("small")))


OnCycle = Callable[[Control], Awaitable[None]]


class Site:
    """A small district under control in virtual time. Its database outlives the control."""

    def __init__(self, district: District, path: Path, start: datetime = WINTER) -> None:
        self.district = district
        self.folder = path
        self.url = f"sqlite:///{path / 'site.db'}"
        self.world = World(district, start=start, seed=1)
        self.link = DirectField(district, self.world)
        self.events: list[Event] = []

    def control(
        self,
        planner: OwnPlanner | None = None,
        on_cycle: OnCycle | None = None,
        link: DirectField | None = None,
    ) -> Control:
        async def advance(to: datetime) -> None:
            self.world.advance(to)

        clock = LockStep(self.world.now, advance)
        return Control(
            self.district,
            field_link=link or self.link,
            store=Store.open(self.url, busy_timeout_s=0.05, attempts=1),
            planner=planner or OwnPlanner(self.district),
            clock=clock,
            bell=VirtualBell(clock),
            settings=Settings(owner="test", folder=self.folder, horizon_slots=96, exit_patience=timedelta(seconds=0.1)),
            on_event=self.events.append,
            on_cycle=on_cycle,
        )

    def run(
        self, cycles: int, planner: OwnPlanner | None = None, on_cycle: OnCycle | None = None
    ) -> tuple[Totals, Control]:
        async def go() -> tuple[Totals, Control]:
            control = self.control(planner, on_cycle)
            try:
                return await control.run(cycles), control
            finally:
                control.store.close()

        return asyncio.run(go())


class KilledError(Exception):
    """The process is gone: nothing after this runs."""


class Dying(DirectField):
    """A field during whose first write the process is killed."""

    async def write(self, commands: Sequence[Command]) -> list[Outcome]:
        raise KilledError


class Failing(OwnPlanner):
    """A planner whose solver is gone from the `after`-th plan on."""

    def __init__(self, district: District, after: int) -> None:
        super().__init__(district)
        self.left = after

    async def plan(
        self, snapshot: Snapshot, forecasts: Mapping[str, Forecast], slots: Slots, previous: Plan | None
    ) -> tuple[Plan, float]:
        if self.left == 0:
            raise RuntimeError("the solver is gone")
        self.left -= 1
        return await super().plan(snapshot, forecasts, slots, previous)


@pytest.mark.parametrize("start", [WINTER, SUMMER], ids=["winter", "summer"])
def test_what_is_planned_passes_the_gate_and_is_given_back(district: District, tmp_path: Path, start: datetime) -> None:
    site = Site(district, tmp_path, start)
    totals, _ = site.run(3)
    assert (totals.plans, totals.refused) == (3, 0), site.events
    assert totals.setpoints_confirmed == totals.setpoints_written > len(district.dwellings) // 2
    assert totals.relinquished_at_exit > 0
    with Store.read_only(site.url) as store:
        assert store.journal.standing() == []
        record = store.last_decision()
        assert record is not None and record["plan"]["setpoints"] and record["sent"] is not None
        assert all(sent["reason"] for sent in record["sent"])


def test_a_killed_slot_goes_on_with_the_same_plan(district: District, tmp_path: Path) -> None:
    site = Site(district, tmp_path)

    async def die_before_writing() -> dict[str, float]:
        control = site.control(link=Dying(district, site.world))
        with pytest.raises(KilledError):
            await control.start()
            await control.cycle(slot_number(WINTER), WINTER)
        assert control.plan is not None
        planned = {s.point: s.value for s in control.plan.setpoints}
        control.store.close()
        return planned

    planned = asyncio.run(die_before_writing())
    # The next process finds snapshot, forecasts, plan and intents of this slot: its own planner is not even asked.
    totals, control = site.run(1, planner=Failing(district, after=0))
    assert totals.plans == 1, site.events
    assert control.plan is not None
    assert {s.point: s.value for s in control.plan.setpoints} == planned
    assert totals.setpoints_confirmed == totals.setpoints_written > 0


def test_without_a_plan_the_last_one_is_followed_and_it_is_said(district: District, tmp_path: Path) -> None:
    site = Site(district, tmp_path)
    totals, _ = site.run(2, planner=Failing(district, after=1))
    assert (totals.plans, totals.shifted_plans) == (1, 1)
    assert totals.fallbacks == 3  # and twice there is no weather forecast
    [said] = [e.text for e in site.events if e.kind == "fallback" and "no plan" in e.text]
    assert "the last one is followed" in said
    with Store.read_only(site.url) as store:
        record = store.last_decision()
        assert record is not None and record["way"] == "shifted"
        assert record["plan"]["start"] == (WINTER + timedelta(minutes=15)).isoformat()
        assert "plan-missing" in {a.kind.name for a in store.alarms.open()}


def test_without_any_plan_fixed_rules_hold(district: District, tmp_path: Path) -> None:
    site = Site(district, tmp_path)
    totals, _ = site.run(1, planner=Failing(district, after=0))
    assert (totals.plans, totals.ruled) == (0, 1)
    assert totals.setpoints_confirmed > 0
    assert any("fixed rules hold" in e.text for e in site.events if e.kind == "fallback")


class Blind(DirectField):
    """A field that shows nothing."""

    async def sweep(self, now: datetime) -> dict[str, Sample]:
        return {p: Sample(None, Quality.UNREACHABLE, now) for p in self.world.index}


def test_without_a_plan_and_blind_devices_keep_their_own_control(district: District, tmp_path: Path) -> None:
    site = Site(district, tmp_path)
    site.link = Blind(district, site.world)
    totals, _ = site.run(1, planner=Failing(district, after=0))
    assert (totals.local, totals.setpoints_written) == (1, 0)
    assert any("local control" in e.text for e in site.events if e.kind == "fallback")
    with Store.read_only(site.url) as store:
        assert "local-control" in {a.kind.name for a in store.alarms.open()}


def test_what_went_wrong_is_over_when_it_is_right_again(district: District, tmp_path: Path) -> None:
    site = Site(district, tmp_path)
    site.run(1, planner=Failing(district, after=0))
    site.run(1)  # another process, whose planner works
    with Store.read_only(site.url) as store:
        assert "plan-missing" not in {a.kind.name for a in store.alarms.open()}
        [past] = [a for a in store.alarms.since(WINTER) if a.kind.name == "plan-missing"]
        assert past.cleared_at is not None


def test_a_building_handed_back_is_given_back_at_once_and_left_alone(district: District, tmp_path: Path) -> None:
    site = Site(district, tmp_path)

    async def hand_back(control: Control) -> None:
        held = {p.partition("/")[0] for p in site.link.standing}
        assert "mistral" in held
        Handover(tmp_path).give("mistral", "lea", control.clock.now(), "boiler")
        await control.wishes.follow()
        assert "mistral" not in {p.partition("/")[0] for p in site.link.standing}

    site.run(2, on_cycle=hand_once(hand_back))
    with Store.read_only(site.url) as store:
        record = store.last_decision()
        assert record is not None
        assert "mistral" not in {sent["point"].partition("/")[0] for sent in record["sent"]}
        assert ("handed-back", "mistral") in {(a.kind.name, a.subject) for a in store.alarms.open()}
    Handover(tmp_path).take("mistral")
    site.run(1)
    with Store.read_only(site.url) as store:
        record = store.last_decision()
        assert record is not None
        assert "mistral" in {sent["point"].partition("/")[0] for sent in record["sent"]}
        assert "handed-back" not in {a.kind.name for a in store.alarms.open()}


class Deaf(DirectField):
    """A field that takes nothing back any more: as while the lead has run out and the database renews none."""

    deaf = False

    async def write(self, commands: Sequence[Command]) -> list[Outcome]:
        return [Refused("run out")] * len(commands) if self.deaf else await super().write(commands)


def test_what_could_not_be_given_back_is_not_said_to_be(district: District, tmp_path: Path) -> None:
    """`ems release` goes by that word: without it it gives back from its own process."""
    site = Site(district, tmp_path)
    deaf = site.link = Deaf(district, site.world)
    handover = Handover(tmp_path)

    async def hand_back(control: Control) -> None:
        deaf.deaf = True
        handover.give("mistral", "lea", control.clock.now())
        await control.wishes.follow()
        assert json.loads(handover.followed.read_text()) == []
        deaf.deaf = False
        await control.hands.relinquish(frozenset({"mistral"}))
        handover.give("mistral", "lea", control.clock.now(), "again")
        await control.wishes.follow()
        assert json.loads(handover.followed.read_text()) == ["mistral"]

    site.run(1, on_cycle=hand_back)


def hand_once(do: OnCycle) -> OnCycle:
    done: list[Control] = []

    async def once(control: Control) -> None:
        if not done:
            done.append(control)
            await do(control)

    return once


def test_an_asset_out_of_service_is_not_written_to(district: District, tmp_path: Path) -> None:
    site = Site(district, tmp_path)
    with Store.open(site.url) as store:
        store.save_maintenance("mistral/tank", "lea", "valve", WINTER + timedelta(hours=2))
    site.run(1)
    with Store.read_only(site.url) as store:
        record = store.last_decision()
        assert record is not None and record["sent"]
        assert not [sent for sent in record["sent"] if sent["point"].startswith("mistral/tank/")]


def test_people_see_and_shelve_alarms_through_the_inbox(district: District, tmp_path: Path) -> None:
    site = Site(district, tmp_path)
    with Store.open(site.url) as store:
        store.alarms.raise_all([Trouble("bus-silent", "a"), Trouble("store-damaged", "20260101")], WINTER)
    inbox = Requests(tmp_path)
    inbox.ask(Request("seen", 2, "lea", WINTER))
    inbox.ask(Request("shelve", 2, "lea", WINTER, WINTER + timedelta(days=1)))
    inbox.ask(Request("shelve", 2, "lea", WINTER))
    site.run(1)
    assert inbox.waiting() == {}
    assert any("not until when" in e.text for e in site.events)
    with Store.read_only(site.url) as store:
        alarm = store.alarms.find(2)
        assert alarm is not None
        assert (alarm.acknowledged_by, alarm.shelved_by) == ("lea", "lea")


def test_what_fails_beside_the_cycle_does_not_end_the_loop(district: District, tmp_path: Path) -> None:
    site = Site(district, tmp_path)
    (tmp_path / "requests" / "1.json").mkdir(parents=True)  # cannot be read, nor deleted as a file
    totals, _ = site.run(2)
    assert totals.plans == 2
    assert any("beside the cycle: IsADirectoryError" in e.text for e in site.events)


class GivingBackMeanwhile(DirectField):
    """While a refresh waits for the bus, somebody else gives a command back."""

    async def refresh(self, now: datetime) -> dict[str, Outcome]:
        for point in list(self._standing)[:1]:
            await self.write([release_of(self._standing[point], now)])
        return {}


def test_what_was_given_back_while_a_refresh_waited_has_not_expired(district: District, tmp_path: Path) -> None:
    site = Site(district, tmp_path)
    site.link = GivingBackMeanwhile(district, site.world)

    async def refresh(control: Control) -> None:
        before = len(site.link.standing)
        await control.hands.refresh(control.clock.now() + timedelta(minutes=5))
        assert len(site.link.standing) == before - 1

    site.run(1, on_cycle=refresh)
    assert not [e for e in site.events if "expired" in e.text]


def test_what_a_person_holds_is_left_alone(district: District, tmp_path: Path) -> None:
    site = Site(district, tmp_path)
    point = "mistral/tank/setpoint_c"
    held = Override(point, 62.0, "manager", "legionella sample", WINTER + timedelta(hours=1))
    with Store.open(site.url) as store:
        store.save_override(held)
    site.run(1)
    with Store.read_only(site.url) as store:
        record = store.last_decision()
        assert record is not None
        assert record["sent"] and point not in {sent["point"] for sent in record["sent"]}


class Held(DirectField):
    """A field whose outputs have priorities: somebody stands above us in `held`, at what shows there."""

    def __init__(self, district: District, world: World) -> None:
        super().__init__(district, world)
        self.held: dict[str, tuple[int, float]] = {}
        self.asked: list[str] = []

    async def holders(self, points: Collection[str]) -> dict[str, Holder | None]:
        self.asked += points
        return {p: self.held.get(p) for p in points if self.district.wires[p].bus.protocol == "bacnet"}

    async def write(self, commands: Sequence[Command]) -> list[Outcome]:
        outcomes = await super().write(commands)
        return [
            Overridden(self.held[c.point][1], "priority 8")
            if c.point in self.held and c.value not in (None, self.held[c.point][1])
            else o
            for c, o in zip(commands, outcomes, strict=True)
        ]

    def _sample(self, point: str, value: float, now: datetime) -> Sample:
        if point in self.held:
            return Sample(self.held[point][1], Quality.GOOD, now)
        return super()._sample(point, value, now)


def test_a_person_who_holds_our_own_value_is_seen_within_an_hour(district: District, tmp_path: Path) -> None:
    site = Site(district, tmp_path)
    link = site.link = Held(district, site.world)
    outputs = [p for p in district.commanded if district.wires[p].bus.protocol == "bacnet"]
    seen: list[bool] = []

    async def hold(control: Control) -> None:
        point = min(p for p in link.standing if p in outputs)
        value = link.standing[point].value
        assert value is not None
        link.held = {point: (8, value)}
        seen.append(("setpoint-held", point) in control.watch.standing)

    site.run(6, on_cycle=hold)
    assert seen[-1]
    assert len(link.asked) < 2 * len(outputs)  # in six quarter-hours, and the held one each time


def test_a_point_that_is_given_back_or_found_at_a_start_is_not_free_while_somebody_holds_it(
    district: District, tmp_path: Path
) -> None:
    site = Site(district, tmp_path)
    link = site.link = Held(district, site.world)
    held: list[str] = []

    async def hold(control: Control) -> None:
        if not held:
            [held[:]] = [[min(p for p in link.standing if district.wires[p].bus.protocol == "bacnet")]]
            link.held[held[0]] = (8, district.wires[held[0]].measure.write.maximum)  # type: ignore[union-attr]
        elif ("setpoint-held", held[0]) in control.watch.standing:
            Handover(tmp_path).give(held[0].partition("/")[0], "lea", control.clock.now(), "works")
            await control.wishes.follow()

    site.run(4, on_cycle=hold)
    site.run(2)
    with Store.read_only(site.url) as store:
        assert ("setpoint-held", held[0]) in {(a.kind.name, a.subject) for a in store.alarms.open()}
    assert not any(f"{held[0]} is free again" in e.text for e in site.events)
    del link.held[held[0]]
    site.run(1)
    with Store.read_only(site.url) as store:
        assert ("setpoint-held", held[0]) not in {(a.kind.name, a.subject) for a in store.alarms.open()}


def test_two_loops_do_not_share_a_site(district: District, tmp_path: Path) -> None:
    site = Site(district, tmp_path)
    with Store.open(site.url) as other:
        other.leadership.take("somebody else", datetime.now(UTC))
        with pytest.raises(NotLeaderError, match="somebody else controls this site"):
            site.run(1)


def test_an_alarm_of_the_database_that_a_back_up_brought_with_it_is_cleared(district: District, tmp_path: Path) -> None:
    """It was raised before the copy was made, and the process that would have cleared it is gone."""
    site = Site(district, tmp_path)
    with Store.open(site.url) as store:
        store.alarms.raise_all([Trouble("database-held", "", "the database is locked")], WINTER - timedelta(hours=1))
    site.run(1)
    with Store.open(site.url) as store:
        assert "database-held" not in [alarm.kind.name for alarm in store.alarms.open()]


def test_the_field_is_given_back_though_the_database_is_held(district: District, tmp_path: Path) -> None:
    site = Site(district, tmp_path)
    other = sqlite3.connect(tmp_path / "site.db", isolation_level=None, timeout=0)

    async def hold(_: Control) -> None:
        other.execute("BEGIN IMMEDIATE")

    totals, _ = site.run(1, on_cycle=hold)
    other.execute("ROLLBACK")
    other.close()
    assert site.link.standing == {}
    assert totals.relinquished_at_exit == totals.setpoints_confirmed > 0
    assert any("what was given back is not on record" in e.text for e in site.events)
    # The journal still lists them, so the next process gives them back once more, and puts that on record.
    site.run(1)
    with Store.read_only(site.url) as store:
        assert store.journal.standing() == []


def test_a_database_that_is_held_for_an_hour_is_one_alarm_and_the_inbox_waits(
    district: District, tmp_path: Path
) -> None:
    """It can be read all the while, which does not make it free."""
    site = Site(district, tmp_path)
    inbox = Requests(tmp_path)

    async def hold() -> None:
        control = site.control()
        control.patient.settings = replace(control.settings, patience=timedelta(0))
        await control.start()
        await control.tick(WINTER)
        control.store.alarms.raise_all([Trouble("bus-silent", "a")], WINTER)
        other = sqlite3.connect(tmp_path / "site.db", isolation_level=None, timeout=0)
        other.execute("BEGIN IMMEDIATE")
        inbox.ask(Request("seen", 2, "lea", WINTER))
        for minute in range(1, 60, 6):
            await control.tick(WINTER + timedelta(minutes=minute))
        assert len(inbox.waiting()) == 1
        other.close()
        for minute in (60, 61):
            await control.tick(WINTER + timedelta(minutes=minute))
        assert inbox.waiting() == {}
        seen = control.store.alarms.find(2)
        assert seen is not None and seen.acknowledged_by == "lea"
        [held] = [a for a in control.store.alarms.since(WINTER) if a.kind.name == "database-held"]
        assert held.cleared_at is not None
        control.store.close()

    asyncio.run(hold())


def test_a_disk_that_is_away_for_an_hour_costs_no_reading_and_takes_nothing_from_people(
    district: District, tmp_path: Path
) -> None:
    """Its empty mount point shows meanwhile: no database, and no word of the building that was handed back."""
    disk, away = tmp_path / "disk", tmp_path / "away"
    site = Site(district, disk)
    point = next(p for p, w in sorted(district.wires.items()) if p.endswith("_c") and not w.writable)

    async def go() -> None:
        control = site.control()
        control.patient.settings = replace(control.settings, patience=timedelta(0))
        await control.start()

        async def tick(minute: int) -> None:
            site.world.advance(WINTER + timedelta(minutes=minute))
            await control.wishes.follow()
            await control.tick(WINTER + timedelta(minutes=minute))

        await tick(0)
        Handover(disk).give("mistral", "lea", control.clock.now(), "boiler")
        await tick(1)
        assert control.wishes.given_back == {"mistral"}
        control.store._database.close()  # as after an I/O error
        disk.rename(away)
        disk.mkdir()
        for minute in range(2, 62):
            await tick(minute)
            assert control.wishes.given_back == {"mistral"}
        said = control.watch.standing["database-held", ""]
        assert "may be missing" in said and said.endswith("wait in memory only")
        assert not (disk / "site.db").exists()
        disk.rename(tmp_path / "hidden")
        away.rename(disk)
        for minute in range(62, 92):
            await tick(minute)
        assert control.wishes.given_back == {"mistral"}
        assert "mistral" not in {p.partition("/")[0] for p in site.link.standing}
        assert ("database-held", "") not in control.watch.standing
        assert control.totals.plans == 3  # at the start, and of the two quarter-hours since
        control.store.close()

    asyncio.run(go())
    with Store.read_only(site.url) as store:
        found = store.history([point], Slots(WINTER, 6)).values[point]
    assert not np.isnan(found).any()


def test_without_the_peoples_database_the_loop_keeps_its_pace(district: District, tmp_path: Path) -> None:
    site = Site(district, tmp_path)
    with Store.open(site.url) as store:
        store.alarms.raise_all([Trouble("bus-silent", "a")], WINTER)
    (tmp_path / "people.db").write_bytes(b"no database at all" * 100)
    Requests(tmp_path).ask(Request("seen", 1, "lea", WINTER))

    async def two_minutes() -> None:
        control = site.control()
        await control.start()
        for minute in (0, 1):
            await control.tick(WINTER + timedelta(minutes=minute))
        assert control.totals.plans == 1
        await control._leave()
        control.store.close()

    asyncio.run(asyncio.wait_for(two_minutes(), timeout=45))  # a minute's patience, several times, would be too much
    with Store.read_only(site.url) as store:
        [held] = [a for a in store.alarms.since(WINTER) if a.kind.name == "database-held"]
        assert held.subject == "people.db"
        assert Requests(tmp_path).waiting() == {}


def test_a_restart_within_a_decided_slot_leaves_nothing_behind(district: District, tmp_path: Path) -> None:
    site = Site(district, tmp_path)
    site.run(1)
    totals, _ = site.run(1)  # the same quarter-hour, and then the next one
    assert totals.plans == 1
    assert any("is done already; the next slot is decided as usual" in e.text for e in site.events)
    assert site.link.standing == {}
    with Store.read_only(site.url) as store:
        assert store.journal.standing() == []


def test_what_goes_on_failing_beside_the_cycle_is_said_once(
    district: District, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = Site(district, tmp_path)

    async def ten_pulses() -> None:
        control = site.control()
        control.settings = replace(control.settings, pulse=timedelta(0))
        await control.start()
        left = list(range(10))

        async def fail() -> None:
            left.pop()
            if not left:
                control.stop()
            if len(left) > 1:
                raise OSError("no such device")

        monkeypatch.setattr(control.wishes, "follow", fail)
        await control._keep_alive()
        control.store.close()

    asyncio.run(ten_pulses())
    said = [(e.kind, e.text) for e in site.events if "kept alive" in e.text]
    assert said == [
        ("alarm", "devices could not be kept alive: OSError: no such device"),
        ("recovered", "devices are kept alive again"),
    ]


class Beating(DirectField):
    """A field that notes when its watchdogs were refreshed."""

    def __init__(self, district: District, world: World) -> None:
        super().__init__(district, world)
        self.beats: list[datetime] = []

    async def refresh(self, now: datetime) -> dict[str, Outcome]:
        self.beats.append(now)
        return {}


def test_a_clock_that_goes_back_silences_nothing(district: District, tmp_path: Path) -> None:
    site = Site(district, tmp_path)
    beating = site.link = Beating(district, site.world)

    async def step_back() -> None:
        control = site.control()
        await control.start()
        for minutes in (0, 1, -60, -59):
            await control.tick(WINTER + timedelta(minutes=minutes))
        control.store.close()

    asyncio.run(step_back())
    assert beating.beats == [WINTER + timedelta(minutes=m) for m in (0, 1, -60, -59)]
    assert any("the clock went back" in e.text for e in site.events)


def test_readings_that_came_late_are_what_forecasts_learn_from(
    district: District, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Readings wait for hours while quarter-hours are decided: the memory of the weeks must not keep the gap."""
    site = Site(district, tmp_path)

    def taken_by_nobody(*_: object) -> int:
        raise StoreBusy("save readings", 0.0, "full")

    async def hours() -> None:
        control = site.control(planner=Failing(district, after=0))
        await control.start()
        for quarter in range(12):
            now = WINTER + quarter * SLOT
            set_clock(control, now)
            with monkeypatch.context() as away:
                if 0 < quarter < 11:
                    away.setattr(control.store, "_save", taken_by_nobody)
                await control.tick(now)
            assert (control.store.backlog > 0) == (0 < quarter < 11)
        known = control._recent._known
        assert known is not None
        stored = control.store.history(control._recent.points, known.slots)
        assert any(np.isfinite(values[-11:]).all() for values in stored.values.values())
        for point, values in stored.values.items():
            np.testing.assert_array_equal(known.values[point], values)
        control.store.close()

    asyncio.run(hours())


class Expiring(DirectField):
    """A field whose commands hold as long as they are told to."""

    def renew(self, points: Collection[str], until: datetime) -> None:
        self._standing |= {p: replace(c, expires_at=until) for p, c in self._standing.items() if p in points}


@pytest.mark.parametrize("restarted", [False, True], ids=["running", "restarted"])
def test_nothing_stands_for_a_day_because_the_clock_went_back_by_one(
    district: District, tmp_path: Path, restarted: bool
) -> None:
    """The slots of that day are decided already, so nobody renews what stands."""
    yesterday = WINTER - timedelta(days=1)
    site = Site(district, tmp_path, yesterday)

    async def step_back() -> None:
        link = Expiring(district, site.world)
        control = site.control(link=link)
        await control.start()
        for now in (yesterday, WINTER):
            set_clock(control, now)
            await control.tick(now)
        assert {c.expires_at for c in link.standing.values()} == {WINTER + timedelta(minutes=30)}
        if restarted:
            control.store.close()
            link = Expiring(district, site.world)
            control = site.control(link=link)
            await control.start()
        else:
            set_clock(control, yesterday)
            await control.tick(yesterday)
        assert {c.expires_at for c in link.standing.values()} == {yesterday + timedelta(minutes=30)}
        control.store.close()

    asyncio.run(step_back())


def set_clock(control: Control, to: datetime) -> None:
    assert isinstance(control.clock, LockStep)
    control.clock._site = to


def test_a_planner_that_dies_is_replaced(district: District) -> None:
    slots = Slots(WINTER, 4)

    async def kill_and_ask_again() -> list[int]:
        planner = ChildPlanner(district)
        history = History(Slots(WINTER - timedelta(hours=1), 4))
        answers = []
        for _ in range(2):
            forecasts, _ = await planner.forecast(history, {}, slots, WINTER)
            answers.append(len(forecasts))
            for child in list(planner._pool._processes.values()):
                child.kill()
        planner.stop()
        return answers

    first, second = asyncio.run(kill_and_ask_again())
    assert first == second > 0
