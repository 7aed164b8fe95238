"""Accounts, sign-in codes, sessions and the audit of one site: `people.db`, written by the web process alone.

A code is twelve random characters of 31, 59 bits. Stored is its scrypt digest under one salt of the site, so that the
digest alone finds the account (whoever signs in types nothing else) while a thief of the database needs 50 ms and
16 MB for each guess. A session's token is 256 random bits, which nobody guesses; a plain SHA-256 of it is enough.
"""

from __future__ import annotations

import hashlib
import secrets
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, cast

from sqlalchemy import Connection

from ems.store.database import Concern, Database, Report, StoreBusy, execute, fetch_all
from ems.store.store import from_us, to_us

Role = Literal["manager", "resident"]
Deed = Literal["signed in", "signed out", "comfort of all homes", "comfort of a home"]

ALPHABET = "23456789ABCDEFGHJKMNPQRSTUVWXYZ"  # no 0/O, 1/I/L
CODE_LENGTH = 12
CODE_LASTS = timedelta(days=60)
SESSION_LASTS: dict[Role, timedelta] = {"manager": timedelta(hours=12), "resident": timedelta(days=90)}
MOST_SESSIONS = 10  # of one account; the one unused for longest goes first
_SLIDES_AFTER = 0.01  # of a session's life, so that a page view is not a write


@dataclass(frozen=True)
class Account:
    """Who somebody is: a manager, or the resident of `home` (building/flat)."""

    id: int
    name: str
    role: Role
    home: str | None


@dataclass(frozen=True)
class Session:
    """One sign-in that still holds."""

    key: str  # names it in a form; opens nothing
    since: datetime
    seen: datetime


@dataclass(frozen=True)
class Trace:
    """One line of the audit."""

    at: datetime
    name: str
    role: Role
    what: Deed
    home: str | None


def canonical(code: str) -> str | None:
    """A code as typed (any case, with spaces or hyphens) as it was made, or None when it can be none."""
    bare = code.upper().translate({ord(c): None for c in " -\u00a0\u2010\u2011\u2013\t"})
    return bare if len(bare) == CODE_LENGTH and set(bare) <= set(ALPHABET) else None


def _silent(_: Concern) -> None:
    """Nobody listens."""


class People:
    """The people's database of one site, opened for writing with `People.open`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @classmethod
    def open(cls, url: str, *, report: Report = _silent, busy_timeout_s: float = 2.0, attempts: int = 3) -> People:
        """Open and bring the tables to the newest form. A new SQLite file is readable by its owner alone.

        `url` is sqlite:///FILE or postgresql+psycopg://HOST/NAME, where the tables are in a schema `people`.
        """
        database = Database(
            url, read_only=False, busy_timeout_s=busy_timeout_s, attempts=attempts, report=report, schema="people"
        )
        people = cls(database)
        try:
            if database.is_sqlite:
                database.file.parent.mkdir(parents=True, exist_ok=True)
                database.file.touch(mode=0o600)
            database.migrate("people_migrations")
            salt = secrets.token_bytes(16)
            keep = "INSERT INTO secret (name, value) VALUES ('code salt', ?) ON CONFLICT (name) DO NOTHING"
            database.write("make the salt", lambda c: execute(c, keep, (salt,)))
            sql = "SELECT value FROM secret WHERE name = 'code salt'"
            people._salt = bytes(database.read("salt", lambda c: fetch_all(c, sql))[0][0])
        except BaseException:
            people.close()
            raise
        return people

    _salt: bytes

    def close(self) -> None:
        self._database.close()

    def __enter__(self) -> People:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # Accounts and codes

    def invite(self, name: str, role: Role, home: str | None, now: datetime) -> str:
        """A new code for the account of this name, which is made when there is none. Earlier codes end.

        Raises ValueError when a resident comes without a home or a manager with one, or the account is another's.
        """
        if (role == "resident") != (home is not None):
            raise ValueError(f"{name}: a resident has a home and a manager has none; role {role}, home {home}")
        code = "".join(secrets.choice(ALPHABET) for _ in range(CODE_LENGTH))
        digest = self._digest(code)

        def write(connection: Connection) -> None:
            execute(
                connection,
                "INSERT INTO account (name, role, home, created_us) VALUES (?, ?, ?, ?) ON CONFLICT (name) DO NOTHING",
                (name, role, home, to_us(now)),
            )
            ((number, kept_role, kept_home),) = fetch_all(
                connection, "SELECT id, role, home FROM account WHERE name = ?", (name,)
            )
            if (kept_role, kept_home) != (role, home):
                raise ValueError(f"{name} is already the {kept_role} of {kept_home}; choose another name")
            execute(connection, "DELETE FROM code WHERE account_id = ?", (number,))
            execute(
                connection,
                "INSERT INTO code (digest, account_id, until_us) VALUES (?, ?, ?)",
                (digest, number, to_us(now + CODE_LASTS)),
            )

        self._database.write("invite", write)
        return "-".join(code[i : i + 4] for i in range(0, CODE_LENGTH, 4))

    def account_of(self, code: str, now: datetime) -> Account | None:
        """Whose code this is; None for nobody's. Takes equally long either way: 50 ms and 16 MB."""
        digest = self._digest(canonical(code) or "")
        sql = """
            SELECT a.id, a.name, a.role, a.home FROM code c JOIN account a ON a.id = c.account_id
            WHERE c.digest = ? AND c.until_us > ?
            """
        rows = self._database.read("code", lambda c: fetch_all(c, sql, (digest, to_us(now))))
        return _account(rows[0]) if rows else None

    def remove(self, account: Account) -> None:
        """The account with its codes and sessions; the audit stays."""
        self._database.write("remove account", lambda c: execute(c, "DELETE FROM account WHERE id = ?", (account.id,)))

    def _digest(self, code: str) -> bytes:
        return hashlib.scrypt(code.encode(), salt=self._salt, n=2**14, r=8, p=1, dklen=32)

    # Sessions

    def open_session(self, account: Account, now: datetime) -> str:
        """Sign in: a new token, told once. The audit hears of it."""
        token = secrets.token_urlsafe(32)
        at, until = to_us(now), to_us(now + SESSION_LASTS[account.role])

        def write(connection: Connection) -> None:
            execute(connection, "DELETE FROM session WHERE until_us <= ?", (at,))
            execute(
                connection,
                "INSERT INTO session (digest, account_id, since_us, seen_us, until_us) VALUES (?, ?, ?, ?, ?)",
                (_token_digest(token), account.id, at, at, until),
            )
            execute(
                connection,
                "DELETE FROM session WHERE account_id = ? AND digest NOT IN"
                " (SELECT digest FROM session WHERE account_id = ? ORDER BY seen_us DESC, since_us DESC LIMIT ?)",
                (account.id, account.id, MOST_SESSIONS),
            )
            _note(connection, account, "signed in", account.home, now)

        self._database.write("sign in", write)
        return token

    def visitor(self, token: str, now: datetime) -> Account | None:
        """Who holds this token; None when it was ended, has run out, or never was. Being used prolongs it."""
        digest, at = _token_digest(token), to_us(now)
        sql = """
            SELECT a.id, a.name, a.role, a.home, s.seen_us FROM session s JOIN account a ON a.id = s.account_id
            WHERE s.digest = ? AND s.until_us > ?
            """
        rows = self._database.read("session", lambda c: fetch_all(c, sql, (digest, at)))
        if not rows:
            return None
        account = _account(rows[0])
        lasts = SESSION_LASTS[account.role]
        if at - rows[0][4] >= _SLIDES_AFTER * (lasts / timedelta(microseconds=1)):
            slide = "UPDATE session SET seen_us = ?, until_us = ? WHERE digest = ?"
            with suppress(StoreBusy):  # reported; the session holds, and the next view prolongs it
                self._database.write(
                    "session", lambda c: execute(c, slide, (at, to_us(now + lasts), digest)), attempts=1
                )
        return account

    def sessions(self, account: Account, now: datetime) -> list[Session]:
        """The account's sign-ins that still hold, the last used first."""
        sql = """
            SELECT digest, since_us, seen_us FROM session WHERE account_id = ? AND until_us > ?
            ORDER BY seen_us DESC, since_us DESC
            """
        rows = self._database.read("sessions", lambda c: fetch_all(c, sql, (account.id, to_us(now))))
        return [Session(bytes(digest).hex(), from_us(since), from_us(seen)) for digest, since, seen in rows]

    def key(self, token: str) -> str:
        """The key by which `sessions` names the session of this token."""
        return _token_digest(token).hex()

    def end_session(self, account: Account, key: str, now: datetime) -> bool:
        """Sign out one of the account's own sessions. False: it has none of this key."""
        try:
            digest = bytes.fromhex(key)
        except ValueError:
            return False

        def write(connection: Connection) -> bool:
            sql = "DELETE FROM session WHERE digest = ? AND account_id = ?"
            ended = execute(connection, sql, (digest, account.id)) > 0
            if ended:
                _note(connection, account, "signed out", account.home, now)
            return ended

        return self._database.write("sign out", write)

    # Audit

    def note(self, account: Account, what: Deed, home: str | None, now: datetime) -> None:
        """Add a line to the audit."""
        self._database.write("audit", lambda c: _note(c, account, what, home, now))

    def looked_at(self, home: str, count: int) -> list[Trace]:
        """The last times that a manager looked at this home, by itself or among all; newest first."""
        sql = """
            SELECT at_us, name, role, what, home FROM audit
            WHERE role = 'manager' AND (home = ? OR what = 'comfort of all homes') ORDER BY id DESC LIMIT ?
            """
        rows = self._database.read("audit", lambda c: fetch_all(c, sql, (home, count)))
        return [Trace(from_us(at), name, role, what, about) for at, name, role, what, about in rows]

    def audit(self, count: int) -> list[Trace]:
        """The last lines of the audit, newest first."""
        sql = "SELECT at_us, name, role, what, home FROM audit ORDER BY id DESC LIMIT ?"
        rows = self._database.read("audit", lambda c: fetch_all(c, sql, (count,)))
        return [Trace(from_us(at), name, role, what, about) for at, name, role, what, about in rows]


def _account(row: tuple[object, ...]) -> Account:
    number, name, role, home = row[:4]
    return Account(cast(int, number), str(name), cast(Role, role), cast("str | None", home))


def _note(connection: Connection, account: Account, what: Deed, home: str | None, now: datetime) -> None:
    execute(
        connection,
        "INSERT INTO audit (at_us, name, role, what, home) VALUES (?, ?, ?, ?, ?)",
        (to_us(now), account.name, account.role, what, home),
    )


def _token_digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
