"""Passkeys: the public half of a key pair whose other half never leaves its owner's device."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from ems.store.database import Database, execute, fetch_all
from ems.store.store import from_us, to_us
from ems.store.trail import note

MOST_PASSKEYS = 10  # of one account


@dataclass(frozen=True)
class Passkey:
    """One passkey. `count` is how often its authenticator says that it has signed; many always say 0."""

    credential: bytes
    account_id: int
    public_key: bytes  # COSE
    count: int
    label: str
    since: datetime
    used: datetime | None

    @property
    def key(self) -> str:
        """Names it in a form; opens nothing."""
        return self.credential.hex()


class Passkeys:
    """The passkeys of one site."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def of(self, account_id: int) -> list[Passkey]:
        """Those of an account, the oldest first."""
        sql = f"{_SELECT} WHERE account_id = ? ORDER BY since_us, credential"
        return [_passkey(row) for row in self._database.read("passkeys", lambda c: fetch_all(c, sql, (account_id,)))]

    def one(self, credential: bytes) -> Passkey | None:
        sql = f"{_SELECT} WHERE credential = ?"
        rows = self._database.read("passkey", lambda c: fetch_all(c, sql, (credential,)))
        return _passkey(rows[0]) if rows else None

    def add(self, made: Passkey, who: tuple[str, str], home: str | None) -> bool:
        """Keep a passkey; `who` is (name, role). False: it is known already, or the account has MOST_PASSKEYS."""

        def write(connection: Connection) -> bool:
            held = "SELECT count(*) FROM passkey WHERE account_id = ?"
            known = "SELECT 1 FROM passkey WHERE credential = ?"
            if fetch_all(connection, held, (made.account_id,))[0][0] >= MOST_PASSKEYS:
                return False
            if fetch_all(connection, known, (made.credential,)):
                return False
            execute(
                connection,
                "INSERT INTO passkey (credential, account_id, public_key, count, label, since_us)"
                " VALUES (?, ?, ?, ?, ?, ?)",
                (made.credential, made.account_id, made.public_key, made.count, made.label, to_us(made.since)),
            )
            note(connection, *who, "passkey added", home, made.since)
            return True

        return self._database.write("add passkey", write)

    def use(self, before: Passkey, count: int, now: datetime) -> bool:
        """It has signed, and now counts this much. False: it was used or removed since `before` was read."""
        sql = "UPDATE passkey SET count = ?, used_us = ? WHERE credential = ? AND count = ?"
        values = (count, to_us(now), before.credential, before.count)
        return self._database.write("use passkey", lambda c: execute(c, sql, values) > 0)

    def remove(self, account_id: int, key: str, who: tuple[str, str], home: str | None, now: datetime) -> bool:
        """Forget one of the account's own. False: it has none of this key."""
        try:
            credential = bytes.fromhex(key)
        except ValueError:
            return False

        def write(connection: Connection) -> bool:
            sql = "DELETE FROM passkey WHERE credential = ? AND account_id = ?"
            gone = execute(connection, sql, (credential, account_id)) > 0
            if gone:
                note(connection, *who, "passkey removed", home, now)
            return gone

        return self._database.write("remove passkey", write)


_SELECT = "SELECT credential, account_id, public_key, count, label, since_us, used_us FROM passkey"


def _passkey(row: tuple[object, ...]) -> Passkey:
    credential, account_id, public_key, count, label, since_us, used_us = row
    return Passkey(
        bytes(credential),  # type: ignore[call-overload]
        int(str(account_id)),
        bytes(public_key),  # type: ignore[call-overload]
        int(str(count)),
        str(label),
        from_us(int(str(since_us))),
        None if used_us is None else from_us(int(str(used_us))),
    )
