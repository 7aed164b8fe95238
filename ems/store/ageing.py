"""For how long what was measured is kept, by class.

Of homes: quarter-hours for fourteen months, so that a month can be held against the same one a year before; days, and
the registers at midnight that monthly statements are written from, for three years. Of plants, offices and the weather:
quarter-hours for five years (CCH art. R175-3 asks for months over five years), days for good. Electricity of homes is
kept with agreement alone, and goes at once when that is withdrawn (`Store.forget_electricity`).
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection

from ems.slots import as_utc
from ems.store import readings
from ems.store.database import execute, fetch_all

_THINNED = ("reading", "reading_conflict", "disbelieved")
_BETWEEN = "point_id = ? AND at >= ? AND at < ? AND NOT at IN (SELECT begins FROM civil_day)"


@dataclass(frozen=True)
class Kept:
    """How long quarter-hours are kept, and how long days; None: for good."""

    quarters: timedelta
    days: timedelta | None


OF_HOMES = Kept(timedelta(days=430), timedelta(days=3 * 366))
OF_PLANTS = Kept(timedelta(days=5 * 366), None)


def thin(connection: Connection, points: Collection[int], until: datetime) -> int:
    """Delete the readings and hours of these points before the local day of an instant; midnights and days stay.

    A day that loses readings is sealed anew, for what was sealed is meant to be gone. Returns how many rows went.
    """
    end = readings.civil_day(int(as_utc(until).timestamp()))[1]
    gone = 0
    for number in points:
        sql = "SELECT min(at) FROM reading WHERE point_id = ? AND NOT at IN (SELECT begins FROM civil_day)"
        ((first,),) = fetch_all(connection, sql, (number,))
        if first is None or first >= end:
            continue
        unseal(connection, first, end)
        for table in _THINNED:
            gone += execute(connection, f"DELETE FROM {table} WHERE {_BETWEEN}", (number, first, end))
        gone += execute(connection, "DELETE FROM hourly WHERE point_id = ? AND hour < ?", (number, end))
    return gone


def unseal(connection: Connection, first: int, until: int) -> None:
    """The days from one instant up to another (epoch s) are to be sealed anew."""
    days = readings.civil_day(first)[0], readings.civil_day(until - 1)[0]
    execute(connection, "DELETE FROM sealed_day WHERE day >= ? AND day <= ?", days)
