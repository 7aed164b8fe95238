"""The number behind each point's name."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterable

from sqlalchemy import Connection

from ems.store.database import Database, execute_many, fetch_all


class PointNumbers:
    """Knows the numbers of points, and gives new points theirs. Numbers are never used twice."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._known: dict[str, int] = {}
        self._guard = threading.Lock()

    def known(self, names: Iterable[str]) -> dict[str, int]:
        """The numbers of those points that have one."""
        wanted = list(names)
        if any(name not in self._known for name in wanted):
            self._learn(self._database.read("points", _all))
        return {name: self._known[name] for name in wanted if name in self._known}

    def numbers(self, names: Collection[str], *, attempts: int | None = None) -> dict[str, int]:
        """The numbers of all these points; a new point gets one."""
        found = self.known(names)
        new = sorted(set(names) - found.keys())
        if new:
            sql = "INSERT INTO point (name) VALUES (?) ON CONFLICT (name) DO NOTHING"

            def add(connection: Connection) -> list[tuple[str, int]]:
                execute_many(connection, sql, [(name,) for name in new])
                return _all(connection)

            self._learn(self._database.write("number points", add, attempts=attempts))
            found = self.known(names)
        return found

    def _learn(self, rows: list[tuple[str, int]]) -> None:
        with self._guard:
            self._known.update(rows)


def _all(connection: Connection) -> list[tuple[str, int]]:
    return [(name, number) for name, number in fetch_all(connection, "SELECT name, id FROM point")]
