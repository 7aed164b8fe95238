"""Cars to come are told by the days that were seen, and by none before a dozen."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from ems.assets import ChargePoint
from ems.district import District, read_district
from ems.estimate.arrivals import LEAST_DAYS, QUANTITIES, expected_traffic, traffic, traffic_points
from ems.series import Floats, Forecast, History
from ems.slots import Slots

PARIS = ZoneInfo("Europe/Paris")
MONDAY = datetime(2026, 1, 12, 0, 0, tzinfo=PARIS)
CAME, LEFT, TAKEN = (f"parking/charge-points/{q}" for q in QUANTITIES)
Stay = tuple[int, datetime, datetime, float]  # which socket, from when to when, kWh


@pytest.fixture(scope="module")
def district() -> District:
    return read_district(Path("buildings"))


def history(district: District, days: int, stays: list[Stay]) -> History:
    """Free sockets, but for these stays."""
    slots = Slots(MONDAY.astimezone(UTC), 96 * days)
    sockets = [n for n, p in district.of(ChargePoint).items() if p.shared_car_kwh == 0]
    rows: dict[str, Floats] = {}
    for name in district.of(ChargePoint):
        rows |= {f"{name}/{q}": np.zeros(slots.count) for q in ("state_mode", "session_energy_kwh")}
    for k, came, left, kwh in stays:
        first, end = ((at - slots.start) // slots.length for at in (came, left))
        rows[f"{sockets[k]}/state_mode"][first:end] = 2.0
        rows[f"{sockets[k]}/session_energy_kwh"][first + 1 : end + 1] = np.linspace(
            kwh / (end - first), kwh, end - first
        )[: slots.count - first - 1]
    return History(slots, rows)


def usual(days: int) -> list[Stay]:
    """Each working day two cars from 9 to 17 h, on Wednesdays a third; they take 10 kWh each."""
    stays = []
    for day in (MONDAY + timedelta(days=k) for k in range(days)):
        if day.weekday() < 5:
            cars = 3 if day.weekday() == 2 else 2
            stays += [(k, day + timedelta(hours=9), day + timedelta(hours=17), 10.0) for k in range(cars)]
    return stays


def expected(district: District, past: History, hours: int = 0) -> dict[str, Forecast]:
    at = past.slots.end + timedelta(hours=hours)
    return expected_traffic(district, past, Slots(at, 192), at)


def at(found: Forecast, hour: int, day: int = 0) -> list[float]:
    """Low, median and high in the hour from `hour` o'clock of a day after midnight."""
    k = 96 * day + 4 * hour
    assert found.median[k] == found.median[k + 3]
    return [float(row[k]) for row in (found.low, found.median, found.high)]


def test_what_came_and_went_is_counted_by_the_hour(district: District) -> None:
    nine = MONDAY + timedelta(hours=9)
    stays = [
        (0, nine, nine + timedelta(hours=2), 4.0),
        (1, nine + timedelta(minutes=45), nine + timedelta(hours=2), 6.0),
    ]
    told = traffic(district, history(district, 1, stays))
    by_hour = {point: told[point][2::4].tolist() for point in (CAME, LEFT, TAKEN)}
    assert by_hour[CAME][9] == 2 and by_hour[TAKEN][9] == 10
    assert by_hour[LEFT][10] == 2  # until eleven
    assert np.nansum(by_hour[CAME]) == np.nansum(by_hour[LEFT]) == 2
    assert np.isnan(by_hour[CAME][0]) and np.isnan(by_hour[LEFT][23])  # before and after them nobody looked


def test_what_a_car_takes_that_is_still_there_is_not_known(district: District) -> None:
    nine = MONDAY + timedelta(hours=9)
    told = traffic(district, history(district, 1, [(0, nine, MONDAY + timedelta(days=2), 40.0)]))
    assert told[CAME][9 * 4] == 1 and np.isnan(told[TAKEN][9 * 4]) and told[TAKEN][10 * 4] == 0


def test_a_working_day_is_like_working_days(district: District) -> None:
    """Twenty working days: two cars on sixteen of them, three on four. 0.9 x 21: the 18.9th in order."""
    found = expected(district, history(district, 28, usual(28)))
    assert at(found[CAME], 9) == [2, 2, 3]
    assert at(found[LEFT], 16) == [2, 2, 3]
    assert at(found[TAKEN], 9) == [20, 20, 30]
    assert at(found[CAME], 12) == [0, 0, 0]
    assert found[CAME].fallback == ""


def test_a_weekend_is_like_weekends(district: District) -> None:
    found = expected(district, history(district, 28, usual(28)), hours=5 * 24)
    assert at(found[CAME], 9) == [0, 0, 0]


def test_a_new_day_stays_below_with_the_chance_that_is_said(district: District) -> None:
    """Nine Mondays to Fridays with one to nine cars: one in ten is fewer than the fewest, one in ten more than nine."""
    days = [d for d in (MONDAY + timedelta(days=k) for k in range(13)) if d.weekday() < 5][:9]
    stays = [
        (k, day + timedelta(hours=9), day + timedelta(hours=10), 1.0)
        for n, day in enumerate(days)
        for k in range(n + 1)
    ]
    past = history(district, 13, stays)
    for row in past.values.values():
        row[11 * 96 + 32 : 11 * 96 + 48] = np.nan  # of the tenth working day nobody knows: the eleventh day is a Friday
    assert at(expected(district, past, hours=24)[CAME], 9) == pytest.approx([1, 5, 9])


def test_before_a_dozen_days_nothing_is_told(district: District) -> None:
    assert expected(district, history(district, LEAST_DAYS - 1, usual(11))) == {}
    assert expected(district, History(Slots(MONDAY.astimezone(UTC), 96 * 30))) == {}


def test_too_few_days_of_a_kind_are_named(district: District) -> None:
    """Two weeks less a day hold three free days: a Saturday is told by all thirteen, and says so."""
    found = expected(district, history(district, 13, usual(13)), hours=6 * 24)[CAME]
    assert "all days stand in" in found.fallback
    # Ten working days, of which two with three cars, and three free days: 0, 0, 0, 2 eight times, 3, 3.
    assert at(found, 9, day=0) == [0, 2, 3]


def test_groups_too_small_to_hide_anybody_are_left_out(district: District) -> None:
    assert set(traffic_points(district)) == {("parking", False), ("parking", True)}
    few = [n for n, p in district.of(ChargePoint).items() if p.shared_car_kwh > 0][2:]
    alone = replace(district, assets={n: a for n, a in district.assets.items() if n not in few})
    assert set(traffic_points(alone)) == {("parking", False)}
