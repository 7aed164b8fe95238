"""The journal of the loop: what was begun, decided and sent, so that a killed run resumes and never writes twice.

One run per quarter-hour (slot = UTC epoch / 900). Each step's result is stored; a resumed run goes on with it, so
within a slot forecast and plan never change. Commands are committed as intents before anything is written, under a
fence that is checked in the same transaction. A slot that is over is closed as `missed` and never replayed.

A command is `intended`, then `written`, `overridden`, `unreachable` or `refused`. When a later one of the same point
reached the device, the earlier ones are `superseded`; a relinquishing that reached it is `released`. In shadow mode it
is `withheld` from the beginning, so that no crash can make it look as if it might stand.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, TypeVar

from sqlalchemy import Connection

from ems.command import Command, Outcome, Overridden, Refused, Withheld, Written
from ems.slots import as_utc
from ems.store.database import Database, StoreError, execute, execute_many, fetch_all
from ems.store.leadership import check_fence
from ems.store.points import PointNumbers

T = TypeVar("T")
RunState = Literal["running", "done", "failed", "missed"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_STEPS_KEPT_SLOTS = 2 * 96
_COMMANDS_KEPT = timedelta(days=40)
# A command in one of these states may still have an effect in its device.
_STANDING = "('intended', 'written', 'overridden', 'unreachable')"

_COMMANDS = """
SELECT c.key, p.name, c.value, c.expires_us, c.priority, c.previous, c.reason
FROM command c JOIN point p ON p.id = c.point_id
"""


class JournalError(StoreError):
    """The loop asked for something that would break the journal's promise."""


@dataclass(frozen=True)
class Run:
    """One quarter-hour of the loop. `attempt` above 1: it was begun before and did not come to its end."""

    slot: int
    state: RunState
    attempt: int
    fence: int
    started_at: datetime
    finished_at: datetime | None = None
    error: str = ""

    @property
    def resumed(self) -> bool:
        return self.attempt > 1


class Journal:
    """Runs, their steps, and the commands they sent."""

    def __init__(self, database: Database, points: PointNumbers) -> None:
        self._database = database
        self._points = points

    # Runs

    def open_run(self, slot: int, now: datetime, fence: int) -> Run:
        """Begin (or resume) the run of a slot; older runs still open are closed as missed.

        A run that came to its end is returned as it is: look at its state. Raises LeadershipLost for an old fence.
        """
        started = _us(now)

        def write(connection: Connection) -> Run:
            check_fence(connection, fence)
            execute(
                connection,
                "UPDATE run SET state = 'missed', finished_us = ?, error = 'its quarter-hour was over'"
                " WHERE state = 'running' AND slot < ?",
                (started, slot),
            )
            found = _run(connection, slot)
            if found is not None and found.state != "running":
                return found
            execute(
                connection,
                "INSERT INTO run (slot, state, attempt, fence, started_us, error) VALUES (?, 'running', 1, ?, ?, '')"
                " ON CONFLICT (slot) DO UPDATE SET attempt = run.attempt + 1, fence = excluded.fence",
                (slot, fence, started),
            )
            run = _run(connection, slot)
            assert run is not None
            return run

        return self._database.write("open run", write)

    def close_run(self, slot: int, state: RunState, now: datetime, error: str = "") -> None:
        """End a run as done, failed or missed, and forget steps and commands long past."""
        if state == "running":
            raise JournalError(f"slot {slot}: a run is closed as done, failed or missed")

        def write(connection: Connection) -> None:
            if not execute(
                connection,
                "UPDATE run SET state = ?, finished_us = ?, error = ? WHERE slot = ?",
                (state, _us(now), error, slot),
            ):
                raise JournalError(f"slot {slot} was never opened; open_run comes first")
            execute(connection, "DELETE FROM step WHERE slot < ?", (slot - _STEPS_KEPT_SLOTS,))
            execute(
                connection,
                f"DELETE FROM command WHERE expires_us < ? AND NOT state IN {_STANDING}",
                (_us(as_utc(now) - _COMMANDS_KEPT),),
            )

        self._database.write("close run", write)

    def run(self, slot: int) -> Run | None:
        """The run of a slot, or None if it was never begun."""
        return self._database.read("one run", lambda c: _run(c, slot))

    def last_run(self) -> Run | None:
        """The newest run."""

        def read(connection: Connection) -> Run | None:
            rows = fetch_all(connection, "SELECT max(slot) FROM run")
            return None if rows[0][0] is None else _run(connection, rows[0][0])

        return self._database.read("last run", read)

    # Steps

    def step(
        self, slot: int, name: str, compute: Callable[[], T], dump: Callable[[T], Any], load: Callable[[Any], T]
    ) -> T:
        """The result of a step: the stored one if there is one, else computed and stored.

        `dump` gives JSON, `load` reads it. What is returned has always gone through both, so a first run and a
        resumed one see the very same thing.
        """
        stored = self.recall(slot, name)
        if stored is None:
            stored = self.remember(slot, name, dump(compute()))
        return load(stored[0])

    def recall(self, slot: int, name: str) -> tuple[Any] | None:
        """The stored JSON of a step in a tuple of one (JSON may be null), or None: not computed yet.

        Raises JournalError when it is not what was stored: the file is damaged.
        """
        sql = "SELECT payload, crc FROM step WHERE slot = ? AND name = ?"
        rows = self._database.read("recall step", lambda c: fetch_all(c, sql, (slot, name)))
        return None if not rows else (_unpacked(slot, name, bytes(rows[0][0]), rows[0][1]),)

    def remember(self, slot: int, name: str, result: Any) -> tuple[Any]:
        """Store a step's JSON, and return what is stored: the first result, should there be one already."""
        payload = zlib.compress(json.dumps(result, ensure_ascii=False, separators=(",", ":")).encode())

        def write(connection: Connection) -> tuple[bytes, int]:
            execute(
                connection,
                "INSERT INTO step (slot, name, payload, crc) VALUES (?, ?, ?, ?) ON CONFLICT (slot, name) DO NOTHING",
                (slot, name, payload, zlib.crc32(payload)),
            )
            row = fetch_all(connection, "SELECT payload, crc FROM step WHERE slot = ? AND name = ?", (slot, name))[0]
            return bytes(row[0]), row[1]

        return (_unpacked(slot, name, *self._database.write("remember step", write)),)

    # Commands

    def commit_intents(
        self,
        commands: Sequence[Command],
        fence: int,
        now: datetime | None = None,
        *,
        leading_at: datetime | None = None,
        withheld: bool = False,
    ) -> None:
        """Put on record what is about to be written. Only when this returned may anything go to a device.

        `withheld`: nothing will go, for this is shadow mode.

        All or none. The same intents again (a resumed run) change nothing; the same key with another value is a mixed
        plan and raises JournalError. With `now`, site time, a command that has expired raises it too. Raises
        LeadershipLost for an old fence, and with `leading_at`, the time leases are judged by, for an expired one.
        """
        if now is not None:
            late = [c.key for c in commands if c.expires_at <= as_utc(now)]
            if late:
                raise JournalError(f"{len(late)} commands have expired, for example {late[0]}; decide anew")
        numbers = self._points.numbers({command.point for command in commands})
        rows = [
            (
                c.key,
                numbers[c.point],
                c.value,
                c.previous,
                c.priority,
                _us(c.expires_at),
                c.reason,
                fence,
                "withheld" if withheld else "intended",
            )
            for c in commands
        ]

        def write(connection: Connection) -> None:
            check_fence(connection, fence, leading_at)
            for row in rows:
                if not execute(
                    connection,
                    "INSERT INTO command"
                    " (key, point_id, value, previous, priority, expires_us, reason, fence, state, detail)"
                    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, '') ON CONFLICT (key) DO NOTHING",
                    row,
                ):
                    stored = fetch_all(connection, "SELECT point_id, value FROM command WHERE key = ?", row[:1])[0]
                    if stored != (row[1], row[2]):
                        raise JournalError(
                            f"{row[0]}: an intent of {stored[1]} is on record, and now it is {row[2]}; "
                            "within a slot the plan does not change, give a new decision a new key"
                        )

        self._database.write("commit intents", write)

    def record_outcomes(self, outcomes: Mapping[str, Outcome], now: datetime | None = None) -> None:
        """Put on record what came of each command, by its key. Raises JournalError for a key without an intent."""
        rows = [(*_written(outcome), key) for key, outcome in outcomes.items()]

        def write(connection: Connection) -> None:
            reached = []
            for state, read_back, detail, key in rows:
                found = fetch_all(connection, "SELECT number, point_id, value FROM command WHERE key = ?", (key,))
                if not found:
                    raise JournalError(f"{key}: an outcome without an intent; commit_intents comes before the write")
                number, point, value = found[0]
                if value is None and state in ("written", "overridden"):
                    state = "released"  # our own entry is gone, whoever else may hold the point
                execute(
                    connection,
                    "UPDATE command SET state = ?, read_back = ?, detail = ?"
                    " WHERE number = ? AND state <> 'superseded'",
                    (state, read_back, detail, number),
                )
                if state in ("written", "overridden", "released"):
                    reached.append((point, number))
            # What reached the device took the place of everything before it.
            execute_many(
                connection,
                f"UPDATE command SET state = 'superseded' WHERE point_id = ? AND number < ? AND state IN {_STANDING}",
                reached,
            )

        self._database.write("record outcomes", write)

    def standing(self) -> list[Command]:
        """The commands whose effect may still be in a device: sent or about to be, and not released since.

        One per point, the newest, in the order of their intents. Relinquish these at a restart and at the exit.
        """
        sql = f"""
            {_COMMANDS} WHERE c.number IN (
              SELECT max(number) FROM command WHERE state IN {_STANDING} AND value IS NOT NULL GROUP BY point_id)
            ORDER BY c.number
            """
        rows = self._database.read("standing commands", lambda c: fetch_all(c, sql))
        return [_command(row) for row in rows]

    def last_confirmed(self) -> dict[str, float]:
        """What each point was last read back to stand at by our command, and was not given back since."""
        sql = """
            SELECT p.name, c.value FROM command c JOIN point p ON p.id = c.point_id
            WHERE c.number IN (
              SELECT max(number) FROM command WHERE state = 'written' AND value IS NOT NULL GROUP BY point_id)
            ORDER BY p.name
            """
        return dict(self._database.read("confirmed commands", lambda c: fetch_all(c, sql)))

    def withheld(self, since: datetime, until: datetime) -> list[Command]:
        """What shadow mode kept from being written, of commands that were to expire in [since, until), in their order.

        Releases are left out: nothing stood that they could have taken back.
        """
        sql = f"""
            {_COMMANDS} WHERE c.state = 'withheld' AND c.value IS NOT NULL AND c.expires_us >= ? AND c.expires_us < ?
            ORDER BY c.number
            """
        span = (_us(since), _us(until))
        rows = self._database.read("withheld commands", lambda c: fetch_all(c, sql, span))
        return [_command(row) for row in rows]

    def states(self, slot_keys: Sequence[str]) -> dict[str, str]:
        """The state of commands by key, for a resumed run that asks what it has sent already."""

        def read(connection: Connection) -> dict[str, str]:
            found = {}
            for key in slot_keys:
                rows = fetch_all(connection, "SELECT state FROM command WHERE key = ?", (key,))
                if rows:
                    found[key] = rows[0][0]
            return found

        return self._database.read("command states", read)


def _run(connection: Connection, slot: int) -> Run | None:
    rows = fetch_all(
        connection, "SELECT state, attempt, fence, started_us, finished_us, error FROM run WHERE slot = ?", (slot,)
    )
    if not rows:
        return None
    state, attempt, fence, started_us, finished_us, error = rows[0]
    finished = None if finished_us is None else _EPOCH + timedelta(microseconds=finished_us)
    return Run(slot, state, attempt, fence, _EPOCH + timedelta(microseconds=started_us), finished, error)


def _command(row: Sequence[Any]) -> Command:
    """One row of `_COMMANDS`."""
    key, point, value, expires_us, priority, previous, reason = row
    expires_at = _EPOCH + timedelta(microseconds=expires_us)
    return Command(key, point, value, expires_at, priority, previous, reason)


def _unpacked(slot: int, name: str, payload: bytes, crc: int) -> Any:
    if zlib.crc32(payload) != crc:
        raise JournalError(f"slot {slot}, step {name}: its stored result is damaged; restore a back-up")
    return json.loads(zlib.decompress(payload))


def _written(outcome: Outcome) -> tuple[str, float | None, str]:
    match outcome:
        case Written(value):
            return "written", value, ""
        case Overridden(read_back, holder):
            return "overridden", read_back, holder
        case Refused(why):
            return "refused", None, why
        case Withheld():
            return "withheld", None, "shadow mode"
    return "unreachable", None, outcome.why


def _us(instant: datetime) -> int:
    return (as_utc(instant) - _EPOCH) // timedelta(microseconds=1)
