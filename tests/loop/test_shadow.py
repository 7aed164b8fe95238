"""Shadow mode in the loop: decided as ever, on record as withheld, and nothing stands, whatever happens."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from ems.__main__ import app
from ems.assets import Supply
from ems.bms import StandingError
from ems.command import Command, Written
from ems.district import District, read_district
from ems.loop.bell import VirtualBell
from ems.loop.clock import LockStep
from ems.loop.control import Control, Settings, Totals
from ems.loop.planner import OwnPlanner
from ems.loop.site import write_clock
from ems.market import prices
from ems.series import History
from ems.shadow import Line, Moved, lines, measured_points
from ems.simulate.direct import DirectField
from ems.simulate.plant import World
from ems.slots import SLOT, Slots, slot_number
from ems.store import Lease, Store
from tests.small_district import copy_small_district

START = datetime(2026, 1, 20, 5, 0, tzinfo=UTC)
BATTERY = "parking/battery/power_setpoint_kw"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_small_district(tmp_path_factory.mktemp("small"))


@pytest.fixture(scope="module")
def district(folder: Path) -> District:
    return read_district(folder)


def observe(district: District, path: Path, cycles: int) -> tuple[Totals, Control, DirectField]:
    world = World(district, start=START, seed=1)
    link = DirectField(district, world)

    async def advance(to: datetime) -> None:
        world.advance(to)

    async def go() -> tuple[Totals, Control]:
        clock = LockStep(world.now, advance)
        store = Store.open(f"sqlite:///{path / 'site.db'}")
        control = Control(
            district, field_link=link, store=store, planner=OwnPlanner(district), clock=clock, bell=VirtualBell(clock),
            settings=Settings(owner="test", folder=path, horizon_slots=96, shadow=True),
        )  # fmt: skip
        try:
            return await control.run(cycles), control
        finally:
            store.close()

    totals, control = asyncio.run(go())
    return totals, control, link


def test_a_shadow_decides_and_writes_nothing(district: District, folder: Path, tmp_path: Path) -> None:
    totals, _, link = observe(district, tmp_path, cycles=2)
    assert (totals.plans, totals.setpoints_written, totals.setpoints_confirmed) == (2, 0, 0)
    assert totals.withheld > 50
    assert link.standing == {}
    samples = asyncio.run(link.sweep(START))
    for point, wire in district.commanded.items():
        assert wire.measure.write is not None
        assert samples[point].value == wire.measure.write.release, point
    with Store.read_only(f"sqlite:///{tmp_path / 'site.db'}") as store:
        assert store.journal.standing() == [] and store.journal.last_confirmed() == {}
        withheld = store.journal.withheld(START, START + timedelta(hours=2))
        record = store.last_decision()
        assert store.setpoints(BATTERY, START, START + timedelta(hours=1)) == []
    assert len(withheld) == totals.withheld
    assert record is not None and record["shadow"] is True
    assert {one["outcome"]["kind"] for one in record["sent"]} == {"withheld"}

    write_clock(tmp_path / "clock.json", START + timedelta(minutes=31), datetime.now(UTC), 1.0)
    asked = ["shadow", "report", "--folder", str(tmp_path), "--buildings", str(folder), "--days", "1"]
    told = json.loads(CliRunner().invoke(app, [*asked, "--json"]).stdout)
    of_battery = [one for one in told if one["point"] == BATTERY]
    assert [(one["day"], one["points"], one["quarter_hours"]) for one in of_battery] == [("2026-01-20", 1, 2)]
    homes = [one for one in told if one["point"] == "mistral/*/setpoint_offset_k"]
    assert homes and homes[0]["points"] > 1  # nobody's own home
    assert not any("flat-" in one["point"] for one in told)
    said = " ".join(CliRunner().invoke(app, asked).stdout.split())
    assert "Shadow mode: what would have been written" in said and "their sum is no saving" in said


def test_an_ordinary_site_has_nothing_to_report(folder: Path, tmp_path: Path) -> None:
    Store.open(f"sqlite:///{tmp_path / 'site.db'}").close()
    asked = ["shadow", "report", "--folder", str(tmp_path), "--buildings", str(folder)]
    assert "nothing was withheld" in CliRunner().invoke(app, asked).stdout
    assert isinstance(CliRunner().invoke(app, [*asked[:3], str(tmp_path / "nowhere")]).exception, FileNotFoundError)


def test_a_killed_shadow_leaves_no_intent(tmp_path: Path) -> None:
    order = Command(f"{slot_number(START)}:{BATTERY}", BATTERY, 20.0, START + 2 * SLOT)
    with Store.open(f"sqlite:///{tmp_path / 'site.db'}") as store:
        lease = store.leadership.take("me", START)
        assert isinstance(lease, Lease)
        store.journal.commit_intents([order], lease.fence, START, withheld=True)  # and here it dies
        assert store.journal.standing() == []
        assert store.journal.states([order.key]) == {order.key: "withheld"}
        assert store.journal.withheld(START, START + timedelta(hours=1)) == [order]


def test_a_shadow_does_not_begin_over_standing_commands(district: District, tmp_path: Path) -> None:
    order = Command(f"{slot_number(START)}:{BATTERY}", BATTERY, 20.0, START + 2 * SLOT)
    with Store.open(f"sqlite:///{tmp_path / 'site.db'}") as store:
        lease = store.leadership.take("me", START)
        assert isinstance(lease, Lease)
        store.journal.commit_intents([order], lease.fence, START)
        store.journal.record_outcomes({order.key: Written(20.0)})
        store.leadership.release(lease, START)
    with pytest.raises(StandingError, match="give"):
        observe(district, tmp_path, cycles=1)


# The report, by hand


def withheld(n: int, value: float, previous: float | None, point: str = BATTERY) -> Command:
    """What would have been written in the n-th quarter-hour from START."""
    at = START + n * SLOT
    return Command(f"{slot_number(at)}:{point}", point, value, at + 2 * SLOT, previous=previous)


def test_a_battery_tells_energy_and_cost_of_each_quarter_hour(district: District) -> None:
    slots = Slots(START, 3)
    own, supply = measured_points(district)[:2]
    assert own == "parking/battery/power_kw"
    # It rested; the car park drew 30 kW, then gave 10 kW to the network; then its meter was silent.
    measured = History(slots, {own: np.array([0.0, 0.0, 0.0]), supply: np.array([30.0, -10.0, np.nan])})
    [line] = lines([withheld(0, 20.0, 0.0), withheld(1, 20.0, 0.0), withheld(2, -20.0, None)], district, measured)
    tariff = prices(district.contracts[district.asset("parking/landlord", Supply).contract], slots)
    bought, sold = tariff.import_per_kwh, tariff.export_per_kwh
    # 20 kW for a quarter-hour is 5 kWh: all bought at first; then 10 kW are no longer sold and 10 kW are bought.
    cost = 5.0 * bought[0] + 2.5 * bought[1] + 2.5 * sold[1]
    assert line.moved is not None
    assert line.moved.cost_eur == pytest.approx(cost)
    moved = Moved(quarter_hours=2, energy_kwh=10.0, cost_eur=line.moved.cost_eur)
    assert line == Line(
        day=date(2026, 1, 20), point=BATTERY, points=1, quarter_hours=3, wanted=pytest.approx(20 / 3), found=0.0,
        differing=2, moved=moved,
    )  # fmt: skip


def test_days_are_local_and_homes_are_told_together(district: District) -> None:
    homes = [p for p in district.commanded if p.endswith("setpoint_offset_k")][:2]
    late = 4 * 17 + 3  # 22:45 UTC, 23:45 in Marseille; the next quarter-hour but one is tomorrow there
    commands = [
        withheld(late, 0.5, 0.0, homes[0]),
        withheld(late, 0.0, 0.0, homes[1]),
        withheld(late + 2, 1.0, None, homes[0]),
    ]
    first, second = lines(commands, district, History(Slots(START, 1), {}))
    assert (first.day, first.point, first.points, first.quarter_hours) == (
        date(2026, 1, 20), "mistral/*/setpoint_offset_k", 2, 1,
    )  # fmt: skip
    assert (first.wanted, first.found, first.differing, first.moved) == (0.25, 0.0, 1, None)
    assert second == replace(first, day=date(2026, 1, 21), points=1, wanted=1.0, found=None, differing=0)
