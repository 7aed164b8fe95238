"""Readings: kept as measured, once; summed to hours and civil days in the same transaction.

The first value of a quarter-hour stays. The same value again changes nothing; a different one is kept and counted in
`reading_conflict`. A quarter-hour known only as missing takes a value that comes late: missing is not a value.

Roll-ups are computed anew from the readings of the hours that a batch touched, never added to, so that the order and
the number of deliveries cannot change them. They count only what may be used (good or substituted).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime, timedelta
from itertools import chain, repeat
from zoneinfo import ZoneInfo

import numpy as np
from sqlalchemy import Connection

from ems.points import Quality, split_point
from ems.series import Floats
from ems.slots import SLOT_SECONDS, Slots
from ems.store.database import Concern, Report, execute, execute_many, fetch_all

TIME_ZONE = ZoneInfo("Europe/Paris")  # its offset is whole hours, so a local day is made of whole UTC hours

# In the database for ever: never give a number a second meaning. Up to USABLE a value may be used.
CODES: dict[Quality, int] = {
    Quality.GOOD: 0,
    Quality.SUBSTITUTED: 1,
    Quality.MISSING: 2,
    Quality.IMPLAUSIBLE: 3,
    Quality.STALE: 4,
    Quality.UNREACHABLE: 5,
}
QUALITIES = {code: quality for quality, code in CODES.items()}
_USABLE = CODES[Quality.SUBSTITUTED]

REGISTER = "energy_kwh"  # of a home's electricity meter
ELECTRIC = (REGISTER, "export_energy_kwh", "power_kw", "voltage_v")  # what it tells; kept with agreement alone

_HOUR = 3600
_EARLIEST = 946_684_800  # 2000-01-01: a device whose clock was reset says 1970
_LATEST = 4_102_444_800  # 2100-01-01

Row = tuple[str, int, float | None, Quality]
Kept = tuple[int, int, float | None, int]  # point id, at, value, quality code
Touched = tuple[int, int, int]  # point id, from, until: what may have changed, in whole UTC hours

_INSERT = """
INSERT INTO reading (point_id, at, value, quality) VALUES (?, ?, ?, ?)
ON CONFLICT (point_id, at) DO UPDATE SET value = excluded.value, quality = excluded.quality
WHERE reading.value IS NULL AND excluded.value IS NOT NULL
"""
_CONFLICT = """
INSERT INTO reading_conflict (point_id, at, value, quality, times)
SELECT r.point_id, r.at, ?, ?, 1 FROM reading r WHERE r.point_id = ? AND r.at = ? AND r.value <> ?
ON CONFLICT (point_id, at) DO UPDATE
SET value = excluded.value, quality = excluded.quality, times = reading_conflict.times + 1
WHERE reading_conflict.value <> excluded.value
"""
DISBELIEVED = """
INSERT INTO disbelieved (point_id, at, raw, quality, times) VALUES (?, ?, ?, ?, 1)
ON CONFLICT (point_id, at) DO UPDATE
SET raw = excluded.raw, quality = excluded.quality, times = disbelieved.times + 1
"""
_HOURS = f"""
INSERT INTO hourly (point_id, hour, n, total, lowest, highest)
SELECT point_id, at - at % {_HOUR}, count(value), sum(value), min(value), max(value)
FROM reading WHERE point_id = ? AND at >= ? AND at < ? AND quality <= {_USABLE}
GROUP BY point_id, at - at % {_HOUR}
ON CONFLICT (point_id, hour) DO UPDATE
SET n = excluded.n, total = excluded.total, lowest = excluded.lowest, highest = excluded.highest
"""
_DAYS = """
INSERT INTO daily (point_id, day, n, n_expected, total, lowest, highest)
SELECT h.point_id, d.day, sum(h.n), d.n_expected, sum(h.total), min(h.lowest), max(h.highest)
FROM civil_day d JOIN hourly h ON h.hour >= d.begins AND h.hour < d.ends
WHERE h.point_id = ? AND d.ends > ? AND d.begins < ?
GROUP BY h.point_id, d.day, d.n_expected
ON CONFLICT (point_id, day) DO UPDATE
SET n = excluded.n, total = excluded.total, lowest = excluded.lowest, highest = excluded.highest
"""
# The same for PostgreSQL, where one statement over arrays is faster than many; a point stands in it once.
_HOURS_ARRAYS = f"""
INSERT INTO hourly (point_id, hour, n, total, lowest, highest)
SELECT r.point_id, r.at - r.at % {_HOUR}, count(r.value), sum(r.value), min(r.value), max(r.value)
FROM unnest(?::bigint[], ?::bigint[], ?::bigint[]) t (point_id, low, high)
JOIN reading r ON r.point_id = t.point_id AND r.at >= t.low AND r.at < t.high
WHERE r.quality <= {_USABLE} GROUP BY r.point_id, r.at - r.at % {_HOUR}
ON CONFLICT (point_id, hour) DO UPDATE
SET n = excluded.n, total = excluded.total, lowest = excluded.lowest, highest = excluded.highest
"""
_DAYS_ARRAYS = """
INSERT INTO daily (point_id, day, n, n_expected, total, lowest, highest)
SELECT h.point_id, d.day, sum(h.n), d.n_expected, sum(h.total), min(h.lowest), max(h.highest)
FROM unnest(?::bigint[], ?::bigint[], ?::bigint[]) t (point_id, low, high)
JOIN civil_day d ON d.ends > t.low AND d.begins < t.high
JOIN hourly h ON h.point_id = t.point_id AND h.hour >= d.begins AND h.hour < d.ends
GROUP BY h.point_id, d.day, d.n_expected
ON CONFLICT (point_id, day) DO UPDATE
SET n = excluded.n, total = excluded.total, lowest = excluded.lowest, highest = excluded.highest
"""
_DAY = "INSERT INTO civil_day (day, begins, ends, n_expected) VALUES (?, ?, ?, ?) ON CONFLICT (day) DO NOTHING"


def checked(rows: Iterable[Row], report: Report) -> Iterator[Row]:
    """The rows that may be kept, one by one: a bad value costs its own point, not the batch.

    A value that is not finite becomes missing. A row without a place (no point, no quarter-hour) is left out and
    reported as `reading-refused`.
    """
    for point, at, value, quality in rows:
        why = _refusal(point, at, value, quality)
        if why:
            report(Concern("reading-refused", f"{point!r} at {at!r}: {why}"))
        elif value is None or math.isfinite(value):
            yield point, at, value, quality
        else:
            yield point, at, None, Quality.MISSING if CODES[quality] <= _USABLE else quality


def _refusal(point: object, at: object, value: object, quality: object) -> str:
    if not isinstance(at, int) or at % SLOT_SECONDS or not _EARLIEST <= at < _LATEST:
        return "its time is no start of a quarter-hour in epoch seconds between 2000 and 2100"
    if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
        return f"{value!r} is no number; give a float or None"
    if not isinstance(quality, Quality):
        return f"{quality!r} is no quality; give one of {', '.join(Quality)}"
    try:
        split_point(point)  # type: ignore[arg-type]
    except (ValueError, AttributeError):
        return "that is not a point; a point is building/asset/quantity"
    return ""


def keep(connection: Connection, rows: Sequence[Kept], report: Report, touched: Sequence[Touched] | None = None) -> int:
    """Write readings and the roll-ups they touch (worked out from the rows unless told). Returns how many are new."""
    new = execute_many(connection, _INSERT, rows)
    if new < len(rows):
        late = [(value, quality, point, at, value) for point, at, value, quality in rows if value is not None]
        conflicts = execute_many(connection, _CONFLICT, late)
        if conflicts:
            report(Concern("reading-conflict", f"{conflicts} readings differ from what is stored; the first stays"))
    if new:
        parts = _touched(rows) if touched is None else touched
        _roll_up(connection, parts)
        _break_seals(connection, parts)
    return new


def _break_seals(connection: Connection, touched: Sequence[Touched]) -> None:
    """A day that gets another reading is sealed anew, when its time comes again."""
    first, last = civil_day(min(t[1] for t in touched))[0], civil_day(max(t[2] for t in touched) - 1)[0]
    execute_many(connection, "DELETE FROM sealed_day WHERE day >= ? AND day <= ?", [(first, last)])


def keep_series(connection: Connection, series: Sequence[tuple[int, Slots, Floats]], report: Report) -> int:
    """The same for whole series of one point each: NaN is missing."""
    rows: list[Kept] = []
    touched = []
    for point, slots, values in series:
        starts = epoch_starts(slots)
        if values.shape != (slots.count,):
            raise ValueError(f"{values.shape} values for {slots.count} slots; give one value per slot")
        finite = np.isfinite(values)
        if finite.all():
            rows.extend(zip(repeat(point), starts, values.tolist(), repeat(CODES[Quality.GOOD])))
        else:
            cells = [value if math.isfinite(value) else None for value in values.tolist()]
            codes = np.where(finite, CODES[Quality.GOOD], CODES[Quality.MISSING]).tolist()
            rows.extend(zip(repeat(point), starts, cells, codes))
        touched.append((point, *_hours(starts.start, starts[-1])))
    return keep(connection, rows, report, touched)


def epoch_starts(slots: Slots) -> range:
    """The epoch seconds at which quarter-hours begin. Raises ValueError for another grid."""
    start = int(slots.start.timestamp())
    if slots.minutes != SLOT_SECONDS // 60 or start % SLOT_SECONDS:
        raise ValueError(
            f"slots of {slots.minutes} minutes from {slots.start.isoformat()}; "
            "readings are kept by quarter-hour, from minute 0, 15, 30 or 45"
        )
    return range(start, start + slots.count * SLOT_SECONDS, SLOT_SECONDS)


def read_series(connection: Connection, point: int, starts: range) -> Floats:
    """One point over quarter-hours; NaN where nothing usable is stored."""
    values = np.full(len(starts), np.nan)
    found = fetch_all(
        connection,
        f"SELECT (at - ?) / {SLOT_SECONDS}, value FROM reading"
        f" WHERE point_id = ? AND at >= ? AND at < ? AND quality <= {_USABLE} AND value IS NOT NULL",
        (starts.start, point, starts.start, starts.stop),
    )
    if found:
        table = np.fromiter(chain.from_iterable(found), np.float64, 2 * len(found)).reshape(-1, 2)
        values[table[:, 0].astype(np.intp)] = table[:, 1]
    return values


def read_qualities(connection: Connection, point: int, starts: range) -> list[Quality | None]:
    """The quality of one point over quarter-hours; None where nothing is stored."""
    found: list[Quality | None] = [None] * len(starts)
    sql = f"SELECT (at - ?) / {SLOT_SECONDS}, quality FROM reading WHERE point_id = ? AND at >= ? AND at < ?"
    for at, code in fetch_all(connection, sql, (starts.start, point, starts.start, starts.stop)):
        found[at] = QUALITIES[code]
    return found


def civil_day(instant_s: int) -> tuple[int, int, int, int]:
    """The local day an instant lies in: (date as 20260329, begins, ends in epoch s, quarter-hours in it)."""
    local = datetime.fromtimestamp(instant_s, tz=TIME_ZONE).date()
    begins, ends = _midnight(local), _midnight(local + timedelta(days=1))
    return local.year * 10_000 + local.month * 100 + local.day, begins, ends, (ends - begins) // SLOT_SECONDS


def _midnight(day: date) -> int:
    return int(datetime(day.year, day.month, day.day, tzinfo=TIME_ZONE).timestamp())


def _hours(first: int, last: int) -> tuple[int, int]:
    """The whole UTC hours that hold two instants and all between."""
    return first - first % _HOUR, last - last % _HOUR + _HOUR


def _touched(rows: Sequence[Kept]) -> list[Touched]:
    first: dict[int, int] = {}
    last: dict[int, int] = {}
    for point, at, _, _ in rows:
        if at < first.setdefault(point, at):
            first[point] = at
        if at > last.setdefault(point, at):
            last[point] = at
    return [(point, *_hours(at, last[point])) for point, at in first.items()]


def _roll_up(connection: Connection, touched: Sequence[Touched]) -> None:
    begins, until = min(t[1] for t in touched), max(t[2] for t in touched)
    days = []
    instant = begins
    while instant < until:
        days.append(civil_day(instant))
        instant = days[-1][2]
    execute_many(connection, _DAY, days)
    if connection.dialect.name == "postgresql":
        spans: dict[int, Touched] = {}
        for point, low, high in touched:
            _, known_low, known_high = spans.get(point, (point, low, high))
            spans[point] = (point, min(low, known_low), max(high, known_high))
        columns = tuple(list(column) for column in zip(*spans.values(), strict=True))
        execute(connection, _HOURS_ARRAYS, columns)
        execute(connection, _DAYS_ARRAYS, columns)
    else:
        execute_many(connection, _HOURS, touched)
        execute_many(connection, _DAYS, touched)
