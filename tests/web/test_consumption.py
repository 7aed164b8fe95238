"""What a home used, by hand: differences of readings, shared out over gaps, over days of 92, 96 and 100."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ems.slots import SLOT, Slots
from ems.store import Store
from ems.web.consumption import ELECTRICITY, day, days, local_day, months, used
from ems.web.past import Past
from tests.web.serving import PARIS
from tests.web.weeks import HOME


def test_amounts_are_differences_of_readings() -> None:
    use = used([10.0, 10.5, 10.5, 12.0])
    assert use.amounts == (0.5, 0.0, 1.5)
    assert use.estimated == (False, False, False)
    assert use.total == 2.0


def test_a_gap_is_shared_out_and_called_estimated() -> None:
    # By hand: 3 kWh in three quarter-hours of which only the ends are known; nothing is known after the last reading.
    use = used([10.0, None, None, 13.0, None, None])
    assert use.amounts == (1.0, 1.0, 1.0, None, None)
    assert use.estimated == (True, True, True, False, False)


def test_a_meter_that_was_exchanged_leaves_its_step_unknown() -> None:
    assert used([100.0, 101.0, 0.0, 2.0]).amounts == (1.0, None, 2.0)


@given(st.lists(st.one_of(st.none(), st.floats(0, 10)), min_size=1, max_size=50))
def test_what_is_told_is_what_the_register_says(steps: list[float | None]) -> None:
    register: list[float | None] = [0.0]
    reading = 0.0
    for step in steps:
        reading += step or 0.0
        register.append(None if step is None else reading)
    known = [r for r in register if r is not None]
    assert (used(register).total or 0.0) == pytest.approx(known[-1] - known[0], abs=1e-6)


@pytest.mark.parametrize(
    ("which", "count"), [(date(2026, 3, 29), 92), (date(2026, 10, 24), 96), (date(2026, 10, 25), 100)]
)
def test_a_local_day_has_its_own_length(which: date, count: int) -> None:
    slots = local_day(which, PARIS)
    assert slots.count == count
    assert slots.start.astimezone(PARIS).hour == 0


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """From 20 to 27 October 2026, 0.1 kWh in every quarter-hour; the clocks go back on the 25th."""
    opened = Store.open(f"sqlite:///{tmp_path}/site.db")
    start = local_day(date(2026, 10, 20), PARIS).start
    end = local_day(date(2026, 10, 27), PARIS).end
    slots = Slots(start, (end - start) // SLOT)
    values = 500 + 0.1 * np.arange(slots.count)
    values[48:60] = np.nan  # noon to three o'clock of the 20th
    opened.save_series([(f"{HOME}/energy_kwh", slots, values)])
    return opened


LATER = datetime(2026, 11, 2, tzinfo=UTC)


def test_the_long_day_counts_an_hour_more(store: Store) -> None:
    found = day(store, HOME, date(2026, 10, 25), LATER, PARIS)
    assert found.use[ELECTRICITY].total == pytest.approx(10.0)
    assert (found.slots.count, found.missing, found.estimated, found.over) == (100, 0, 0, True)
    assert day(store, HOME, date(2026, 10, 24), LATER, PARIS).use[ELECTRICITY].total == pytest.approx(9.6)


def test_a_day_with_a_gap_is_whole_and_says_so(store: Store) -> None:
    found = day(store, HOME, date(2026, 10, 20), LATER, PARIS)
    assert found.use[ELECTRICITY].total == pytest.approx(9.6)
    assert (found.missing, found.estimated) == (0, 13)


def test_a_running_day_misses_nothing_that_is_still_to_come(store: Store) -> None:
    now = local_day(date(2026, 10, 27), PARIS).start + timedelta(hours=6, minutes=20)
    found = day(store, HOME, date(2026, 10, 27), now, PARIS)
    assert (found.due, found.missing, found.over) == (24, 0, False)


def test_days_and_months_from_roll_ups(store: Store) -> None:
    found = days(store, HOME, date(2026, 10, 1), date(2026, 10, 31), LATER, PARIS)
    amounts = dict(zip(found.dates, found.use[ELECTRICITY].amounts, strict=True))
    assert amounts[date(2026, 10, 19)] is None
    assert amounts[date(2026, 10, 20)] == pytest.approx(9.6)
    assert amounts[date(2026, 10, 25)] == pytest.approx(10.0)
    # The last day shows what it has: nothing came after it to close its last quarter-hour.
    assert amounts[date(2026, 10, 27)] == pytest.approx(9.5)
    assert found.partly == {date(2026, 10, 20)}
    ((first, of, recorded),) = months(found)
    assert (first, recorded) == (date(2026, 10, 1), 8)
    assert of[ELECTRICITY] == pytest.approx(6 * 9.6 + 10.0 + 9.5)


def test_the_day_a_meter_is_exchanged_does_not_show_all_that_the_old_one_ever_counted(tmp_path: Path) -> None:
    """At noon of the 21st a meter that stood at 509 goes; the new one begins at nothing, and it is still the 21st."""
    slots = Slots(local_day(date(2026, 10, 20), PARIS).start, 96 + 60)
    values = 500 + 0.1 * np.arange(slots.count)
    values[96 + 48 :] -= values[96 + 48]
    with Store.open(f"sqlite:///{tmp_path}/site.db") as store:
        store.save_series([(f"{HOME}/energy_kwh", slots, values)])
        found = days(store, HOME, date(2026, 10, 20), date(2026, 10, 21), LATER, PARIS)
        assert found.use[ELECTRICITY].amounts == (pytest.approx(9.5), None)
        past = Past(store, date(2026, 10, 20), date(2026, 10, 21), date(2026, 10, 21))
        assert past.counted(f"{HOME}/energy_kwh").days == (pytest.approx(9.5), None)
