"""What we asked a browser to come back with: kept for minutes, under what only that browser knows, and taken once."""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta

from sqlalchemy import Connection

from ems.store.database import Database, execute, fetch_all
from ems.store.store import to_us

LASTS = timedelta(minutes=5)


class Challenges:
    """Open challenges of one site."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def keep(self, key: str, value: bytes, now: datetime) -> None:
        """Keep a value for LASTS under a secret key, which is stored as a digest; it replaces the one before."""

        def write(connection: Connection) -> None:
            execute(connection, "DELETE FROM challenge WHERE until_us <= ?", (to_us(now),))
            execute(
                connection,
                "INSERT INTO challenge (digest, value, until_us) VALUES (?, ?, ?)"
                " ON CONFLICT (digest) DO UPDATE SET value = excluded.value, until_us = excluded.until_us",
                (_digest(key), value, to_us(now + LASTS)),
            )

        self._database.write("challenge", write)

    def take(self, key: str, now: datetime) -> bytes | None:
        """The value of this key, which is then gone; None when there is none, or it is too old."""

        def write(connection: Connection) -> bytes | None:
            sql = "SELECT value FROM challenge WHERE digest = ? AND until_us > ?"
            rows = fetch_all(connection, sql, (_digest(key), to_us(now)))
            execute(connection, "DELETE FROM challenge WHERE digest = ?", (_digest(key),))
            return bytes(rows[0][0]) if rows else None

        return self._database.write("challenge", write)


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()
