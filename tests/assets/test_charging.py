"""Cars charged by session: before departure, in the cheapest slots, under the cable."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pytest

from ems.assets import ChargePoint, Feeder
from ems.assets.charging import needed_in_horizon_kwh, plugged_share, whole_current_a
from ems.optimise import plan
from ems.snapshot import Session
from tests.optimise.small import HOURLY, MIDNIGHT, district, forecasts, snapshot, supply

FEEDER = Feeder(name="house/feeder", supply="house/meter", limit_kw=5)
# One phase and 32 A: 7.36 kW, of which a usual car takes 16 A, 3.68 kW.
POINTS = [ChargePoint(name=f"house/point-{i}", feeder="house/feeder", phases=1) for i in (1, 2)]
PRICES = [0.30] * 3 + [0.10] * 2 + [0.20] * 19


def session(point: int, needed: float, hours: float) -> dict[str, Session]:
    name = f"house/point-{point}"
    return {name: Session(name, needed, MIDNIGHT + timedelta(hours=hours))}


def test_charges_in_the_cheapest_hours_before_departure() -> None:
    """8.68 kWh by 6 h: 7.36 in the two hours at 0.10, the rest in the one at 0.20."""
    here = district(supply(), FEEDER, *POINTS, prices=PRICES)
    result = plan(here, snapshot(sessions=session(1, 8.68, 6)), forecasts(), HOURLY)
    power = result.flow("house/point-1", "power_kw")
    assert power == pytest.approx([0, 0, 0, 3.68, 3.68, 1.32] + [0] * 18, abs=1e-6)
    assert result.cost_terms["energy"] == pytest.approx(7.36 * 0.10 + 1.32 * 0.20)
    # Until then it waits at its minimum: some cars do not wake after a pause.
    [limit] = [s.value for s in result.setpoints if s.point == "house/point-1/current_limit_a"]
    assert limit == 6.0


def test_a_car_seen_to_take_more_is_counted_on_for_more() -> None:
    here = district(supply(), FEEDER, *POINTS, prices=PRICES)
    seen = snapshot(sessions=session(1, 5, 1), house__point_1__current_a=20.0)
    assert plan(here, seen, forecasts(), HOURLY).flow("house/point-1", "power_kw")[0] == pytest.approx(5.0)


def test_what_cannot_be_charged_is_named() -> None:
    here = district(supply(), FEEDER, *POINTS, prices=PRICES)
    result = plan(here, snapshot(sessions=session(1, 10, 1)), forecasts(), HOURLY)
    (shortfall,) = result.shortfalls
    assert shortfall.asset == "house/point-1"
    assert shortfall.amount == pytest.approx(10 - 3.68)
    assert (shortfall.en, shortfall.unit) == ("charge missing at departure", "kWh")


def test_the_cable_is_shared() -> None:
    here = district(supply(), FEEDER, *POINTS, prices=[0.1])
    both = session(1, 7, 1) | session(2, 7, 1)
    result = plan(here, snapshot(sessions=both), forecasts(), HOURLY)
    total = sum(result.flow(p.name, "power_kw")[0] for p in POINTS)
    assert total == pytest.approx(5.0)
    currents = {s.point: s.value for s in result.setpoints}
    assert sum(POINTS[0].kw(a) for a in currents.values()) <= 5.0 + 1e-6


def test_a_free_point_may_start_at_its_fail_safe_current() -> None:
    here = district(supply(), FEEDER, *POINTS, prices=[0.1])
    result = plan(here, snapshot(), forecasts(), HOURLY)
    assert {s.value for s in result.setpoints} == {10.0}


@pytest.mark.parametrize(
    ("power", "current"), [(0.0, 0.0), (0.5, 0.0), (0.8, 6.0), (1.38, 6.0), (2.3, 10.0), (9.0, 32.0)]
)
def test_current_is_zero_or_at_least_the_minimum(power: float, current: float) -> None:
    assert whole_current_a(POINTS[0], power) == pytest.approx(current)


def test_a_car_that_leaves_within_a_slot_has_part_of_it() -> None:
    left = Session("p", 5, MIDNIGHT + timedelta(hours=1, minutes=15))
    assert plugged_share(left, HOURLY)[:3] == pytest.approx(np.array([1, 0.25, 0]))


def test_a_car_that_leaves_after_the_horizon_need_not_be_full_by_its_end() -> None:
    later = Session("p", 20, HOURLY.end + timedelta(hours=4))
    assert needed_in_horizon_kwh(later, 7.0, HOURLY) == pytest.approx(20 - 0.5 * 7 * 4)
