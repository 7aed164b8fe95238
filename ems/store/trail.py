"""The audit: who did what when, in a chain that shows whether a line was changed, under names that can be forgotten.

Each line holds the digest of the line before it and of itself. Persons and homes stand in it under random pseudonyms;
who a pseudonym is stands in one other table. Erasing somebody deletes that row: the chain still holds, and nobody can
tell any more whom its lines were about.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from sqlalchemy import Connection

from ems.store.database import Database, execute, fetch_all
from ems.store.store import from_us, to_us

Deed = Literal[
    "signed in", "signed out", "password set", "comfort of all homes", "comfort of a home",
    "water at night of a home", "message read",
    "wish", "heat at once", "departure", "reserved", "reservation given up",
    "consent given", "consent withdrawn", "exported", "erased",
    "help given", "help ended", "message sent", "message answered", "message closed",
    "point held", "hold ended", "handed back", "taken again", "out of service", "in service again",
    "alarm acknowledged", "alarm shelved", "what if asked", "invited", "access ended", "token made", "token ended",
    "passkey added", "passkey removed", "closing days added", "closing days removed",
    "organisation linked", "organisation unlinked", "device tested",
]  # fmt: skip
FIRST = bytes(32)  # what the first line is chained to
ALL_HOMES: Deed = "comfort of all homes"
LOOKS = ("comfort of a home", "water at night of a home", "message read")  # by which staff learn something of one home

Line = tuple[int, int, str, str, str, str | None, str]  # id, at_us, actor, role, what, about, detail


@dataclass(frozen=True)
class Trace:
    """One line of the audit. Who was erased has no name and no home any more."""

    at: datetime
    name: str | None
    role: str
    what: str
    home: str | None
    detail: str = ""


def digest(before: bytes, line: Line) -> bytes:
    """The digest of a line, chained to the one before it."""
    return hashlib.sha256(before + json.dumps(line, ensure_ascii=False, separators=(",", ":")).encode()).digest()


class Trail:
    """The audit of one site."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def last(self, count: int, before: int | None = None) -> list[Trace]:
        """The last lines, newest first; those before line `before` when given."""
        sql = f"{_SELECT} WHERE t.id < ? ORDER BY t.id DESC LIMIT ?"
        rows = self._database.read("audit", lambda c: fetch_all(c, sql, (2**62 if before is None else before, count)))
        return [_trace(row) for row in rows]

    def about(self, home: str, count: int) -> list[Trace]:
        """The last times that staff looked at this home, by itself or among all; newest first."""
        marks = ", ".join("?" * len(LOOKS))
        sql = f"""
            {_SELECT} WHERE (t.what = ? OR (h.name = ? AND t.what IN ({marks})))
            ORDER BY t.id DESC LIMIT ?
            """
        rows = self._database.read("audit", lambda c: fetch_all(c, sql, (ALL_HOMES, home, *LOOKS, count)))
        return [_trace(row) for row in rows]

    def broken(self) -> int | None:
        """The number of the first line that is not as it was written; None when all are."""
        sql = "SELECT id, at_us, actor, role, what, about, detail, digest FROM trail ORDER BY id"
        before = FIRST
        for row in self._database.read("audit", lambda c: fetch_all(c, sql)):
            *line, kept = row
            before = digest(before, tuple(line))
            if before != bytes(kept):
                return int(row[0])
        return None


_SELECT = """
    SELECT t.at_us, a.name, t.role, t.what, h.name, t.detail FROM trail t
    LEFT JOIN pseudonym a ON a.pseudonym = t.actor LEFT JOIN pseudonym h ON h.pseudonym = t.about
    """


def _trace(row: tuple[object, ...]) -> Trace:
    at_us, name, role, what, home, detail = row
    return Trace(
        from_us(int(str(at_us))),
        None if name is None else str(name),
        str(role),
        str(what),
        None if home is None else str(home),
        str(detail),
    )


def note(
    connection: Connection, name: str, role: str, what: Deed, home: str | None, now: datetime, detail: str = ""
) -> None:
    """Add a line, within the transaction of what it tells of. `detail` tells of things, never of a person."""
    rows = fetch_all(connection, "SELECT id, digest FROM trail ORDER BY id DESC LIMIT 1")
    number, before = (rows[0][0] + 1, bytes(rows[0][1])) if rows else (1, FIRST)
    about = None if home is None else pseudonym(connection, home)
    line: Line = (number, to_us(now), pseudonym(connection, name), role, what, about, detail)
    execute(
        connection,
        "INSERT INTO trail (id, at_us, actor, role, what, about, detail, digest) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (*line, digest(before, line)),
    )


def pseudonym(connection: Connection, name: str) -> str:
    """Under which a name stands in the audit; made when it has none."""
    rows = fetch_all(connection, "SELECT pseudonym FROM pseudonym WHERE name = ?", (name,))
    if rows:
        return str(rows[0][0])
    made = secrets.token_hex(16)
    execute(connection, "INSERT INTO pseudonym (pseudonym, name) VALUES (?, ?)", (made, name))
    return made


def forget(connection: Connection, name: str) -> None:
    """Nobody can tell any more who this was."""
    execute(connection, "DELETE FROM pseudonym WHERE name = ?", (name,))
