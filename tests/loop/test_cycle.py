"""The loop on the simulated plant without sockets: plans pass the gate, and a killed slot goes on as it was."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ems.command import Command, Outcome
from ems.district import District, read_district
from ems.loop.bell import VirtualBell
from ems.loop.clock import LockStep
from ems.loop.control import Control, Event, NotLeaderError, Settings, Totals
from ems.loop.planner import ChildPlanner, OwnPlanner
from ems.optimise import Plan
from ems.series import Forecast, History
from ems.simulate.direct import DirectField
from ems.simulate.plant import World
from ems.slots import Slots, slot_number
from ems.snapshot import Override, Snapshot
from ems.store import Store
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
        self.url = f"sqlite:///{path / 'site.db'}"
        self.world = World(district, start=start, seed=1)
        self.link = DirectField(district, self.world)
        self.events: list[Event] = []

    def control(self, planner: OwnPlanner | None = None, on_cycle: OnCycle | None = None) -> Control:
        async def advance(to: datetime) -> None:
            self.world.advance(to)

        clock = LockStep(self.world.now, advance)
        return Control(
            self.district,
            field_link=self.link,
            store=Store.open(self.url, busy_timeout_s=0.05, attempts=1),
            planner=planner or OwnPlanner(self.district),
            clock=clock,
            bell=VirtualBell(clock),
            settings=Settings(owner="test", horizon_slots=96, exit_patience=timedelta(seconds=0.1)),
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
        control = site.control()
        control.field = Dying(district, site.world)
        with pytest.raises(KilledError):
            await control.lead()
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


def test_without_a_plan_the_last_set_points_stand_and_it_is_said(district: District, tmp_path: Path) -> None:
    site = Site(district, tmp_path)
    totals, _ = site.run(2, planner=Failing(district, after=1))
    assert totals.plans == 1
    assert totals.fallbacks == 3  # and twice there is no weather forecast
    [said] = [e.text for e in site.events if e.kind == "fallback" and "no plan" in e.text]
    assert "the set points of the last one stand" in said


def test_without_any_plan_devices_keep_their_own_control(district: District, tmp_path: Path) -> None:
    site = Site(district, tmp_path)
    totals, _ = site.run(1, planner=Failing(district, after=0))
    assert totals.plans == 0
    assert totals.setpoints_written == 0
    assert any("local control" in e.text for e in site.events if e.kind == "fallback")


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


def test_two_loops_do_not_share_a_site(district: District, tmp_path: Path) -> None:
    site = Site(district, tmp_path)
    with Store.open(site.url) as other:
        other.leadership.take("somebody else", datetime.now(UTC))
        with pytest.raises(NotLeaderError, match="somebody else controls this site"):
            site.run(1)


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


def test_a_restart_within_a_decided_slot_leaves_nothing_behind(district: District, tmp_path: Path) -> None:
    site = Site(district, tmp_path)
    site.run(1)
    totals, _ = site.run(1)  # the same quarter-hour, and then the next one
    assert totals.plans == 1
    assert any("is done already; the next slot is decided as usual" in e.text for e in site.events)
    assert site.link.standing == {}
    with Store.read_only(site.url) as store:
        assert store.journal.standing() == []


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
        await control.lead()
        for minutes in (0, 1, -60, -59):
            await control.tick(WINTER + timedelta(minutes=minutes))
        control.store.close()

    asyncio.run(step_back())
    assert beating.beats == [WINTER + timedelta(minutes=m) for m in (0, 1, -60, -59)]
    assert any("the clock went back" in e.text for e in site.events)


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
