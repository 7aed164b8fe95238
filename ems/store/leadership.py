"""Who may decide and write: a lock for mutual exclusion, and a row with a fence number and an expiry.

The lock (a locked file beside a SQLite database, an advisory lock in PostgreSQL) goes with the process that holds it,
within milliseconds of its death. A frozen process keeps its lock; when it wakes up, its fence is the same only if
nobody took over in between, and every intent is checked against it in its own transaction.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, create_engine, text
from sqlalchemy.exc import DBAPIError, OperationalError

from ems.slots import as_utc
from ems.store.database import Database, StoreBusy, StoreError, execute, fetch_all

if TYPE_CHECKING:
    from sqlalchemy import Engine

LASTS = timedelta(seconds=45)
_CONNECT_S = 5
_KEEPALIVE = "-c tcp_keepalives_idle=15 -c tcp_keepalives_interval=5 -c tcp_keepalives_count=3"
_ADVISORY_LOCK = 0x656D73  # "ems"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class LeadershipLost(StoreError):  # noqa: N818 -- a state of the world, not a mistake
    """Somebody else leads, or nobody does, or our time is over: nothing may be written to a device."""


@dataclass(frozen=True)
class Lease:
    """Leadership, with its fence: higher than every fence before it."""

    owner: str
    fence: int
    expires_at: datetime


@dataclass(frozen=True)
class HeldBy:
    """Leadership is somebody else's. `expired`: its lease is over but its lock is not: that process is frozen."""

    owner: str
    fence: int
    expires_at: datetime
    expired: bool


class Leadership:
    """Taking, renewing and giving up leadership of one site."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock: int | None = None  # SQLite: the locked file
        self._session: tuple[Engine, Connection] | None = None  # PostgreSQL: the connection that holds the lock

    def take(self, owner: str, now: datetime, lasts: timedelta = LASTS) -> Lease | HeldBy:
        """Become the leader if the lock is free: with a new fence, one higher than any before."""
        if not self._locked():
            row = self._row()
            if row is None:
                return HeldBy(owner="(about to take it)", fence=0, expires_at=as_utc(now), expired=False)
            holder, fence, expires_us = row
            expires_at = _EPOCH + timedelta(microseconds=expires_us)
            return HeldBy(holder, fence, expires_at, expired=expires_at <= as_utc(now))
        expires_at = as_utc(now) + lasts

        def write(connection: Connection) -> int:
            rows = fetch_all(connection, "SELECT fence FROM leadership WHERE id = 1")
            fence = (rows[0][0] if rows else 0) + 1
            execute(
                connection,
                "INSERT INTO leadership (id, owner, fence, expires_us) VALUES (1, ?, ?, ?) ON CONFLICT (id) DO UPDATE"
                " SET owner = excluded.owner, fence = excluded.fence, expires_us = excluded.expires_us",
                (owner, fence, _us(expires_at)),
            )
            return fence

        try:
            fence = self._database.write("take leadership", write)
        except BaseException:
            self._unlock()
            raise
        return Lease(owner, fence, expires_at)

    def renew(self, lease: Lease, now: datetime, lasts: timedelta = LASTS) -> Lease:
        """Prolong it. Raises LeadershipLost when another fence stands: then stop at once.

        A lock that went with a restarted server is taken again, however many renewals it took; if somebody else has it,
        leadership is lost.
        """
        expires_at = as_utc(now) + lasts
        if not self._locked():  # also where the last renewal could not take it again
            raise LeadershipLost(f"the lock of {lease.owner} is gone, and another process holds it: stop")

        def write(connection: Connection) -> None:
            check_fence(connection, lease.fence)
            execute(connection, "UPDATE leadership SET expires_us = ? WHERE id = 1", (_us(expires_at),))

        self._database.write("renew leadership", write)
        return Lease(lease.owner, lease.fence, expires_at)

    def release(self, lease: Lease, now: datetime) -> None:
        """Give it up: the row expires now, the lock is free. Another's row is left alone."""

        def write(connection: Connection) -> None:
            execute(
                connection,
                "UPDATE leadership SET expires_us = ? WHERE id = 1 AND fence = ?",
                (_us(as_utc(now)), lease.fence),
            )

        try:
            self._database.write("release leadership", write)
        finally:
            self._unlock()

    def close(self) -> None:
        """Let go of the lock without touching the row, as a dying process does."""
        self._unlock()

    def _row(self) -> tuple[str, int, int] | None:
        sql = "SELECT owner, fence, expires_us FROM leadership WHERE id = 1"
        rows = self._database.read("leadership", lambda c: fetch_all(c, sql))
        return (rows[0][0], rows[0][1], rows[0][2]) if rows else None

    def _locked(self) -> bool:
        if self._database.is_sqlite:
            return self._lock_file(self._database.file.with_name(self._database.file.name + ".lock"))
        return self._lock_session()

    def _lock_file(self, path: Path) -> bool:
        if self._lock is not None:
            return True
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            return False
        self._lock = handle
        return True

    def _lock_session(self) -> bool:
        if self._session is not None:
            if self._holds_session():
                return True
            self._unlock()  # the server was restarted: the lock went with it, and whoever asks first has it
        # A machine that vanished closes no connection: the server asks after it, and lets its lock go in half a minute.
        engine = create_engine(
            self._database.url,
            pool_size=1,
            isolation_level="AUTOCOMMIT",
            connect_args={"options": _KEEPALIVE, "connect_timeout": _CONNECT_S},
        )
        try:
            connection = engine.connect()
            locked = connection.execute(text("SELECT pg_try_advisory_lock(:n)"), {"n": _ADVISORY_LOCK}).scalar()
        except OperationalError as error:
            engine.dispose()
            raise StoreBusy("take the lock", _CONNECT_S, str(error.orig).strip()) from error
        if locked:
            self._session = (engine, connection)
            return True
        connection.close()
        engine.dispose()
        return False

    def _holds_session(self) -> bool:
        """Whether the connection that took the advisory lock still lives, and with it the lock."""
        assert self._session is not None
        try:
            self._session[1].execute(text("SELECT 1"))
        except DBAPIError:
            return False
        return True

    def _unlock(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None
        if self._session is not None:
            engine, connection = self._session
            self._session = None
            with suppress(DBAPIError):  # it may be gone already
                connection.close()
            engine.dispose()


def check_fence(connection: Connection, fence: int, now: datetime | None = None) -> None:
    """Raise LeadershipLost unless `fence` is the one that stands (and, with `now`, has not expired).

    Called inside the transaction it protects. On PostgreSQL the row stays locked until that ends.
    """
    lock = "" if connection.dialect.name == "sqlite" else " FOR UPDATE"
    rows = fetch_all(connection, f"SELECT owner, fence, expires_us FROM leadership WHERE id = 1{lock}")
    if not rows:
        raise LeadershipLost("nobody leads this site; take leadership before writing")
    owner, standing, expires_us = rows[0]
    if standing != fence:
        raise LeadershipLost(f"fence {fence} is not the one that stands: {owner} leads with {standing}")
    if now is not None and _us(as_utc(now)) >= expires_us:
        expired = _EPOCH + timedelta(microseconds=expires_us)
        raise LeadershipLost(f"the leadership of {owner} ended at {expired.isoformat()}; renew it before writing")


def _us(instant: datetime) -> int:
    return (instant - _EPOCH) // timedelta(microseconds=1)
