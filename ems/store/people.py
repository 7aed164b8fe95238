"""Accounts, sign-in codes, passwords and sessions of one site: `people.db`, written by the web process alone.

A code is twelve random characters of 31, 59 bits. Stored is its scrypt digest under one salt of the site, so that the
digest alone finds the account (whoever signs in types nothing else) while a thief of the database needs 50 ms and
16 MB for each guess. Passwords are chosen by people, so each has a salt of its own: argon2id. A session's token is 256
random bits, which nobody guesses; a plain SHA-256 of it is enough.

What people ask for, their messages, and the audit stand in the same database: `asked`, `tickets`, `trail`.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Literal, cast, get_args

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from sqlalchemy import Connection

from ems.slots import as_utc
from ems.store import tombstones
from ems.store.asked import Asked
from ems.store.challenges import Challenges
from ems.store.database import Concern, Database, Report, StoreBusy, execute, fetch_all
from ems.store.identities import Identities
from ems.store.passkeys import Passkeys
from ems.store.store import from_us, to_us
from ems.store.tickets import Tickets
from ems.store.trail import Deed, Trace, Trail, forget, note

Role = Literal["resident", "caregiver", "manager", "installer", "auditor", "admin"]
LIVING: tuple[Role, ...] = ("resident", "caregiver")  # roles that belong to a home

ALPHABET = "23456789ABCDEFGHJKMNPQRSTUVWXYZ"  # no 0/O, 1/I/L
CODE_LENGTH = 12
CODE_LASTS = timedelta(days=60)
SESSION_LASTS: dict[Role, timedelta] = {
    role: timedelta(days=90) if role in LIVING else timedelta(hours=12) for role in get_args(Role)
}
TOKEN_LASTS = timedelta(days=365)
LEAST_PASSWORD = 10  # characters
MOST_SESSIONS = 10  # of one account; the one unused for longest goes first
_SLIDES_AFTER = 0.01  # of a session's life, so that a page view is not a write


@dataclass(frozen=True)
class Account:
    """Who somebody is: staff, or the resident of `home` (building/flat), or who helps that resident."""

    id: int
    name: str
    role: Role
    home: str | None
    part: str | None = None  # of an installer: the building


@dataclass(frozen=True)
class _Invited:
    """An account that is made or opened anew, and the digest of its code."""

    name: str
    role: Role
    home: str | None
    digest: bytes
    until: datetime | None = None
    part: str | None = None


@dataclass(frozen=True)
class Person:
    """An account as the list of people shows it."""

    account: Account
    created: datetime
    until: datetime | None
    invited: bool  # a code is out that opens a door
    password: bool


@dataclass(frozen=True)
class Session:
    """One sign-in that still holds."""

    key: str  # names it in a form; opens nothing
    since: datetime
    seen: datetime


@dataclass(frozen=True)
class Token:
    """A key to the API."""

    key: str  # names it in a form; opens nothing
    label: str
    scope: str
    since: datetime
    until: datetime


@dataclass(frozen=True)
class Published:
    """What a group of homes used in a month: the sum of its measured `members`, and their surface."""

    homes: str
    month: date  # its first day
    quantity: str
    amount: float
    surface_m2: float
    members: int


def _new_code() -> str:
    return "".join(secrets.choice(ALPHABET) for _ in range(CODE_LENGTH))


def _spaced(code: str) -> str:
    """As a letter shows it."""
    return "-".join(code[i : i + 4] for i in range(0, CODE_LENGTH, 4))


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
        self.trail = Trail(database)
        self.asked = Asked(database)
        self.tickets = Tickets(database)
        self.passkeys = Passkeys(database)
        self.challenges = Challenges(database)
        self.identities = Identities(database)
        self._hasher = PasswordHasher()  # argon2id, 64 MiB, as RFC 9106 recommends for memory-bound machines
        self._nobody = self._hasher.hash("nobody's password")  # so that an unknown name takes as long as a known one

    @classmethod
    def open(
        cls,
        url: str,
        *,
        report: Report = _silent,
        busy_timeout_s: float = 2.0,
        attempts: int = 3,
        create: bool = True,
    ) -> People:
        """Open and bring the tables to the newest form. A new SQLite file is readable by its owner alone.

        `url` is sqlite:///FILE or postgresql+psycopg://HOST/NAME, where the tables are in a schema `people`. Without
        `create`, StoreBusy where there is no database yet.
        """
        database = Database(
            url,
            read_only=False,
            busy_timeout_s=busy_timeout_s,
            attempts=attempts,
            report=report,
            schema="people",
            create=create,
        )
        people = cls(database)
        try:
            if database.is_sqlite and create:
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

    def stamp(self) -> tuple[int, ...] | None:
        """Changes whenever anything in the database does; None where that cannot be told (PostgreSQL)."""
        return self._database.stamp()

    def size_bytes(self) -> int | None:
        """Of the database and its log; None where that cannot be told (PostgreSQL)."""
        return self._database.size_bytes()

    def close(self) -> None:
        self._database.close()

    def __enter__(self) -> People:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # Accounts and codes

    def invite(
        self,
        name: str,
        role: Role,
        home: str | None,
        now: datetime,
        *,
        until: datetime | None = None,
        part: str | None = None,
        by: Account | None = None,
    ) -> str:
        """A new code for the account of this name, which is made when there is none. Earlier codes end.

        `until` ends the access of an installer, `part` is the building. Raises ValueError when who lives here comes
        without a home or staff with one, or the account is another's.
        """
        if (role in LIVING) != (home is not None):
            raise ValueError(f"{name}: a resident has a home and a manager has none; role {role}, home {home}")
        if (role == "installer") != (until is not None):
            raise ValueError(f"{name}: an installer's access ends at an instant, and nobody else's does; role {role}")
        code = _new_code()
        self._invite([_Invited(name, role, home, self._digest(code), until, part)], now, by)
        return _spaced(code)

    def invite_homes(self, homes: Sequence[str], now: datetime, by: Account) -> list[str]:
        """A new code for the resident of each of these homes, whose account is called like it: all of them or none.

        Raises ValueError when one of these accounts is another's. Takes 50 ms each.
        """
        codes = [_new_code() for _ in homes]
        invited = [_Invited(h, "resident", h, self._digest(code)) for h, code in zip(homes, codes, strict=True)]
        self._invite(invited, now, by)
        return [_spaced(code) for code in codes]

    def _invite(self, invited: Sequence[_Invited], now: datetime, by: Account | None) -> None:
        def write(connection: Connection) -> None:
            for one in invited:
                execute(
                    connection,
                    "INSERT INTO account (name, role, home, created_us) VALUES (?, ?, ?, ?)"
                    " ON CONFLICT (name) DO NOTHING",
                    (one.name, one.role, one.home, to_us(now)),
                )
                ((number, kept_role, kept_home),) = fetch_all(
                    connection, "SELECT id, role, home FROM account WHERE name = ?", (one.name,)
                )
                if (kept_role, kept_home) != (one.role, one.home):
                    raise ValueError(f"{one.name} is already the {kept_role} of {kept_home}; choose another name")
                execute(
                    connection,
                    "UPDATE account SET until_us = ?, part = ? WHERE id = ?",
                    (None if one.until is None else to_us(one.until), one.part, number),
                )
                execute(connection, "DELETE FROM code WHERE account_id = ?", (number,))
                execute(
                    connection,
                    "INSERT INTO code (digest, account_id, until_us) VALUES (?, ?, ?)",
                    (one.digest, number, to_us(now + CODE_LASTS)),
                )
                if by is not None:
                    note(connection, by.name, by.role, "invited", one.home, now, one.role)

        self._database.write("invite", write)

    def account_of(self, code: str, now: datetime) -> Account | None:
        """Whose code this is; None for nobody's. Takes equally long either way: 50 ms and 16 MB."""
        digest = self._digest(canonical(code) or "")
        sql = """
            SELECT a.id, a.name, a.role, a.home, a.part FROM code c JOIN account a ON a.id = c.account_id
            WHERE c.digest = ? AND c.until_us > ? AND (a.until_us IS NULL OR a.until_us > ?)
            """
        rows = self._database.read("code", lambda c: fetch_all(c, sql, (digest, to_us(now), to_us(now))))
        return _account(rows[0]) if rows else None

    def account_by_password(self, name: str, password: str, now: datetime) -> Account | None:
        """Whose name and password these are; None for nobody's. Takes equally long either way."""
        sql = """
            SELECT id, name, role, home, part, password FROM account
            WHERE lower(name) = ? AND (until_us IS NULL OR until_us > ?)
            """
        rows = self._database.read("password", lambda c: fetch_all(c, sql, (name.strip().lower(), to_us(now))))
        kept = rows[0][5] if rows and rows[0][5] is not None else None
        try:
            self._hasher.verify(self._nobody if kept is None else kept, password)
        except (VerificationError, InvalidHashError):
            return None
        return _account(rows[0]) if kept is not None else None

    def set_password(self, account: Account, password: str, now: datetime) -> None:
        """From now on name and password open the door, and the letter's code no longer does.

        Raises ValueError when it is shorter than LEAST_PASSWORD.
        """
        if len(password) < LEAST_PASSWORD:
            raise ValueError(f"a password has at least {LEAST_PASSWORD} characters, this one has {len(password)}")
        hashed = self._hasher.hash(password)

        def write(connection: Connection) -> None:
            execute(connection, "UPDATE account SET password = ? WHERE id = ?", (hashed, account.id))
            execute(connection, "DELETE FROM code WHERE account_id = ?", (account.id,))
            note(connection, account.name, account.role, "password set", account.home, now)

        self._database.write("set password", write)

    def account(self, number: int, now: datetime) -> Account | None:
        """The account of this number; None when there is none, or its access has ended."""
        sql = "SELECT id, name, role, home, part FROM account WHERE id = ? AND (until_us IS NULL OR until_us > ?)"
        rows = self._database.read("account", lambda c: fetch_all(c, sql, (number, to_us(now))))
        return _account(rows[0]) if rows else None

    def handle(self, account: Account) -> bytes:
        """What a passkey calls the account: tells nothing of a person, and stays the same."""
        return hashlib.sha256(b"passkey" + self._salt + account.name.encode()).digest()

    def people(self, now: datetime) -> list[Person]:
        """Every account, staff first."""
        sql = """
            SELECT a.id, a.name, a.role, a.home, a.part, a.created_us, a.until_us, a.password IS NOT NULL,
              EXISTS (SELECT 1 FROM code c WHERE c.account_id = a.id AND c.until_us > ?)
            FROM account a ORDER BY a.home IS NOT NULL, a.name
            """
        rows = self._database.read("people", lambda c: fetch_all(c, sql, (to_us(now),)))
        return [
            Person(_account(row), from_us(row[5]), None if row[6] is None else from_us(row[6]), bool(row[8]),
                   bool(row[7]))
            for row in rows
        ]  # fmt: skip

    def helpers(self, home: str) -> list[Account]:
        """Who helps the resident of this home."""
        sql = "SELECT id, name, role, home, part FROM account WHERE home = ? AND role = 'caregiver' ORDER BY name"
        return [_account(row) for row in self._database.read("helpers", lambda c: fetch_all(c, sql, (home,)))]

    def end_access(self, number: int, by: Account, now: datetime, *, home: str | None = None) -> bool:
        """Remove an account with its codes and sessions; with `home`, only of who helps there. The audit stays.

        False: there is none, or it is the one who asks.
        """

        def write(connection: Connection) -> bool:
            rows = fetch_all(connection, "SELECT home, role FROM account WHERE id = ?", (number,))
            if not rows or number == by.id or (home is not None and rows[0] != (home, "caregiver")):
                return False
            execute(connection, "DELETE FROM account WHERE id = ?", (number,))
            what: Deed = "access ended" if home is None else "help ended"
            note(connection, by.name, by.role, what, rows[0][0], now)
            return True

        return self._database.write("end access", write)

    def remove(self, account: Account) -> None:
        """The account with its codes and sessions; the audit stays."""
        self._database.write("remove account", lambda c: execute(c, "DELETE FROM account WHERE id = ?", (account.id,)))

    def erase(self, account: Account, now: datetime) -> None:
        """Everything of a resident: account, helpers, wishes, messages, consents; and whom the audit's lines are about.

        What was measured in the home is deleted from the site's database by the control process, which reads here
        until when (`Asked.erasures`). The list that a restore goes by (`ems.store.tombstones`) hears of it too.
        """
        home = account.home
        if home is None:
            raise ValueError(f"{account.name} has no home to erase")

        def write(connection: Connection) -> None:
            note(connection, account.name, account.role, "erased", home, now)
            _erase_home(connection, home, now)

        self._database.write("erase", write)
        if self._database.is_sqlite:
            tombstones.add(self._database.file.parent, {(home, as_utc(now))})

    def erasures(self) -> set[tuple[str, datetime]]:
        """Every home that was erased, and when."""
        rows = self._database.read("erasures", lambda c: fetch_all(c, "SELECT home, at_us FROM erasure"))
        return {(home, from_us(at)) for home, at in rows}

    def erase_again(self, home: str, at: datetime) -> bool:
        """The same for a home that was erased after this database was backed up. False: it knows of it already."""

        def write(connection: Connection) -> bool:
            if fetch_all(connection, "SELECT 1 FROM erasure WHERE home = ? AND at_us = ?", (home, to_us(at))):
                return False
            note(connection, "restore", "system", "erased", home, at)
            _erase_home(connection, home, at)
            return True

        return self._database.write("erase again", write)

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
            note(connection, account.name, account.role, "signed in", account.home, now)

        self._database.write("sign in", write)
        return token

    def visitor(self, token: str, now: datetime) -> Account | None:
        """Who holds this token; None when it was ended, has run out, or never was. Being used prolongs it."""
        digest, at = _token_digest(token), to_us(now)
        sql = """
            SELECT a.id, a.name, a.role, a.home, a.part, s.seen_us FROM session s JOIN account a ON a.id = s.account_id
            WHERE s.digest = ? AND s.until_us > ? AND (a.until_us IS NULL OR a.until_us > ?)
            """
        rows = self._database.read("session", lambda c: fetch_all(c, sql, (digest, at, at)))
        if not rows:
            return None
        account = _account(rows[0])
        lasts = SESSION_LASTS[account.role]
        if at - rows[0][5] >= _SLIDES_AFTER * (lasts / timedelta(microseconds=1)):
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
                note(connection, account.name, account.role, "signed out", account.home, now)
            return ended

        return self._database.write("sign out", write)

    # Keys to the API

    def make_token(self, account: Account, label: str, scope: str, now: datetime) -> str:
        """A new key, told once."""
        token = "ems_" + secrets.token_urlsafe(32)

        def write(connection: Connection) -> None:
            execute(
                connection,
                "INSERT INTO token (digest, account_id, label, scope, since_us, until_us) VALUES (?, ?, ?, ?, ?, ?)",
                (_token_digest(token), account.id, label, scope, to_us(now), to_us(now + TOKEN_LASTS)),
            )
            note(connection, account.name, account.role, "token made", account.home, now, scope)

        self._database.write("make token", write)
        return token

    def bearer(self, token: str, now: datetime) -> tuple[Account, str] | None:
        """Who holds this key, and its scope; None when it was ended, has run out, or never was."""
        sql = """
            SELECT a.id, a.name, a.role, a.home, a.part, t.scope FROM token t JOIN account a ON a.id = t.account_id
            WHERE t.digest = ? AND t.until_us > ? AND (a.until_us IS NULL OR a.until_us > ?)
            """
        values = (_token_digest(token), to_us(now), to_us(now))
        rows = self._database.read("token", lambda c: fetch_all(c, sql, values))
        return (_account(rows[0]), str(rows[0][5])) if rows else None

    def tokens(self, account: Account, now: datetime) -> list[Token]:
        """The account's keys that still hold."""
        sql = """
            SELECT digest, label, scope, since_us, until_us FROM token WHERE account_id = ? AND until_us > ?
            ORDER BY since_us
            """
        rows = self._database.read("tokens", lambda c: fetch_all(c, sql, (account.id, to_us(now))))
        return [Token(bytes(d).hex(), label, scope, from_us(s), from_us(u)) for d, label, scope, s, u in rows]

    def end_token(self, account: Account, key: str, now: datetime) -> bool:
        """End one of the account's own keys. False: it has none of this name."""
        try:
            digest = bytes.fromhex(key)
        except ValueError:
            return False

        def write(connection: Connection) -> bool:
            ended = execute(connection, "DELETE FROM token WHERE digest = ? AND account_id = ?", (digest, account.id))
            if ended:
                note(connection, account.name, account.role, "token ended", account.home, now)
            return ended > 0

        return self._database.write("end token", write)

    # Consents

    def consents(self, account: Account) -> dict[str, tuple[bool, datetime]]:
        """What the account said, and when, by purpose; what it was never asked is not there."""
        sql = "SELECT purpose, given, since_us FROM consent WHERE account_id = ?"
        rows = self._database.read("consents", lambda c: fetch_all(c, sql, (account.id,)))
        return {purpose: (bool(given), from_us(since)) for purpose, given, since in rows}

    def agrees(self, home: str, purpose: str) -> bool:
        """Whether this home agreed to a purpose: somebody who lives there said yes, and nobody no."""
        return purpose in self.asked.agreed(home)

    def consent(
        self, account: Account, purpose: str, given: bool, now: datetime, *, until: datetime | None = None
    ) -> None:
        """Say yes or no to one purpose. After a no, what was kept for it before `until` goes: the site's time, where
        that is another than `now`.
        """

        def write(connection: Connection) -> None:
            execute(
                connection,
                "INSERT INTO consent (account_id, purpose, given, since_us) VALUES (?, ?, ?, ?)"
                " ON CONFLICT (account_id, purpose) DO UPDATE"
                " SET given = excluded.given, since_us = excluded.since_us",
                (account.id, purpose, int(given), to_us(now)),
            )
            if not given and account.home is not None:
                execute(
                    connection,
                    "INSERT INTO withdrawal (home, purpose, at_us) VALUES (?, ?, ?)"
                    " ON CONFLICT (home, purpose) DO UPDATE SET at_us = excluded.at_us",
                    (account.home, purpose, to_us(now if until is None else until)),
                )
            what: Deed = "consent given" if given else "consent withdrawn"
            note(connection, account.name, account.role, what, account.home, now, purpose)

        self._database.write("consent", write)

    # Groups of homes

    def published(self, homes: str, month: date, quantity: str) -> Published | None:
        """What was told of a group of homes; None when nothing was yet."""
        sql = "SELECT amount, surface_m2, members FROM published WHERE homes = ? AND month = ? AND quantity = ?"
        values = (homes, month.year * 100 + month.month, quantity)
        rows = self._database.read("published", lambda c: fetch_all(c, sql, values))
        return Published(homes, month, quantity, *rows[0]) if rows else None

    def publish(self, told: Published) -> None:
        """Tell it once: what was told before stays."""
        sql = (
            "INSERT INTO published (homes, month, quantity, amount, surface_m2, members) VALUES (?, ?, ?, ?, ?, ?)"
            " ON CONFLICT (homes, month, quantity) DO NOTHING"
        )
        number = told.month.year * 100 + told.month.month
        values = (told.homes, number, told.quantity, told.amount, told.surface_m2, told.members)
        self._database.write("publish", lambda c: execute(c, sql, values))

    # Audit

    def note(self, account: Account, what: Deed, home: str | None, now: datetime, detail: str = "") -> None:
        """Add a line to the audit."""
        self._database.write("audit", lambda c: note(c, account.name, account.role, what, home, now, detail))

    def looked_at(self, home: str, count: int) -> list[Trace]:
        """The last times that staff looked at this home, by itself or among all; newest first."""
        return self.trail.about(home, count)

    def audit(self, count: int) -> list[Trace]:
        """The last lines of the audit, newest first."""
        return self.trail.last(count)


def _erase_home(connection: Connection, home: str, at: datetime) -> None:
    names = [row[0] for row in fetch_all(connection, "SELECT name FROM account WHERE home = ?", (home,))]
    for table in ("comfort_wish", "heat_now", "ticket"):
        execute(connection, f"DELETE FROM {table} WHERE home = ?", (home,))
    execute(connection, "DELETE FROM account WHERE home = ?", (home,))
    for name in {home, *names}:
        forget(connection, name)
    execute(connection, "INSERT INTO erasure (home, at_us) VALUES (?, ?)", (home, to_us(at)))


def _account(row: tuple[Any, ...]) -> Account:
    number, name, role, home, part = row[:5]
    return Account(int(number), str(name), cast(Role, role), home, part)


def _token_digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
