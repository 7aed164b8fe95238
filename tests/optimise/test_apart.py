"""Plants that only share a loop, each by itself: at the right prices nothing is lost, at any prices a bound holds."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ems.assets import Battery
from ems.optimise.apart import Apart
from ems.optimise.coarse import Coarse, clock_hours
from ems.optimise.divide import Memory, find, tie
from ems.optimise.matrix import Matrix
from ems.optimise.model import compose
from ems.optimise.plan import outlook_of
from ems.optimise.solve import Solution, solve
from ems.points import good
from ems.slots import Slots
from ems.snapshot import Snapshot
from tests.optimise.large import START, Large, large
from tests.optimise.small import district, supply

SLOTS = Slots(START, 24)


@pytest.fixture(scope="module", params=[False, True], ids=["at ease", "tight"])
def town(request: pytest.FixtureRequest) -> Large:
    """Two plants on one loop."""
    return large(40, zones=14, cars=6, tight=request.param)


@pytest.fixture(scope="module")
def whole(town: Large) -> tuple[Matrix, Solution]:
    matrix = compose(replace(town.outlook(SLOTS), grouped=True)).matrix()
    return matrix, solve(matrix)


def test_at_the_optimums_prices_the_parts_add_up_to_it(whole: tuple[Matrix, Solution]) -> None:
    matrix, optimum = whole
    apart = Apart(matrix, tie(matrix), 2)
    assert not apart.whole
    rows = np.concatenate([row for row, _ in apart.parts])
    assert np.array_equal(np.sort(np.append(rows, apart.shared)), np.arange(matrix.a.shape[0]))
    assert apart.solve(optimum.duals[apart.shared]).bound == pytest.approx(optimum.objective, rel=1e-6)


def test_at_other_prices_they_stay_below_it(whole: tuple[Matrix, Solution]) -> None:
    matrix, optimum = whole
    apart = Apart(matrix, tie(matrix), 2)
    for factor in (0.0, 0.5, 0.9):
        assert apart.solve(factor * optimum.duals[apart.shared]).bound <= optimum.objective + 1e-6


def test_a_district_planned_in_parts_agrees_with_the_one_large_programme(town: Large) -> None:
    outlook, memory = town.outlook(SLOTS), Memory()
    found = find(outlook, memory=memory, halves=True)
    optimum = solve(compose(replace(outlook, grouped=False)).matrix()).objective
    assert memory.parts is not None
    assert found.bound <= optimum + 1e-6 * abs(found.cost)
    assert optimum <= found.cost + 1e-6 * abs(found.cost)
    assert found.gap <= 0.005
    later = town.outlook(Slots(SLOTS.at(1), 24))
    warm = find(later, memory=memory, halves=True)
    assert warm.gap <= 0.005
    assert warm.bound <= solve(compose(replace(later, grouped=False)).matrix()).objective + 1e-6 * abs(warm.cost)


def test_by_the_hour_a_battery_does_what_hourly_prices_ask_for() -> None:
    """12 kWh at 0.1 €/kWh in the first hour are worth 0.3 €/kWh in the third: at 4 kW a battery takes 4 kWh of them."""
    slots = Slots(START, 12)
    prices = [0.0] * 5 + [0.1, 0.2, 0.3]
    battery = Battery(
        name="house/battery", supply="house/meter", capacity_kwh=12, charge_limit_kw=4, discharge_limit_kw=4
    )
    here = district(supply(), battery, prices=prices)
    snapshot = Snapshot(START, {"house/battery/stored_kwh": good(1.2, START)})
    matrix = compose(outlook_of(here, snapshot, {}, slots)).matrix()
    values = Coarse(matrix, clock_hours(slots)).values()
    assert float(matrix.cost @ values) == pytest.approx(solve(matrix).objective, abs=1e-6)
    energy = matrix.columns["battery.energy_kwh"].of(values)[0]
    assert np.allclose(np.diff(energy, 2)[[0, 1, 4, 5, 8, 9]], 0, atol=1e-9)  # a straight line through every hour


def test_the_first_hour_is_as_long_as_the_clock_leaves_it() -> None:
    assert clock_hours(Slots(Slots(START, 4).at(3), 6)).tolist() == [0, 1, 1, 1, 1, 2]
