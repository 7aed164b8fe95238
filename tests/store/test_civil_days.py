"""The days on which clocks change, of all years that matter: their length, and no watt-hour lost or counted twice."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from ems.points import Quality
from ems.store import Store
from ems.store.readings import civil_day

PARIS = ZoneInfo("Europe/Paris")


def change_days() -> list[tuple[int, datetime]]:
    """(quarter-hours expected, midnight of the local day in UTC): the last Sundays of March and October, 2020-2037."""
    found = []
    for year in range(2020, 2038):
        for month, slots in ((3, 92), (10, 100)):
            last = max(d for d in range(25, 32) if datetime(year, month, d, tzinfo=UTC).isoweekday() == 7)
            found.append((slots, datetime(year, month, last, tzinfo=PARIS).astimezone(UTC)))
    return found


def test_change_days_have_92_and_100_quarter_hours() -> None:
    for slots, begins in change_days():
        day, start, end, expected = civil_day(int(begins.timestamp()) + 7200)
        assert (start, end - start, expected) == (int(begins.timestamp()), slots * 900, slots), day
        assert civil_day(end - 1)[0] == day != civil_day(end)[0]


def test_the_energy_of_each_change_day_is_the_sum_of_its_quarter_hours(store: Store) -> None:
    rows, sums = [], {}
    for slots, begins in change_days():
        first = int(begins.timestamp()) - 96 * 900
        values = [float(1 + k % 7) for k in range(slots + 2 * 96)]  # the day before, the day, the day after
        rows += [("a/meter/power_kw", first + 900 * k, v, Quality.GOOD) for k, v in enumerate(values)]
        sums[civil_day(int(begins.timestamp()))[0]] = (slots, sum(values[96 : 96 + slots]))
    store.save_readings(rows)
    for day, (slots, total) in sums.items():
        [(_, n, expected, found, _, _)] = store.daily("a/meter/power_kw", day, day)
        assert (n, expected, found) == (slots, slots, total), day


def test_slots_of_a_change_day_are_a_quarter_of_an_hour_apart() -> None:
    for slots, begins in change_days():
        starts = [begins + timedelta(minutes=15) * k for k in range(slots)]
        local = [s.astimezone(PARIS) for s in starts]
        assert local[0].hour == local[0].minute == 0
        assert (local[-1].hour, local[-1].minute) == (23, 45)
        assert len(set(starts)) == slots
