"""Loads that may choose when: their work, their window, their cheapest hours."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from ems.assets import Deferrable
from ems.assets.deferrable import tasks, windows
from ems.district.faults import asset_faults
from ems.optimise import Plan, plan
from ems.optimise.plan import outlook_of
from ems.slots import Slots
from ems.snapshot import Override
from tests.optimise.small import HOURLY, MIDNIGHT, district, forecasts, snapshot, supply

#          0    1    2    3    4    5    6 ...
PRICES = [0.4, 0.1, 0.4, 0.2, 0.2, 0.4] + [0.4] * 18


def load(**changes: Any) -> Deferrable:
    figures = {"name": "house/laundry", "supply": "house/meter", "running_kw": 2.0, "run_h": 2.0, "until_hour": 6.0}
    return Deferrable(**(figures | changes))


def planned(
    machine: Deferrable, overrides: dict[str, Override] | None = None, *, slots: Slots = HOURLY, **measured: float
) -> Plan:
    known = snapshot(**({"house__laundry__done_h": 0.0} | measured))
    known = replace(known, overrides=overrides or {})
    return plan(district(supply(), machine, prices=PRICES), known, forecasts(), slots)


def test_runs_in_the_cheapest_hours_of_its_window() -> None:
    """2 h of 2 kW: one at 0.10 and one of the two at 0.20, 0.60 euro. At the end of the day nothing is left to do."""
    result = planned(load())
    power = result.flow("house/laundry", "power_kw")
    assert power[1] == pytest.approx(2.0) and power[3:5].sum() == pytest.approx(2.0)
    assert power.sum() == pytest.approx(4.0)
    assert result.cost_terms["energy"] == pytest.approx(2 * 0.1 + 2 * 0.2)
    (permission,) = result.setpoints
    assert (permission.point, permission.value) == ("house/laundry/run_on", 0.0)


def test_an_energy_is_a_run_time() -> None:
    """3 kWh at 2 kW are an hour and a half."""
    power = planned(load(run_h=None, energy_kwh=3.0)).flow("house/laundry", "power_kw")
    assert power[1] == pytest.approx(2.0) and power.sum() == pytest.approx(3.0)


def test_a_contiguous_one_takes_the_cheapest_stretch() -> None:
    """Two hours on end: 3 h and 4 h at 0.20 cost 0.40 each kW; with the one at 0.10 it would be 0.50."""
    result = planned(load(contiguous=True))
    assert result.flow("house/laundry", "power_kw")[:6] == pytest.approx([0, 0, 0, 2, 2, 0])
    assert result.cost_terms["energy"] == pytest.approx(4 * 0.2)


def test_a_contiguous_one_that_runs_goes_on() -> None:
    """One of its two hours is done: it draws through the dear hour at 0.40."""
    result = planned(load(contiguous=True), house__laundry__done_h=1.0, house__laundry__running_on=1.0)
    assert result.flow("house/laundry", "power_kw")[:6] == pytest.approx([2, 0, 0, 0, 0, 0])
    assert result.setpoints[0].value == 1.0


def test_what_is_done_need_not_be_done_again() -> None:
    assert planned(load(), house__laundry__done_h=2.0).flow("house/laundry", "power_kw").sum() == pytest.approx(0.0)


def test_a_window_too_short_is_named() -> None:
    """At 0 h an hour is left of the window, and two to do."""
    (shortfall,) = planned(load(until_hour=1.0)).shortfalls
    assert (shortfall.asset, shortfall.en, shortfall.unit) == ("house/laundry", "run time missing", "h")
    assert shortfall.amount == pytest.approx(1.0)
    assert shortfall.first_at == MIDNIGHT


def test_is_not_run_for_more_than_it_is_worth() -> None:
    """At 0.15 a kWh only the hour at 0.10 pays."""
    result = planned(load(missed_per_kwh=0.15))
    assert result.flow("house/laundry", "power_kw") == pytest.approx([0, 2] + [0] * 22)


def test_work_may_wait_for_what_its_window_leaves_after_the_horizon() -> None:
    """A window from 22 h to 4 h: the evening's 0.40 is above the mean price of 0.35, so 4 h later is better."""
    result = planned(load(from_hour=22.0, until_hour=4.0))
    power = result.flow("house/laundry", "power_kw")
    assert power[:4].sum() == pytest.approx(4.0) and power[4:].sum() == pytest.approx(0.0)
    assert result.cost_terms["deferred"] == pytest.approx(2.0 * 2.0 * sum(PRICES) / 24)
    assert result.shortfalls == ()


def test_whoever_holds_it_on_has_it_run_at_once() -> None:
    """Its device runs while it may: two hours from midnight on, also where a later one would be cheaper."""
    held = {"house/laundry/run_on": Override("house/laundry/run_on", 1.0, "anne", "", MIDNIGHT + timedelta(hours=3))}
    for machine in (load(), load(contiguous=True)):
        assert planned(machine, held).flow("house/laundry", "power_kw")[:6] == pytest.approx([2, 2, 0, 0, 0, 0])
    later = load(contiguous=True, from_hour=1.0)
    assert planned(later, held).flow("house/laundry", "power_kw")[:6] == pytest.approx([0, 2, 2, 0, 0, 0])
    nearly = planned(load(), held, house__laundry__done_h=1.5)
    assert nearly.flow("house/laundry", "power_kw")[:6] == pytest.approx([1, 0, 0, 0, 0, 0])


def test_what_is_held_on_has_a_plan_also_where_there_is_no_power_for_it() -> None:
    held = {"house/laundry/run_on": Override("house/laundry/run_on", 1.0, "anne", "", MIDNIGHT + timedelta(hours=3))}
    known = replace(snapshot(house__laundry__done_h=0.0), overrides=held)
    narrow = supply(subscribed_kw=1.0, physical_limit_kw=1.0)
    for machine in (load(), load(contiguous=True)):
        result = plan(district(narrow, machine, prices=PRICES), known, forecasts(), HOURLY)
        assert result.flow("house/laundry", "power_kw").max() <= 1.0 + 1e-6


def test_a_permission_that_somebody_holds_back_is_planned_with() -> None:
    """Nobody may wash before 3 h: the hours at 0.20."""
    point = "house/laundry/run_on"
    held = {point: Override(point, 0.0, "anne", "people sleep", MIDNIGHT + timedelta(hours=3))}
    assert planned(load(), held).flow("house/laundry", "power_kw")[:6] == pytest.approx([0, 0, 0, 2, 2, 0])


def test_counts_its_work_and_begins_again_with_each_window() -> None:
    """Windows of 6 h from midnight: two hours are done by 6 h, and none of the next day's."""
    done = planned(load(), slots=Slots(MIDNIGHT, 48, 60)).state("house/laundry", "done_h")
    assert done[6:24] == pytest.approx(np.full(18, 2.0))
    assert done[24] == pytest.approx(0.0)
    assert done[30] == pytest.approx(2.0)


def test_windows_follow_the_local_clock() -> None:
    """22 h to 6 h in Paris on the night that has nine hours of it."""
    slots = Slots(datetime(2026, 10, 24, 12, tzinfo=UTC), 24, 60)
    begin, end = windows(load(from_hour=22.0, until_hour=6.0), slots, "Europe/Paris")[0]
    assert (begin, end) == (datetime(2026, 10, 24, 20, tzinfo=UTC), datetime(2026, 10, 25, 5, tzinfo=UTC))


def test_only_on_its_days() -> None:
    """14 January 2026 is a Wednesday."""
    assert planned(load(days=(4,))).flow("house/laundry", "power_kw").sum() == 0.0
    assert planned(load(days=(3,))).flow("house/laundry", "power_kw").sum() == pytest.approx(4.0)


def test_a_task_has_its_slots_and_what_is_left() -> None:

    machine = load(run_h=1.25)
    outlook = outlook_of(district(supply(), machine), snapshot(house__laundry__done_h=0.0), {}, HOURLY)
    (task,) = tasks(machine, outlook)
    assert (task.first, task.last, task.work_h) == (0, 5, 1.25)


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"run_h": None}, "run_h"),
        ({"energy_kwh": 2.0}, "run_h"),
        ({"run_h": 7.0}, "until_hour"),
        ({"days": (8,)}, "days"),
    ],
)
def test_contradictions_are_found(changes: dict[str, Any], key: str) -> None:
    assert key in {k for k, _ in asset_faults(load(**changes))}
