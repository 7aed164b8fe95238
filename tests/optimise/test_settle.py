"""What cannot be done halfway: settled for the next hour, and never at the price of a plan."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from ems.district import District, read_district
from ems.optimise.divide import Memory, find
from ems.optimise.plan import outlook_of
from ems.optimise.settle import OnOffColumns, near_term, settle
from ems.optimise.solve import UnsolvedError
from ems.series import Floats
from ems.slots import Slots
from tests.optimise.synthetic import SUMMER, WINTER, forecasts_of, snapshot_of


@pytest.fixture(scope="module")
def smartseille() -> District:
    return read_district(Path(__file__).parents[2] / "buildings")


def sharing(total: float) -> tuple[list[tuple[Floats, Floats]], object]:
    """Two devices that together give `total`, the first at 1 euro a unit and the second at 2; and what was tried."""
    tried: list[tuple[Floats, Floats]] = []

    def solve(low: Floats, high: Floats, _: float) -> tuple[Floats, float]:
        tried.append((low, high))
        first = min(high[0], max(low[0], total - low[1]))
        second = total - first
        if not low[1] - 1e-9 <= second <= high[1] + 1e-9:
            raise UnsolvedError("no way")
        return np.array([first, second]), first + 2 * second

    return tried, solve


BOUNDS = np.zeros(2), np.full(2, 10.0)


def on_off(*columns: tuple[int, float]) -> OnOffColumns:
    """Columns and their minimum, each a device of its own."""
    at = np.array([c for c, _ in columns])
    names = tuple(f"device {c}" for c, _ in columns)
    return OnOffColumns(at, np.array([least for _, least in columns]), np.arange(at.size), names)


def test_what_is_nothing_or_enough_is_left_alone() -> None:
    tried, solve = sharing(4.0)
    found = settle(on_off((0, 3.0), (1, 3.0)), np.array([4.0, 0.0]), 4.0, BOUNDS, solve, 1)
    assert (found.lower is BOUNDS[0], found.upper is BOUNDS[1], found.halfway, tried) == (True, True, (), [])


def test_less_than_half_of_the_minimum_is_switched_off_and_more_is_switched_on() -> None:
    """1 of at least 4: off, and the other makes up for it. 1.5 of at least 2: on, the other gives less."""
    _, solve = sharing(5.0)
    found = settle(on_off((0, 4.0), (1, 4.0)), np.array([4.0, 1.0]), 6.0, BOUNDS, solve, 1)
    assert (found.lower.tolist(), found.upper.tolist(), found.halfway) == ([0, 0], [10, 0], ())
    _, solve = sharing(3.0)
    found = settle(on_off((1, 2.0)), np.array([1.5, 1.5]), 4.5, BOUNDS, solve, 1)
    assert (found.lower[1], found.upper[1], found.halfway) == (2.0, 10.0, ())


def test_what_cannot_be_kept_on_is_switched_off() -> None:
    """3 of at least 4 would be switched on; only 3 are to be had, so it is off and the other gives them."""
    _, solve = sharing(3.0)
    found = settle(on_off((1, 4.0)), np.array([0.0, 3.0]), 6.0, BOUNDS, solve, 1)
    assert (found.upper[1], found.halfway) == (0.0, ())


def test_where_nothing_helps_the_device_stays_halfway_by_name() -> None:
    """Neither 4 nor nothing: the other one is out of service."""
    _, solve = sharing(3.0)
    bounds = np.zeros(2), np.array([0.0, 10.0])
    found = settle(on_off((1, 4.0)), np.array([0.0, 3.0]), 6.0, bounds, solve, 1)
    assert (found.lower is bounds[0], found.upper is bounds[1], found.halfway) == (True, True, ("device 1",))


@pytest.mark.parametrize("start", [WINTER, SUMMER])
def test_in_the_districts_plan_nothing_stands_halfway_within_an_hour(smartseille: District, start: datetime) -> None:
    slots = Slots(start, 48)
    outlook = outlook_of(smartseille, snapshot_of(smartseille, slots), forecasts_of(smartseille, slots), slots)
    found = find(outlook)
    whole = found.pieces[0]
    near = near_term(whole.composed, whole.matrix, outlook)
    assert near.columns.size > 100
    standing = np.isfinite(near.halves(whole.values))
    assert {near.names[i] for i in near.device[standing]} == set(found.halfway)
    assert not [name for name in found.halfway if "heat-pumps" not in name]  # of plants alone: they go on and off
    assert found.bound <= found.relaxed + 1e-6
    assert found.relaxed <= found.cost + 1e-3
    memory = Memory(halfway=frozenset(near.names))  # as if nobody could be settled a quarter-hour ago: nobody is asked
    later = Slots(start + timedelta(minutes=15), 48)
    again = outlook_of(smartseille, snapshot_of(smartseille, later), forecasts_of(smartseille, later), later)
    unasked, relaxed = find(again, memory=memory), find(again, halves=True)
    assert unasked.cost == pytest.approx(relaxed.cost, abs=1e-3)
    assert unasked.halfway and memory.halfway == frozenset(unasked.halfway)  # and yet they are named
