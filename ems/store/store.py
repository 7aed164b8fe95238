"""The site's memory: readings, latest values, set points, decisions, and the journal of the loop.

All instants are arguments; the store asks no clock. A value that is missing stays missing.
"""

from __future__ import annotations

import json
import threading
import zlib
from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache, partial
from itertools import islice
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, make_url

from ems.points import Quality, Sample
from ems.series import Floats, History
from ems.slots import SLOT_SECONDS, Slots, as_utc, slot_number
from ems.snapshot import Override
from ems.store import readings, seal
from ems.store.ageing import Kept, thin, unseal
from ems.store.alarms import Alarms
from ems.store.database import (
    Concern,
    Database,
    Report,
    StoreBusy,
    execute,
    execute_many,
    fetch_all,
    sqlite_concern,
)
from ems.store.journal import Journal
from ems.store.leadership import Leadership
from ems.store.points import PointNumbers
from ems.store.readings import ELECTRIC, REGISTER
from ems.store.spool import Spool

_BATCH = 50_000  # rows per transaction: about half a second, so that others get their turn
_ASKED_AT_ONCE = 500  # points in one question; SQLite takes 999 values in one from of old
_BACKLOG = 2_000_000  # readings kept in memory while the database is held: about three days of the whole district
_SLOTS_PER_DAY = 86_400 // SLOT_SECONDS
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def _silent(_: Concern) -> None:
    """Nobody listens."""


class Store:
    """One site's database. Open it with `Store.open` (one writer) or `Store.read_only` (the web)."""

    def __init__(self, database: Database, *, retain_days: int, spool: Path | None = None) -> None:
        self._database = database
        self._points = PointNumbers(database)
        self._retain_slots = retain_days * _SLOTS_PER_DAY
        self._spool = None if spool is None else Spool(spool)
        self._unspooled: deque[readings.Row] = deque()
        self._saving = threading.Lock()
        self.journal = Journal(database, self._points)
        self.leadership = Leadership(database)
        self.alarms = Alarms(database)
        self.concerns: tuple[Concern, ...] = ()
        self._stripped: dict[str, int] = {}  # down to which slot an asset was taken out of the records

    @classmethod
    def open(
        cls,
        url: str,
        *,
        report: Report = _silent,
        busy_timeout_s: float = 2.0,
        attempts: int = 8,
        retain_days: int = 40,
        spool: Path | None = None,
        create: bool = True,
        working: Callable[[], None] = lambda: None,
    ) -> Store:
        """Open for writing and bring the tables to the newest form.

        `url` is sqlite:///FILE or postgresql+psycopg://HOST/NAME. `report` hears of every Concern: a database held by
        somebody else, a refused reading, a conflict; what is known at once also stands in `concerns`. A write waits
        `attempts` times `busy_timeout_s`, then raises StoreBusy. Decisions are kept `retain_days`. `spool` is the file
        for readings that cannot be saved now: beside a SQLite database unless told; on PostgreSQL give one. Without
        `create`, StoreBusy where there is no database yet. `working` hears of a long migration that it goes on.
        """
        database = Database(
            url, read_only=False, busy_timeout_s=busy_timeout_s, attempts=attempts, report=report, create=create
        )
        if spool is None and database.is_sqlite:
            spool = database.file.with_name(database.file.name + ".spool")
        store = cls(database, retain_days=retain_days, spool=spool)
        try:
            store._database.migrate(working=working)
        except BaseException:
            store.close()
            raise
        concern = sqlite_concern() if store._database.is_sqlite else None
        if concern is not None:
            store.concerns = (concern,)
            report(concern)
        return store

    @classmethod
    def read_only(cls, url: str, *, busy_timeout_s: float = 2.0) -> Store:
        """Open for reading: every write is refused by the database itself. The tables must exist when it is used."""
        return cls(
            Database(url, read_only=True, busy_timeout_s=busy_timeout_s, attempts=1, report=_silent), retain_days=0
        )

    @staticmethod
    def is_at(url: str) -> bool:
        """Whether there is a SQLite file; of PostgreSQL, which answers for itself, True."""
        parts = make_url(url)
        return parts.get_backend_name() != "sqlite" or Path(str(parts.database)).exists()

    def stamp(self) -> tuple[int, ...] | None:
        """Changes whenever anything in the database does; None where that cannot be told (PostgreSQL)."""
        return self._database.stamp()

    @property
    def takes_writes(self) -> bool:
        """Whether the database took the last thing that was to be written: one that is held can still be read."""
        return self._database.takes_writes

    def size_bytes(self) -> int | None:
        """Of the database and its log; None where that cannot be told (PostgreSQL)."""
        return self._database.size_bytes()

    def close(self) -> None:
        """Let go of the lock and of every connection."""
        self.leadership.close()
        self._database.close()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # Readings

    @property
    def backlog(self) -> int:
        """Readings kept but not yet in the database, because it took none: in the spool, or at worst in memory."""
        return len(self._unspooled) + (0 if self._spool is None else self._spool.rows)

    @property
    def spools(self) -> bool:
        """Whether readings that the database does not take now wait on a disk, and not in memory alone."""
        return not self._unspooled and self._database.is_there()

    def save_readings(self, rows: Iterable[readings.Row]) -> int:
        """Keep readings (point, start of the quarter-hour in epoch s, value, quality). Returns how many are new.

        Delivering the same rows again changes nothing. When the database takes none (held, full, damaged), the rows
        are on disk in the spool before StoreBusy is raised, and are saved first, in order, by the next call.
        """
        arriving = readings.checked(rows, self._database.report)
        with self._saving:
            try:
                self._database.look("save readings")  # where it is gone its spool is too, and comes back with it
                new = self._drain()
            except StoreBusy:
                self._put_by(list(arriving))
                raise
            while batch := list(islice(arriving, _BATCH)):
                try:
                    new += self._save(batch)
                except StoreBusy:
                    self._put_by([*batch, *arriving])
                    raise
            return new

    def _drain(self) -> int:
        """What waits, oldest first: the spool, then what did not even fit there."""
        new = 0
        if self._spool is not None:
            waiting = self._spool.rows
            try:
                if self._spool.look() < waiting:
                    lost = f"{waiting - self._spool.rows} readings: {self._spool.path} is not as it was left"
                    self._database.report(Concern("readings-lost", lost))
                for frame in self._spool.frames():
                    for first in range(0, len(frame), _BATCH):
                        new += self._save(frame[first : first + _BATCH])
                if self._spool.rows:
                    self._spool.clear()
            except OSError as error:  # they go on waiting there; what comes now need not
                self._database.report(Concern("spool-failed", f"{waiting} readings wait in the spool: {error}"))
        while self._unspooled:
            batch = list(islice(self._unspooled, _BATCH))
            new += self._save(batch)
            for _ in batch:
                self._unspooled.popleft()
        return new

    def _save(self, batch: Sequence[readings.Row]) -> int:
        numbers = self._points.numbers({row[0] for row in batch}, attempts=1)
        kept = [(numbers[point], at, value, readings.CODES[quality]) for point, at, value, quality in batch]
        return self._database.write("save readings", partial(self._keep, kept), attempts=1)

    def _keep(self, rows: list[readings.Kept], connection: Connection) -> int:
        return readings.keep(connection, rows, self._database.report)

    def _put_by(self, rows: list[readings.Row]) -> None:
        """Onto the disk; and if that is full too, into memory, where a power cut would take them."""
        if not rows:
            return
        # Beside a database that is away there is no disk, or another one, which the right one hides when it is back.
        self._unspooled.extend(rows)
        if self._spool is not None and self._database.is_there():
            try:
                while batch := list(islice(self._unspooled, _BATCH)):
                    self._spool.append(batch)
                    for _ in batch:
                        self._unspooled.popleft()
            except OSError as error:
                self._say_in_memory(str(error))
        elif not self._database.is_there():
            self._say_in_memory(f"there is no {self._database.url.database}")
        lost = len(self._unspooled) - _BACKLOG
        if lost > 0:
            for _ in range(lost):
                self._unspooled.popleft()
            self._database.report(Concern("readings-lost", f"{lost} readings: memory holds {_BACKLOG}"))

    def _say_in_memory(self, why: str) -> None:
        self._database.report(Concern("spool-failed", f"{len(self._unspooled)} readings wait in memory only: {why}"))

    def save_series(self, series: Iterable[tuple[str, Slots, Floats]]) -> int:
        """Keep whole series, for weeks of history: (point, quarter-hours, values). Returns how many are new.

        NaN is missing. Point by point as they come, committed in batches, so that what came first can be used first.
        """
        new = 0
        batch: list[tuple[str, Slots, Floats]] = []
        for one in series:
            batch.append(one)
            if sum(slots.count for _, slots, _ in batch) >= _BATCH:
                new += self._save_batch(batch)
                batch = []
        return new + self._save_batch(batch)

    def _save_batch(self, batch: Sequence[tuple[str, Slots, Floats]]) -> int:
        if not batch:
            return 0
        numbers = self._points.numbers({point for point, _, _ in batch})
        numbered = [(numbers[point], slots, values) for point, slots, values in batch]
        return self._database.write("save history", lambda c: readings.keep_series(c, numbered, self._database.report))

    def history(self, points: Sequence[str], slots: Slots) -> History:
        """What is stored of `points` over quarter-hours; NaN is missing, also for a point never heard of.

        A counter gives its value at the start of each slot, anything else its mean over the slot.
        """
        starts = readings.epoch_starts(slots)
        numbers = self._points.known(points)

        def read(connection: Connection) -> dict[str, Floats]:
            return {point: readings.read_series(connection, numbers.get(point, -1), starts) for point in points}

        return History(slots, self._database.read("history", read))

    def qualities(self, point: str, slots: Slots) -> list[Quality | None]:
        """How far each stored quarter-hour of a point may be believed, and why it has no value; None: never heard."""
        starts, number = readings.epoch_starts(slots), self._points.known([point]).get(point, -1)
        return self._database.read("qualities", lambda c: readings.read_qualities(c, number, starts))

    # Latest values and set points

    def save_latest(self, samples: Mapping[str, Sample]) -> None:
        """The last sweep: one row per point, written over. What was not believed is kept by quarter-hour too."""
        numbers = self._points.numbers(samples)
        rows = [
            (numbers[point], sample.value, readings.CODES[sample.quality], to_us(sample.at), sample.raw)
            for point, sample in samples.items()
        ]
        sql = """
            INSERT INTO latest (point_id, value, quality, at_us, raw) VALUES (?, ?, ?, ?, ?)
            ON CONFLICT (point_id) DO UPDATE
            SET value = excluded.value, quality = excluded.quality, at_us = excluded.at_us, raw = excluded.raw
            """
        doubted = [
            (numbers[point], slot_number(sample.at) * SLOT_SECONDS, sample.raw, readings.CODES[sample.quality])
            for point, sample in samples.items()
            if sample.raw is not None
        ]

        def write(connection: Connection) -> None:
            execute_many(connection, sql, rows)
            execute_many(connection, readings.DISBELIEVED, doubted)

        self._database.write("save latest values", write)

    def latest(self) -> dict[str, Sample]:
        """The last sample of every point ever swept, by name."""
        sql = """
            SELECT p.name, l.value, l.quality, l.at_us, l.raw
            FROM latest l JOIN point p ON p.id = l.point_id ORDER BY p.name
            """
        rows = self._database.read("latest values", lambda c: fetch_all(c, sql))
        return {name: Sample(value, readings.QUALITIES[code], from_us(at), raw) for name, value, code, at, raw in rows}

    def unheard(self, now: datetime, within: timedelta, since: timedelta) -> tuple[int, int]:
        """How many points gave nothing to believe in the last `within`, and of how many that were read `since`."""
        sql = """
            SELECT count(*), coalesce(sum(CASE WHEN value IS NOT NULL AND quality <= ? AND at_us >= ? THEN 1 END), 0)
            FROM latest WHERE at_us >= ?
            """
        values = (readings.CODES[Quality.SUBSTITUTED], to_us(now - within), to_us(now - since))
        [(known, heard)] = self._database.read("latest values", lambda c: fetch_all(c, sql, values))
        return int(known - heard), int(known)

    def disbelieved(self, point: str, start: datetime, end: datetime) -> list[tuple[datetime, float, Quality, int]]:
        """What a device said in the quarter-hours of [start, end) and nobody believed: (quarter-hour, the last such
        number, why not, how many sweeps said one)."""
        number = self._points.known([point]).get(point, -1)
        span = (number, int(as_utc(start).timestamp()), int(as_utc(end).timestamp()))
        sql = "SELECT at, raw, quality, times FROM disbelieved WHERE point_id = ? AND at >= ? AND at < ? ORDER BY at"
        rows = self._database.read("disbelieved values", lambda c: fetch_all(c, sql, span))
        return [(datetime.fromtimestamp(at, tz=UTC), raw, readings.QUALITIES[code], n) for at, raw, code, n in rows]

    def save_setpoints(self, values: Mapping[str, float | None], now: datetime) -> int:
        """Note what each point is commanded to (None: by nobody). Stored on change. Returns how many changed."""
        numbers = self._points.numbers(values)
        at = int(as_utc(now).timestamp())

        def write(connection: Connection) -> int:
            changed = 0
            for point, value in values.items():
                last = fetch_all(
                    connection,
                    "SELECT value FROM setpoint_change WHERE point_id = ? ORDER BY at DESC LIMIT 1",
                    (numbers[point],),
                )
                if (last and last[0][0] == value) or (not last and value is None):
                    continue
                changed += execute(
                    connection,
                    "INSERT INTO setpoint_change (point_id, at, value) VALUES (?, ?, ?)"
                    " ON CONFLICT (point_id, at) DO UPDATE SET value = excluded.value",
                    (numbers[point], at, value),
                )
            return changed

        return self._database.write("save set points", write)

    def setpoints(self, point: str, start: datetime, end: datetime) -> list[tuple[datetime, float | None]]:
        """The changes of one set point in [start, end), preceded by what stood at `start`."""
        number = self._points.known([point]).get(point, -1)
        since, until = int(as_utc(start).timestamp()), int(as_utc(end).timestamp())
        sql = """
            SELECT at, value FROM setpoint_change WHERE point_id = ? AND at < ? AND at >= coalesce(
              (SELECT max(at) FROM setpoint_change WHERE point_id = ? AND at <= ?), ?) ORDER BY at
            """
        rows = self._database.read("set points", lambda c: fetch_all(c, sql, (number, until, number, since, since)))
        return [(datetime.fromtimestamp(at, tz=UTC), value) for at, value in rows]

    # Overrides

    def save_override(self, override: Override) -> None:
        """A person takes a point over; a second override of the same point replaces the first."""
        number = self._points.numbers([override.point])[override.point]
        sql = """
            INSERT INTO override (point_id, value, "by", reason, until_us) VALUES (?, ?, ?, ?, ?)
            ON CONFLICT (point_id) DO UPDATE SET value = excluded.value, "by" = excluded."by",
              reason = excluded.reason, until_us = excluded.until_us
            """
        row = (number, override.value, override.by, override.reason, to_us(override.until))
        self._database.write("save override", lambda c: execute(c, sql, row))

    def end_override(self, point: str) -> bool:
        """Give a point back before its time. False: nobody held it."""
        number = self._points.known([point]).get(point, -1)
        sql = "DELETE FROM override WHERE point_id = ?"
        return bool(self._database.write("end override", lambda c: execute(c, sql, (number,))))

    def overrides(self, now: datetime) -> dict[str, Override]:
        """Who holds which point at `now`."""
        sql = """
            SELECT p.name, o.value, o."by", o.reason, o.until_us
            FROM override o JOIN point p ON p.id = o.point_id WHERE o.until_us > ? ORDER BY p.name
            """
        rows = self._database.read("overrides", lambda c: fetch_all(c, sql, (to_us(now),)))
        return {
            point: Override(point=point, value=value, by=by, reason=reason, until=from_us(until))
            for point, value, by, reason, until in rows
        }

    # Assets out of service

    def save_maintenance(self, asset: str, by: str, reason: str, until: datetime) -> None:
        """A person takes an asset out of service until an instant; a second time replaces the first."""
        sql = """
            INSERT INTO maintenance (asset, "by", reason, until_us) VALUES (?, ?, ?, ?)
            ON CONFLICT (asset) DO UPDATE
            SET "by" = excluded."by", reason = excluded.reason, until_us = excluded.until_us
            """
        row = (asset, by, reason, to_us(until))
        self._database.write("save maintenance", lambda c: execute(c, sql, row))

    def end_maintenance(self, asset: str) -> bool:
        """The asset is in service again before its time. False: it was."""
        sql = "DELETE FROM maintenance WHERE asset = ?"
        return bool(self._database.write("end maintenance", lambda c: execute(c, sql, (asset,))))

    def out_of_service(self, now: datetime) -> dict[str, tuple[str, str, datetime]]:
        """The assets nobody may write to at `now`: (by whom, why, until when)."""
        sql = 'SELECT asset, "by", reason, until_us FROM maintenance WHERE until_us > ? ORDER BY asset'
        rows = self._database.read("maintenance", lambda c: fetch_all(c, sql, (to_us(now),)))
        return {asset: (by, reason, from_us(until)) for asset, by, reason, until in rows}

    # Decisions

    def save_decision(self, slot: int, record: Mapping[str, Any]) -> None:
        """Keep what was known, planned, sent and found in a slot, as JSON; forget what is older than is retained."""
        text = json.dumps(record, allow_nan=False, ensure_ascii=False, separators=(",", ":"))
        packed = zlib.compress(text.encode())

        def write(connection: Connection) -> None:
            execute(
                connection,
                "INSERT INTO decision (slot, record) VALUES (?, ?)"
                " ON CONFLICT (slot) DO UPDATE SET record = excluded.record",
                (slot, packed),
            )
            execute(connection, "DELETE FROM decision WHERE slot < ?", (slot - self._retain_slots,))

        self._database.write("save decision", write)

    def decision(self, slot: int) -> dict[str, Any] | None:
        """The record of one slot, or None. It is only read: whoever asks next may get the same one."""
        return self._one_decision("SELECT record FROM decision WHERE slot = ?", (slot,))

    def last_decision(self) -> dict[str, Any] | None:
        """The newest record, or None before the first. It is only read, as well."""
        return self._one_decision("SELECT record FROM decision ORDER BY slot DESC LIMIT 1", ())

    def _one_decision(self, sql: str, values: tuple[int, ...]) -> dict[str, Any] | None:
        rows = self._database.read("decision", lambda c: fetch_all(c, sql, values))
        return _unpacked(bytes(rows[0][0])) if rows else None

    # Forgetting

    def erase(self, asset: str, until: datetime) -> int:
        """Delete what was measured and commanded at one asset before an instant: sums, conflicts and alarms too.

        Days and hours that reach beyond the instant are kept, and commands that stand. What decision records say of it
        goes with `strip_decisions`. Returns how many rows went.
        """

        def write(connection: Connection) -> int:
            gone = _forget(connection, _numbers(connection, asset), until)
            return gone + execute(
                connection,
                "DELETE FROM alarm WHERE (subject = ? OR substr(subject, 1, ?) = ?) AND cleared_us < ?",
                (asset, len(asset) + 1, f"{asset}/", to_us(until)),
            )

        return self._database.write("erase", write)

    def forget_electricity(self, home: str, until: datetime, *, but_midnights: bool) -> int:
        """Delete what the electricity meter of a home told before an instant; with `but_midnights`, not the register
        at the start of each day. Returns how many rows went.
        """

        def write(connection: Connection) -> int:
            meters = {n: q for n, q in _numbers(connection, home).items() if q in ELECTRIC}
            thinned = {n: q for n, q in meters.items() if but_midnights and q == REGISTER}
            gone = _forget(connection, {n: q for n, q in meters.items() if n not in thinned}, until)
            seconds = int(as_utc(until).timestamp())
            for number in thinned:
                between = "point_id = ? AND at < ? AND NOT at IN (SELECT begins FROM civil_day)"
                gone += _unseal(connection, number, seconds)
                for table in ("reading", "reading_conflict", "disbelieved"):
                    gone += execute(connection, f"DELETE FROM {table} WHERE {between}", (number, seconds))
                gone += execute(
                    connection, "DELETE FROM hourly WHERE point_id = ? AND hour < ?", (number, seconds - 3600)
                )  # fmt: skip
            return gone

        return self._database.write("forget electricity", write)

    def age(self, asset: str, now: datetime, kept: Kept) -> int:
        """Delete what was measured at one asset longer ago than it is kept (`ems.store.ageing`); how many rows."""
        now = as_utc(now)

        def write(connection: Connection) -> int:
            numbers = _numbers(connection, asset)
            gone = thin(connection, numbers, now - kept.quarters)
            if kept.days is not None:
                until = now - kept.days
                old = [n for n in numbers if _has_before(connection, n, until)]
                gone += _forget(connection, old, until)
            return gone

        return self._database.write("age", write)

    def strip_decisions(self, asset: str, until: datetime, most: int = 20) -> bool:
        """Take an asset out of the decision records before an instant, `most` of them at a time, the newest first.

        True: there may be more.
        """
        last = slot_number(until)

        def write(connection: Connection) -> bool:
            sql = "SELECT slot, record FROM decision WHERE slot < ? ORDER BY slot DESC LIMIT ?"
            rows = fetch_all(connection, sql, (self._stripped.get(asset, last), most))
            for slot, packed in rows:
                text = zlib.decompress(bytes(packed)).decode()
                if asset in text:
                    record = without(json.loads(text), asset)
                    kept = zlib.compress(json.dumps(record, ensure_ascii=False, separators=(",", ":")).encode())
                    execute(connection, "UPDATE decision SET record = ? WHERE slot = ?", (kept, slot))
                self._stripped[asset] = slot
            return len(rows) == most

        more = self._database.write("strip decisions", write)
        if not more:
            self._stripped.pop(asset, None)
        return more

    # Seals

    def seal_days(self, now: datetime) -> list[int]:
        """Seal the civil days that are over, as 20260329. Returns those newly sealed."""
        return self._database.write("seal days", lambda c: seal.seal_due(c, now))

    def sealed_days(self) -> list[int]:
        return self._database.read("sealed days", seal.sealed_days)

    def damaged_days(self, days: list[int] | None = None) -> dict[int, str]:
        """Sealed days (of `days`, or of all) whose readings are not what was sealed, with what differs."""
        return self._database.read("damaged days", lambda c: seal.damaged(c, days))

    # Figures

    def count_readings(self) -> int:
        """How many quarter-hours are stored with a usable value, by the daily sums."""
        sql = "SELECT coalesce(sum(n), 0) FROM daily"
        return int(self._database.read("count readings", lambda c: fetch_all(c, sql))[0][0])

    def daily(
        self, point: str, first: int, last: int
    ) -> list[tuple[int, int, int, float | None, float | None, float | None]]:
        """(day, n, n_expected, total, lowest, highest) of the civil days first..last, given as 20260329."""
        number = self._points.known([point]).get(point, -1)
        sql = """
            SELECT day, n, n_expected, total, lowest, highest FROM daily
            WHERE point_id = ? AND day >= ? AND day <= ? ORDER BY day
            """
        rows = self._database.read("daily sums", lambda c: fetch_all(c, sql, (number, first, last)))
        return [(d, n, expected, total, low, high) for d, n, expected, total, low, high in rows]

    def at_hours(self, points: Sequence[str], hours: Sequence[datetime]) -> dict[str, list[float | None]]:
        """The lowest reading of each of these whole UTC hours, by point: where a counter stood when the hour began.

        None for an hour of which not every quarter is known.
        """
        known = self._points.known(list(points))
        keys = [int(as_utc(hour).timestamp()) for hour in hours]
        marks = ", ".join("?" * len(keys))
        sql = f"SELECT hour, lowest FROM hourly WHERE point_id = ? AND n = 4 AND hour IN ({marks})"

        def read(connection: Connection) -> dict[str, dict[int, float]]:
            return {p: dict(fetch_all(connection, sql, (known.get(p, -1), *keys))) for p in points}

        found = self._database.read("hours", read) if keys else {p: {} for p in points}
        return {point: [rows.get(key) for key in keys] for point, rows in found.items()}

    def registers(self, points: Sequence[str], days: Sequence[int]) -> dict[str, list[float | None]]:
        """What each counter showed first on each of these civil days, given as 20260329; None where it said nothing."""
        numbers = self._points.known(points)
        names = {number: point for point, number in numbers.items()}
        found: dict[str, list[float | None]] = {point: [None] * len(days) for point in points}
        marks, places = ", ".join("?" * len(days)), {day: i for i, day in enumerate(days)}

        def read(connection: Connection) -> list[tuple[int, int, float | None]]:
            rows = []
            for first in range(0, len(names), _ASKED_AT_ONCE):
                some = list(names)[first : first + _ASKED_AT_ONCE]
                sql = (
                    f"SELECT point_id, day, lowest FROM daily WHERE point_id IN ({', '.join('?' * len(some))})"
                    f" AND day IN ({marks})"
                )
                rows += [(p, d, low) for p, d, low in fetch_all(connection, sql, (*some, *days))]
            return rows

        for number, day, lowest in self._database.read("registers", read):
            found[names[number]][places[day]] = lowest
        return found


@lru_cache(maxsize=2)
def _unpacked(packed: bytes) -> dict[str, Any]:
    """A record is two megabytes, and every page of a quarter-hour is made from the newest, or from that and another."""
    record = json.loads(zlib.decompress(packed))
    assert isinstance(record, dict)
    return record


def without(content: Any, asset: str) -> Any:
    """A record without what is about an asset: keys that name it, entries that name it, sentences that do."""

    def names(text: str) -> bool:
        return text == asset or text.startswith(f"{asset}/")

    if isinstance(content, dict):
        return {key: without(value, asset) for key, value in content.items() if not names(key)}
    if isinstance(content, list):
        return [
            without(entry, asset)
            for entry in content
            if not (isinstance(entry, str) and asset in entry)
            and not (isinstance(entry, dict) and any(isinstance(v, str) and asset in v for v in entry.values()))
        ]
    return content


def _numbers(connection: Connection, asset: str) -> dict[int, str]:
    """The points of an asset: their quantities by number."""
    sql = "SELECT id, name FROM point WHERE substr(name, 1, ?) = ?"
    rows = fetch_all(connection, sql, (len(asset) + 1, f"{asset}/"))
    return {number: name.rpartition("/")[2] for number, name in rows}


def _forget(connection: Connection, points: Collection[int], until: datetime) -> int:
    """Delete all rows of these points before an instant."""
    seconds, day = int(as_utc(until).timestamp()), int(as_utc(until).strftime("%Y%m%d"))
    parts = (
        ("reading", "at", seconds),
        ("reading_conflict", "at", seconds),
        ("disbelieved", "at", seconds),
        ("hourly", "hour", seconds - 3600),
        ("daily", "day", day),
        ("setpoint_change", "at", seconds),
        ("latest", "at_us", to_us(until)),
        ("command", "expires_us", to_us(until)),
    )
    gone = 0
    for number in points:
        _unseal(connection, number, seconds)
        gone += sum(
            execute(connection, f"DELETE FROM {table} WHERE point_id = ? AND {column} < ?", (number, before))
            for table, column, before in parts
        )
    return gone


def _has_before(connection: Connection, number: int, until: datetime) -> bool:
    """Whether a point has a reading before an instant."""
    sql = "SELECT 1 FROM reading WHERE point_id = ? AND at < ? LIMIT 1"
    return bool(fetch_all(connection, sql, (number, int(until.timestamp()))))


def _unseal(connection: Connection, number: int, seconds: int) -> int:
    """Days that lose readings of a point are sealed anew: what was sealed is meant to be gone. Returns 0, for sums."""
    rows = fetch_all(connection, "SELECT min(at) FROM reading WHERE point_id = ? AND at < ?", (number, seconds))
    if rows[0][0] is not None:
        unseal(connection, rows[0][0], seconds)
    return 0


def to_us(instant: datetime) -> int:
    """An instant as UTC epoch microseconds."""
    return (as_utc(instant) - _EPOCH) // timedelta(microseconds=1)


def from_us(microseconds: int) -> datetime:
    return _EPOCH + timedelta(microseconds=microseconds)
