"""Readings: kept once, summed rightly, whatever the order and number of deliveries."""

from __future__ import annotations

import math
import tempfile
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ems.points import Quality
from ems.slots import Slots
from ems.store import Concern, Store
from ems.store.readings import CODES, QUALITIES, civil_day

GRID = "mistral/landlord/power_kw"
METER = "mistral/landlord/import_kwh"
AT = int(datetime(2026, 11, 20, 10, tzinfo=UTC).timestamp())
GOOD = Quality.GOOD


def test_round_trips_what_a_meter_counts(any_store: Store) -> None:
    assert any_store.save_readings([(METER, AT, 123456789.123, GOOD)]) == 1
    history = any_store.history([METER], Slots(datetime.fromtimestamp(AT, tz=UTC), 1))
    assert history.values[METER].tolist() == [123456789.123]


def test_each_quarter_hour_says_how_far_it_may_be_believed(any_store: Store) -> None:
    kept = [(5.0, GOOD), (6.0, Quality.SUBSTITUTED), (None, Quality.STALE)]
    any_store.save_readings([(GRID, AT + 900 * i, value, quality) for i, (value, quality) in enumerate(kept)])
    slots = Slots(datetime.fromtimestamp(AT, tz=UTC), 4)
    assert any_store.qualities(GRID, slots) == [GOOD, Quality.SUBSTITUTED, Quality.STALE, None]
    assert any_store.history([GRID], slots).values[GRID][:2].tolist() == [5.0, 6.0]
    assert any_store.qualities("mistral/landlord/never_heard_kw", slots) == [None] * 4


def test_same_again_is_no_news_and_the_first_value_stays(any_store: Store) -> None:
    any_store.save_readings([(GRID, AT, 5.0, GOOD)])
    assert any_store.save_readings([(GRID, AT, 5.0, GOOD)]) == 0
    assert any_store.save_readings([(GRID, AT, 7.0, GOOD)]) == 0
    slots = Slots(datetime.fromtimestamp(AT, tz=UTC), 1)
    assert any_store.history([GRID], slots).values[GRID].tolist() == [5.0]


def test_a_different_value_is_reported_and_counted_once(url: str) -> None:
    heard: list[Concern] = []
    with Store.open(url, report=heard.append) as store:
        for value in (5.0, 7.0, 7.0, 8.0):
            store.save_readings([(GRID, AT, value, GOOD)])
        rows = store._database.read("test", lambda c: c.exec_driver_sql("SELECT * FROM reading_conflict").all())
    assert [c.name for c in heard if c.name == "reading-conflict"] == ["reading-conflict"] * 2
    assert [tuple(r) for r in rows] == [(1, AT, 8.0, 0, 2)]


def test_missing_gives_way_to_a_value_that_comes_late(any_store: Store) -> None:
    any_store.save_readings([(GRID, AT, None, Quality.UNREACHABLE)])
    slots = Slots(datetime.fromtimestamp(AT, tz=UTC), 1)
    assert np.isnan(any_store.history([GRID], slots).values[GRID]).all()
    assert any_store.save_readings([(GRID, AT, 4.0, GOOD)]) == 1
    assert any_store.save_readings([(GRID, AT, None, Quality.UNREACHABLE)]) == 0
    assert any_store.history([GRID], slots).values[GRID].tolist() == [4.0]


def test_a_nan_costs_one_point_not_the_batch(url: str) -> None:
    heard: list[Concern] = []
    rows: list[tuple[object, ...]] = [(f"mistral/flat-{i:04d}/power_kw", AT, 1.0, GOOD) for i in range(50)]
    rows[7] = (rows[7][0], AT, math.nan, GOOD)
    rows[8] = (rows[8][0], AT, math.inf, GOOD)
    rows[9] = (rows[9][0], AT, "garbage", GOOD)
    rows[10] = (rows[10][0], AT + 1, 1.0, GOOD)
    rows[11] = ("no point", AT, 1.0, GOOD)
    rows[12] = (rows[12][0], 0, 1.0, GOOD)  # a device that believes it is 1970
    rows[13] = (rows[13][0], AT, 1.0, "good?")
    with Store.open(url, report=heard.append) as store:
        assert store.save_readings(rows) == 45  # type: ignore[arg-type]
        assert store.count_readings() == 43
    assert [c.name for c in heard].count("reading-refused") == 5


def test_bad_quality_is_kept_but_not_used(store: Store) -> None:
    store.save_readings([(GRID, AT, 9e9, Quality.IMPLAUSIBLE), (GRID, AT + 900, 2.0, Quality.SUBSTITUTED)])
    values = store.history([GRID], Slots(datetime.fromtimestamp(AT, tz=UTC), 2)).values[GRID]
    assert np.isnan(values[0]) and values[1] == 2.0
    assert store.daily(GRID, 20261120, 20261120) == [(20261120, 1, 96, 2.0, 2.0, 2.0)]


def test_series_and_rows_are_the_same_thing(store: Store) -> None:
    slots = Slots(datetime(2026, 10, 24, 12, tzinfo=UTC), 200)
    values = np.arange(200.0)
    values[[3, 77]] = np.nan
    assert store.save_series([(GRID, slots, values)]) == 200
    starts = [int(s.timestamp()) for s in slots]
    assert store.save_readings((METER, t, v, GOOD) for t, v in zip(starts, values.tolist(), strict=True)) == 200
    assert store.daily(GRID, 20261001, 20261101) == store.daily(METER, 20261001, 20261101)
    np.testing.assert_array_equal(store.history([GRID], slots).values[GRID], values)
    assert store.save_series([(GRID, slots, values)]) == 0


def test_history_of_a_point_never_heard_of_is_missing(store: Store) -> None:
    assert np.isnan(
        store.history(["a/b/power_kw"], Slots(datetime(2026, 1, 1, tzinfo=UTC), 4)).values["a/b/power_kw"]
    ).all()


def test_history_refuses_another_grid(store: Store) -> None:
    with pytest.raises(ValueError, match="quarter-hour"):
        store.history([GRID], Slots(datetime(2026, 1, 1, 0, 7, tzinfo=UTC), 4))
    with pytest.raises(ValueError, match="30 minutes"):
        store.history([GRID], Slots(datetime(2026, 1, 1, tzinfo=UTC), 4, minutes=30))


@pytest.mark.parametrize(
    ("day", "quarters"), [(date(2026, 3, 29), 92), (date(2026, 10, 25), 100), (date(2026, 11, 20), 96)]
)
def test_days_have_their_quarter_hours(any_store: Store, day: date, quarters: int) -> None:
    midnight = datetime(day.year, day.month, day.day, tzinfo=ZoneInfo("Europe/Paris")).astimezone(UTC)
    slots = Slots(midnight - timedelta(hours=1), 108)  # an hour before, and after
    any_store.save_series([(GRID, slots, np.ones(108))])
    number = day.year * 10_000 + day.month * 100 + day.day
    assert any_store.daily(GRID, number, number) == [(number, quarters, quarters, quarters, 1.0, 1.0)]


def test_every_change_of_the_clock_until_2037() -> None:
    counts = {}
    day = int(datetime(2019, 12, 31, 23, tzinfo=UTC).timestamp())
    for _ in range(366 * 18):
        number, begins, ends, quarters = civil_day(day)
        counts[number] = quarters
        assert (ends - begins) == quarters * 900
        day = ends
    assert sorted(set(counts.values())) == [92, 96, 100]
    years = range(2020, 2038)
    assert [sum(1 for n, q in counts.items() if n // 10_000 == y and q == 92) for y in years] == [1] * 18
    assert [sum(1 for n, q in counts.items() if n // 10_000 == y and q == 100) for y in years] == [1] * 18


# Deliveries: any order, any repetition, in any batches, over the day with 100 quarter-hours.
BEGIN = int(datetime(2026, 10, 24, 20, tzinfo=UTC).timestamp())
row = st.tuples(
    st.sampled_from(["a/b/power_kw", "a/c/power_kw"]),
    st.integers(0, 120).map(lambda i: BEGIN + i * 900),
    st.one_of(st.none(), st.integers(-50, 50).map(float)),
)


def _stored(store: Store) -> list[list[tuple[object, ...]]]:
    tables = ("reading", "hourly", "daily")
    sql = "SELECT p.name, t.* FROM {0} t JOIN point p ON p.id = t.point_id ORDER BY 1, 3"
    return [
        [(r[0], *r[2:]) for r in store._database.read("test", lambda c, t=t: c.exec_driver_sql(sql.format(t)).all())]
        for t in tables
    ]


@settings(max_examples=25, deadline=None)
@given(st.lists(row, max_size=60), st.randoms(use_true_random=False), st.integers(1, 7))
def test_order_and_repetition_of_deliveries_do_not_matter(
    rows: list[tuple[str, int, float | None]], random: object, size: int
) -> None:
    once = list({(p, at): (p, at, v, GOOD if v is not None else Quality.MISSING) for p, at, v in rows}.values())
    again = once * 2
    random.shuffle(again)  # type: ignore[attr-defined]
    with (
        tempfile.TemporaryDirectory() as folder,
        Store.open(f"sqlite:///{folder}/one.db") as one,
        Store.open(f"sqlite:///{folder}/two.db") as two,
    ):
        one.save_readings(once)
        for i in range(0, len(again), size):
            two.save_readings(again[i : i + size])
        assert _stored(one) == _stored(two)
        # By hand: a day's sum is the sum of its readings.
        for point, day, n, *_, total, low, high in _stored(one)[2]:
            mine = [v for p, at, v, _ in once if p == point and v is not None and civil_day(at)[0] == day]
            if mine:
                assert (n, total, low, high) == (len(mine), sum(mine), min(mine), max(mine))
            else:
                assert n == 0


def test_quality_codes_are_one_to_one() -> None:
    assert len(QUALITIES) == len(CODES) == len(Quality)


def test_two_series_of_one_point_in_a_batch_are_summed_once(any_store: Store) -> None:
    start = datetime(2026, 1, 20, tzinfo=UTC)
    halves = [("a/meter/power_kw", Slots(start + timedelta(hours=12 * k), 48), np.ones(48)) for k in range(2)]
    any_store.save_series(halves)
    [(_, n, _, total, _, _)] = any_store.daily("a/meter/power_kw", 20260120, 20260120)
    assert (n, total) == (92, 92.0)  # from one o'clock in Marseille
