"""Seals: a checksum over all readings of a civil day that is over, because a database does not see its own bit rot.

A reading that comes late breaks the seal on purpose, in the same transaction; the day is sealed anew. A day whose
readings no longer give the checksum without that is damaged.
"""

from __future__ import annotations

import struct
import zlib
from datetime import UTC, date, datetime, timedelta

from sqlalchemy import Connection

from ems.slots import as_utc
from ems.store.database import execute, fetch_all
from ems.store.readings import civil_day

OVER = timedelta(days=2)  # late readings come within this
_ROW = struct.Struct("<qqdq")
_ABSENT = -1.0e300  # NULL under the checksum


def checksum(connection: Connection, day: int) -> tuple[int, int]:
    """(rows, CRC-32) of a day's readings, in the order of points and instants."""
    _, begins, ends, _ = _bounds(day)
    rows = fetch_all(
        connection,
        "SELECT point_id, at, value, quality FROM reading WHERE at >= ? AND at < ? ORDER BY point_id, at",
        (begins, ends),
    )
    crc = 0
    for point, at, value, quality in rows:
        crc = zlib.crc32(_ROW.pack(point, at, _ABSENT if value is None else value, quality), crc)
    return len(rows), crc


def seal_due(connection: Connection, now: datetime) -> list[int]:
    """Seal every day that is over and has readings and no seal. Returns the days."""
    last = civil_day(int((as_utc(now) - OVER).timestamp()))[0]
    days = fetch_all(
        connection,
        "SELECT DISTINCT day FROM daily WHERE day < ? AND NOT day IN (SELECT day FROM sealed_day) ORDER BY day",
        (last,),
    )
    for (day,) in days:
        n, crc = checksum(connection, day)
        execute(
            connection,
            "INSERT INTO sealed_day (day, n, crc, sealed_us) VALUES (?, ?, ?, ?)",
            (day, n, crc, int(as_utc(now).timestamp() * 1e6)),
        )
    return [day for (day,) in days]


def damaged(connection: Connection, days: list[int] | None = None) -> dict[int, str]:
    """Sealed days whose readings are not what was sealed, and how they differ; of `days`, or of all."""
    found = {}
    for day, n, crc in fetch_all(connection, "SELECT day, n, crc FROM sealed_day ORDER BY day"):
        if days is None or day in days:
            now_n, now_crc = checksum(connection, day)
            if (now_n, now_crc) != (n, crc):
                found[day] = f"{day}: sealed with {n} readings and {crc:08x}, found {now_n} and {now_crc:08x}"
    return found


def sealed_days(connection: Connection) -> list[int]:
    return [day for (day,) in fetch_all(connection, "SELECT day FROM sealed_day ORDER BY day")]


def _bounds(day: int) -> tuple[int, int, int, int]:
    noon = datetime.combine(date(day // 10_000, day // 100 % 100, day % 100), datetime.min.time()) + timedelta(hours=12)
    return civil_day(int(noon.replace(tzinfo=UTC).timestamp()))
