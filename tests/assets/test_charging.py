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

FEEDER = Feeder(name="house/feeder", supply="house/meter", limit_kw=10)
POINTS = [ChargePoint(name=f"house/point-{i}", feeder="house/feeder", phases=1) for i in (1, 2)]  # 7.36 kW each
PRICES = [0.30] * 3 + [0.10] * 2 + [0.20] * 19


def session(point: int, needed: float, hours: float) -> dict[str, Session]:
    name = f"house/point-{point}"
    return {name: Session(name, needed, MIDNIGHT + timedelta(hours=hours))}


def test_charges_in_the_cheapest_hours_before_departure() -> None:
    """17.36 kWh by 6 h: 14.72 in the two hours at 0.10, the rest in the one at 0.20."""
    here = district(supply(), FEEDER, *POINTS, prices=PRICES)
    result = plan(here, snapshot(sessions=session(1, 17.36, 6)), forecasts(), HOURLY)
    power = result.flow("house/point-1", "power_kw")
    assert power == pytest.approx([0, 0, 0, 7.36, 7.36, 2.64] + [0] * 18, abs=1e-6)
    assert result.cost_terms["energy"] == pytest.approx(14.72 * 0.10 + 2.64 * 0.20)


def test_what_cannot_be_charged_is_named() -> None:
    here = district(supply(), FEEDER, *POINTS, prices=PRICES)
    result = plan(here, snapshot(sessions=session(1, 10, 1)), forecasts(), HOURLY)
    (shortfall,) = result.shortfalls
    assert shortfall.asset == "house/point-1"
    assert shortfall.amount == pytest.approx(10 - 7.36)
    assert (shortfall.en, shortfall.unit) == ("charge missing at departure", "kWh")


def test_the_cable_is_shared() -> None:
    here = district(supply(), FEEDER, *POINTS, prices=[0.1])
    both = session(1, 7, 1) | session(2, 7, 1)
    result = plan(here, snapshot(sessions=both), forecasts(), HOURLY)
    total = sum(result.flow(p.name, "power_kw")[0] for p in POINTS)
    assert total == pytest.approx(10.0)
    currents = {s.point: s.value for s in result.setpoints}
    assert sum(POINTS[0].kw(a) for a in currents.values()) <= 10.0 + 1e-6


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
