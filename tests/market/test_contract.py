"""A contract's calendar is local: periods follow the clock on the wall, slots stay in UTC."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ems.defaults import folder
from ems.district import read_district
from ems.market import Contract, prices
from ems.market.contract import Period, Window, period_at
from ems.slots import Slots, slot_number

PARIS = ZoneInfo("Europe/Paris")
NIGHT = Window(from_hour=22, until_hour=6)
CONTRACT = Contract(
    name="example",
    note="an example",
    kind="landlord",
    valid_from=date(2026, 1, 1),
    valid_until=date(2026, 12, 31),
    periods={
        "off-peak": Period(windows=(NIGHT,), energy_per_kwh=0.10, network_per_kwh=0.02),
        "peak": Period(energy_per_kwh=0.15, network_per_kwh=0.05),
    },
    subscription_per_kw_year=18,
    exceedance_per_kwh=1,
    export_per_kwh=0.05,
    carbon_kg_per_kwh=0.05,
)


def local(hour: int, minute: int = 0, *, day: int = 15, month: int = 1) -> datetime:
    return datetime(2026, month, day, hour, minute, tzinfo=PARIS)


@pytest.mark.parametrize(
    ("at", "period"),
    [
        (local(21, 59), "peak"),
        (local(22), "off-peak"),
        (local(5, 59), "off-peak"),
        (local(6), "peak"),  # half-open
        (local(22, month=7), "off-peak"),  # 20 h UTC in summer, 21 h in winter
    ],
)
def test_a_window_runs_over_midnight_by_local_time(at: datetime, period: str) -> None:
    assert period_at(CONTRACT, at.astimezone(UTC)) == period


@pytest.mark.parametrize(("day", "night_slots", "total"), [(date(2026, 3, 29), 28, 92), (date(2026, 10, 25), 36, 100)])
def test_the_night_is_an_hour_shorter_or_longer_when_the_clock_changes(day: date, night_slots: int, total: int) -> None:
    start = datetime(day.year, day.month, day.day, tzinfo=PARIS)
    end = datetime(day.year, day.month, day.day + 1, tzinfo=PARIS)
    count = slot_number(end) - slot_number(start)
    periods = Counter(prices(CONTRACT, Slots(start, count)).periods)
    # By hand: 0-6 h and 22-24 h are 32 quarter-hours, four fewer in March and four more in October.
    assert (count, periods["off-peak"]) == (total, night_slots)


def test_prices_per_slot_by_hand() -> None:
    asked = prices(CONTRACT, Slots(local(21, 30), 4))
    assert asked.periods == ("peak", "peak", "off-peak", "off-peak")
    assert asked.import_per_kwh == pytest.approx([0.20, 0.20, 0.12, 0.12])
    assert asked.export_per_kwh == pytest.approx([0.05] * 4)


def test_months_and_weekdays_narrow_a_window() -> None:
    window = Window(from_hour=0, until_hour=24, months=(11, 12, 1, 2, 3), days=(6, 7))
    assert window.holds(local(12, day=17))  # a Saturday in January
    assert not window.holds(local(12, day=16))  # a Friday
    assert not window.holds(local(12, day=18, month=7))  # a Saturday in July


def test_an_hour_without_a_price_is_named() -> None:
    gap = CONTRACT.model_copy(update={"periods": {"off-peak": CONTRACT.periods["off-peak"]}})
    with pytest.raises(ValueError, match=r"contract example: no period covers 2026-01-15T12:00.*let the last one have"):
        period_at(gap, local(12))


@given(st.integers(0, 366 * 96))
def test_every_quarter_hour_of_the_year_has_a_price_in_every_contract_that_ships(quarter: int) -> None:
    instant = Slots(datetime(2026, 1, 1, tzinfo=UTC), 1).at(quarter)
    for contract in SHIPPED.values():
        assert period_at(contract, instant) in contract.periods


SHIPPED = read_district(folder("buildings")).contracts


def test_solar_off_peak_has_at_least_eight_hours_a_day_five_of_them_at_night() -> None:
    """TURPE 7 (CRE): 8 h off-peak a day, at least 5 in a row at night and 2 between 11 and 17 h, April to October."""
    for contract in (c for c in SHIPPED.values() if "HCB" in c.periods):
        low = {i / 4 for i in range(96) if period_at(contract, local(i // 4, i % 4 * 15, month=7)) == "HCB"}
        assert len(low) == 32, contract.name
        assert {h / 4 for h in range(4, 24)} <= low  # 1-6 h
        assert len([h for h in low if 11 <= h < 17]) >= 8
