"""Messages of residents ("I am cold"), each with what was measured in the day before, answered with a time."""

from __future__ import annotations

import json
import zlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal, get_args

from sqlalchemy import Connection

from ems.store.database import Database, execute, fetch_all
from ems.store.store import from_us, to_us
from ems.store.trail import note

Kind = Literal["too cold", "too hot", "no hot water", "car not charging", "something else", "idea"]
KINDS: tuple[Kind, ...] = get_args(Kind)
MOST_OPEN = 20  # of one home: more help nobody
CLOSED_KEPT = timedelta(days=3 * 366)  # a closed message, and with it what was measured; as long as days of a home


@dataclass(frozen=True)
class Ticket:
    """One message. `measured` is by quantity: when, and the value then."""

    number: int
    home: str
    kind: str
    words: str
    opened: datetime
    measured: dict[str, Any]
    answer: str | None
    answered: datetime | None
    comes: datetime | None
    closed: datetime | None


class Tickets:
    """The messages of one site."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def open(
        self, home: str, kind: str, words: str, measured: dict[str, Any], who: tuple[str, str], now: datetime
    ) -> int | None:
        """Send a message; `who` is (name, role). Returns its number, or None when too many of the home are open.

        Whenever one is sent, those of all homes that were closed long ago are forgotten.
        """
        packed = zlib.compress(json.dumps(measured, allow_nan=False).encode())

        def write(connection: Connection) -> int | None:
            execute(connection, "DELETE FROM ticket WHERE closed_us < ?", (to_us(now - CLOSED_KEPT),))
            counted = "SELECT count(*) FROM ticket WHERE home = ? AND closed_us IS NULL"
            if fetch_all(connection, counted, (home,))[0][0] >= MOST_OPEN:
                return None
            execute(
                connection,
                "INSERT INTO ticket (home, kind, words, opened_us, measured) VALUES (?, ?, ?, ?, ?)",
                (home, kind, words, to_us(now), packed),
            )
            note(connection, *who, "message sent", home, now, kind)
            return int(fetch_all(connection, "SELECT max(id) FROM ticket WHERE home = ?", (home,))[0][0])

        return self._database.write("message", write)

    def of(self, home: str, count: int = 50) -> list[Ticket]:
        """The messages of one home, newest first."""
        return self._found("WHERE home = ? ORDER BY id DESC LIMIT ?", (home, count))

    def waiting(self, count: int = 200) -> list[Ticket]:
        """Those that are not closed, the oldest unanswered first."""
        return self._found(
            "WHERE closed_us IS NULL ORDER BY answered_us IS NOT NULL, opened_us LIMIT ?", (count,)
        )  # fmt: skip

    def closed(self, count: int = 20) -> list[Ticket]:
        """Those closed last."""
        return self._found("WHERE closed_us IS NOT NULL ORDER BY closed_us DESC LIMIT ?", (count,))

    def one(self, number: int) -> Ticket | None:
        found = self._found("WHERE id = ?", (number,))
        return found[0] if found else None

    def answer(self, number: int, words: str, comes: datetime | None, who: tuple[str, str], now: datetime) -> bool:
        """Answer, saying when somebody comes or it will be well. False: there is no such open message."""
        sql = "UPDATE ticket SET answer = ?, answered_us = ?, comes_us = ? WHERE id = ? AND closed_us IS NULL"
        values = (words, to_us(now), None if comes is None else to_us(comes), number)

        def write(connection: Connection) -> bool:
            done = execute(connection, sql, values) > 0
            if done:
                home = fetch_all(connection, "SELECT home FROM ticket WHERE id = ?", (number,))[0][0]
                note(connection, *who, "message answered", home, now)
            return done

        return self._database.write("answer", write)

    def close(self, number: int, home: str | None, who: tuple[str, str], now: datetime) -> bool:
        """It is well again; with `home`, only a message of that home. False: there is no such open message."""

        def write(connection: Connection) -> bool:
            rows = fetch_all(connection, "SELECT home FROM ticket WHERE id = ? AND closed_us IS NULL", (number,))
            if not rows or (home is not None and rows[0][0] != home):
                return False
            execute(connection, "UPDATE ticket SET closed_us = ? WHERE id = ?", (to_us(now), number))
            note(connection, *who, "message closed", rows[0][0], now)
            return True

        return self._database.write("close", write)

    def _found(self, where: str, values: tuple[Any, ...]) -> list[Ticket]:
        sql = (
            "SELECT id, home, kind, words, opened_us, measured, answer, answered_us, comes_us, closed_us"
            f" FROM ticket {where}"
        )
        rows = self._database.read("messages", lambda c: fetch_all(c, sql, values))
        return [
            Ticket(
                number, home, kind, words, from_us(opened), json.loads(zlib.decompress(bytes(measured))), answer,
                *(None if at is None else from_us(at) for at in instants),
            )
            for number, home, kind, words, opened, measured, answer, *instants in rows
        ]  # fmt: skip
