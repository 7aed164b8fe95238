"""Planning by dividing is as good as the one large programme, within what it certifies, and has a plan at any time."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ems.optimise import check, plan
from ems.optimise.divide import Memory, find
from ems.optimise.model import compose
from ems.optimise.solve import solve
from ems.optimise.why import NOT_AT_ALL
from ems.slots import Slots
from tests.optimise.large import START, Large, large

SLOTS = Slots(START, 12, minutes=60)


@pytest.fixture(scope="module", params=[False, True], ids=["at ease", "tight"])
def town(request: pytest.FixtureRequest) -> Large:
    return large(40, zones=2, cars=6, tight=request.param)


def test_agrees_with_the_one_large_programme(town: Large) -> None:
    """bound <= optimum <= cost, and cost is no further from it than was asked for."""
    outlook = town.outlook(SLOTS)
    found = find(outlook, close_enough=0.002, halves=True)
    optimum = solve(compose(replace(outlook, grouped=False)).matrix()).objective
    scale = abs(found.cost) + 100.0
    assert found.bound <= optimum + 1e-6 * scale
    assert optimum <= found.cost + 1e-6 * scale
    assert found.cost - optimum <= 0.005 * scale


def test_no_time_at_all_still_gives_a_plan_that_holds(town: Large) -> None:
    outlook = town.outlook(SLOTS)
    result = plan(town.district, outlook.snapshot, outlook.forecasts, SLOTS, time_is_up=lambda: True, effort=NOT_AT_ALL)
    assert check(town.district, outlook.snapshot, outlook.forecasts, result) == ()
    assert result.bound is not None and result.bound <= result.cost + 1e-6
    assert {f"{n}/heating_kw" for n in town.district.dwellings} <= set(result.flows)


def test_the_next_plan_from_memory_is_as_good_as_one_from_nothing(town: Large) -> None:
    memory = Memory()
    find(town.outlook(SLOTS), memory=memory, halves=True)
    later = town.outlook(Slots(SLOTS.at(1), 12, minutes=60))
    warm, cold = find(later, memory=memory, halves=True), find(later, halves=True)
    assert warm.bound <= cold.cost + 1e-6 and cold.bound <= warm.cost + 1e-6
    assert np.isclose(warm.cost, cold.cost, atol=0.01 * (abs(cold.cost) + 100))
