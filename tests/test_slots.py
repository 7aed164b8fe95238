"""The time grid: computed from the instant, half-open, N flows and N + 1 stocks."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ems.slots import SLOT, Slots, floor, slot_number, slot_start

NOON = datetime(2026, 1, 15, 12, tzinfo=UTC)


def test_a_quarter_hour_is_the_epoch_divided_by_900() -> None:
    assert slot_number(datetime(1970, 1, 1, tzinfo=UTC)) == 0
    assert slot_number(datetime(1970, 1, 1, 0, 14, 59, tzinfo=UTC)) == 0
    assert slot_number(datetime(1970, 1, 1, 0, 15, tzinfo=UTC)) == 1
    assert floor(NOON + timedelta(minutes=14, seconds=59)) == NOON


@given(st.integers(0, 4_000_000_000), st.integers(-12 * 60, 12 * 60))
def test_the_slot_holds_its_instant_in_whatever_zone_it_is_written(epoch_s: int, offset_minutes: int) -> None:
    now = datetime.fromtimestamp(epoch_s, tz=timezone(timedelta(minutes=offset_minutes)))
    start = slot_start(slot_number(now))
    assert start <= now < start + SLOT
    assert slot_number(now.astimezone(UTC)) == slot_number(now)


@pytest.mark.parametrize(("day", "count"), [((2026, 3, 29), 92), ((2026, 6, 1), 96), ((2026, 10, 25), 100)])
def test_a_local_day_has_92_96_or_100_quarter_hours(day: tuple[int, int, int], count: int) -> None:
    zone = ZoneInfo("Europe/Paris")
    start = datetime(*day, tzinfo=zone)
    end = (start + timedelta(days=1)).replace(tzinfo=zone)
    assert slot_number(end) - slot_number(start) == count


def test_flows_stocks_and_boundaries() -> None:
    slots = Slots(NOON, 4)
    assert (len(slots), list(slots.flows), list(slots.stocks)) == (4, [0, 1, 2, 3], [0, 1, 2, 3, 4])
    assert slots.hours == 0.25 and slots.length == SLOT
    assert slots.at(4) == slots.end == NOON + timedelta(hours=1)
    assert list(slots) == slots.starts == [NOON + i * SLOT for i in range(4)]


def test_a_horizon_is_half_open() -> None:
    slots = Slots(NOON, 4)
    assert slots.index_of(NOON) == 0
    assert slots.index_of(slots.end - timedelta(microseconds=1)) == 3
    for outside in (slots.end, NOON - timedelta(microseconds=1)):
        with pytest.raises(ValueError, match="lies outside"):
            slots.index_of(outside)


def test_start_is_kept_in_utc() -> None:
    paris = datetime(2026, 1, 15, 13, tzinfo=ZoneInfo("Europe/Paris"))
    assert Slots(paris, 1).start == NOON and Slots(paris, 1).start.tzinfo is UTC
    assert Slots(paris, 1) == Slots(NOON, 1)


def test_a_naive_instant_is_refused() -> None:
    with pytest.raises(ValueError, match="has no time zone; give an aware datetime"):
        slot_number(NOON.replace(tzinfo=None))


@pytest.mark.parametrize(
    ("count", "minutes", "words"), [(0, 15, "count is 0"), (1, 7, "minutes is 7"), (1, 0, "minutes is 0")]
)
def test_a_grid_that_is_none_is_refused(count: int, minutes: int, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Slots(NOON, count, minutes)
