"""Alarms with a life: raised, acknowledged, shelved until an instant, cleared. One open alarm per kind and subject.

Raising what is open already only counts it. Clearing ends it; the same trouble later is a new alarm. Who acknowledges
says "I have seen it": it stays open, is notified no more, and does not escalate. Who shelves one silences it until an
instant that must be given. What an alarm means and what to do about it is told by its kind (`ems.store.alarm_kinds`).

The control process alone writes here. Pages read with `Store.read_only(...).alarms`, and hand in an acknowledgement
through `ems.store.requests`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from sqlalchemy import Connection

from ems.slots import as_utc
from ems.store.alarm_kinds import KINDS, Kind, Severity
from ems.store.database import Database, StoreError, execute, fetch_all

KEPT = timedelta(days=400)  # cleared alarms, for a year's review
LONGEST_SHELF = timedelta(days=14)
_GRAVEST_FIRST = list(Severity)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_COLUMNS = (
    "number, kind, subject, detail, raised_us, last_us, times, acknowledged_us, acknowledged_by,"
    " shelved_until_us, shelved_by, notified_us, escalated_us, cleared_us"
)


class AlarmState(StrEnum):
    """Where in its life an alarm is."""

    RAISED = "raised"
    ACKNOWLEDGED = "acknowledged"
    SHELVED = "shelved"
    CLEARED = "cleared"


@dataclass(frozen=True)
class Alarm:
    """One alarm. `subject` is what it is about: a bus, a point, a building or nothing; `detail` the loop's words."""

    number: int
    kind: Kind
    subject: str
    detail: str
    raised_at: datetime
    last_at: datetime  # when it was last seen to be so
    times: int  # how often it was
    acknowledged_at: datetime | None = None
    acknowledged_by: str = ""
    shelved_until: datetime | None = None
    shelved_by: str = ""
    notified_at: datetime | None = None
    escalated_at: datetime | None = None
    cleared_at: datetime | None = None

    def state(self, now: datetime) -> AlarmState:
        """Its state at `now`: a shelf that has run out is no shelf."""
        if self.cleared_at is not None:
            return AlarmState.CLEARED
        if self.shelved_until is not None and as_utc(now) < self.shelved_until:
            return AlarmState.SHELVED
        return AlarmState.RAISED if self.acknowledged_at is None else AlarmState.ACKNOWLEDGED


@dataclass(frozen=True)
class Trouble:
    """What the loop finds wrong: a kind of `KINDS`, what it is about, and the loop's words."""

    kind: str
    subject: str = ""
    detail: str = ""

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"{self.kind!r} is no kind of alarm; there are {', '.join(sorted(KINDS))}")


class Alarms:
    """The alarms of one site."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def raise_all(self, troubles: list[Trouble], now: datetime) -> int:
        """Raise what is new and count what is open already. Returns how many are new."""
        at = _us(now)

        def write(connection: Connection) -> int:
            new = 0
            for trouble in troubles:
                if not execute(
                    connection,
                    "UPDATE alarm SET last_us = ?, times = times + 1, detail = ?"
                    " WHERE kind = ? AND subject = ? AND cleared_us IS NULL",
                    (at, trouble.detail, trouble.kind, trouble.subject),
                ):
                    execute(
                        connection,
                        "INSERT INTO alarm (kind, subject, detail, raised_us, last_us, times, acknowledged_by,"
                        " shelved_by) VALUES (?, ?, ?, ?, ?, 1, '', '')",
                        (trouble.kind, trouble.subject, trouble.detail, at, at),
                    )
                    new += 1
            return new

        return self._database.write("raise alarms", write)

    def clear(self, kind: str, subject: str, now: datetime) -> bool:
        """End an alarm whose cause is gone. False: none was open."""
        sql = "UPDATE alarm SET cleared_us = ? WHERE kind = ? AND subject = ? AND cleared_us IS NULL"
        row = (_us(now), kind, subject)
        return bool(self._database.write("clear alarm", lambda c: execute(c, sql, row)))

    def acknowledge(self, number: int, by: str, now: datetime) -> bool:
        """Somebody has seen it. False: there is no such open alarm, or it was seen already."""
        sql = (
            "UPDATE alarm SET acknowledged_us = ?, acknowledged_by = ?"
            " WHERE number = ? AND cleared_us IS NULL AND acknowledged_us IS NULL"
        )
        return bool(self._database.write("acknowledge alarm", lambda c: execute(c, sql, (_us(now), by, number))))

    def shelve(self, number: int, by: str, now: datetime, until: datetime) -> bool:
        """Silence it until an instant. False: there is no such open alarm. Raises StoreError beyond a fortnight."""
        if not timedelta(0) < as_utc(until) - as_utc(now) <= LONGEST_SHELF:
            raise StoreError(
                f"an alarm is shelved for at most {LONGEST_SHELF.days} days from now, not until {until.isoformat()}"
            )
        sql = "UPDATE alarm SET shelved_until_us = ?, shelved_by = ? WHERE number = ? AND cleared_us IS NULL"
        return bool(self._database.write("shelve alarm", lambda c: execute(c, sql, (_us(until), by, number))))

    def mark_notified(self, numbers: list[int], now: datetime, *, escalated: bool = False) -> None:
        """Note that people were told (or told again, higher up)."""
        column = "escalated_us" if escalated else "notified_us"

        def write(connection: Connection) -> None:
            for number in numbers:
                execute(connection, f"UPDATE alarm SET {column} = ? WHERE number = ?", (_us(now), number))

        self._database.write("note notifications", write)

    def forget(self, now: datetime) -> None:
        """Forget what was cleared long ago."""
        row = (_us(as_utc(now) - KEPT),)
        self._database.write("forget alarms", lambda c: execute(c, "DELETE FROM alarm WHERE cleared_us < ?", row))

    def open(self) -> list[Alarm]:
        """What is wrong now, gravest first, then newest first; shelved ones too: ask for their state."""
        found = self._select("cleared_us IS NULL ORDER BY raised_us DESC, number DESC", ())
        return sorted(found, key=lambda alarm: _GRAVEST_FIRST.index(alarm.kind.severity))

    def since(self, start: datetime, limit: int = 500) -> list[Alarm]:
        """Alarms raised from `start` on, newest first, cleared ones too."""
        return self._select("raised_us >= ? ORDER BY raised_us DESC, number DESC LIMIT ?", (_us(start), limit))

    def find(self, number: int) -> Alarm | None:
        """One alarm by its number."""
        found = self._select("number = ?", (number,))
        return found[0] if found else None

    def _select(self, where: str, values: tuple[int, ...]) -> list[Alarm]:
        sql = f"SELECT {_COLUMNS} FROM alarm WHERE {where}"
        rows = self._database.read("alarms", lambda c: fetch_all(c, sql, values))
        return [
            Alarm(
                number=number,
                kind=KINDS[kind],
                subject=subject,
                detail=detail,
                raised_at=_when(raised),
                last_at=_when(last),
                times=times,
                acknowledged_at=_maybe(acknowledged),
                acknowledged_by=acknowledged_by,
                shelved_until=_maybe(shelved),
                shelved_by=shelved_by,
                notified_at=_maybe(notified),
                escalated_at=_maybe(escalated),
                cleared_at=_maybe(cleared),
            )
            for (
                number,
                kind,
                subject,
                detail,
                raised,
                last,
                times,
                acknowledged,
                acknowledged_by,
                shelved,
                shelved_by,
                notified,
                escalated,
                cleared,
            ) in rows
            if kind in KINDS  # one of a newer program
        ]


def _us(instant: datetime) -> int:
    return (as_utc(instant) - _EPOCH) // timedelta(microseconds=1)


def _when(microseconds: int) -> datetime:
    return _EPOCH + timedelta(microseconds=microseconds)


def _maybe(microseconds: int | None) -> datetime | None:
    return None if microseconds is None else _when(microseconds)
