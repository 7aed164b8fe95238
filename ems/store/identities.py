"""Under which subject the staff's organisation knows whom: linked once, by the address of the invitation."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from ems.store.database import Database, execute, fetch_all
from ems.store.store import from_us, to_us
from ems.store.trail import note


@dataclass(frozen=True)
class Link:
    """An issuer that knows an account, and since when."""

    issuer: str
    since: datetime


class Identities:
    """The linked identities of one site."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def account_id(self, issuer: str, subject: str) -> int | None:
        """The account that is linked to a subject of an issuer."""
        sql = "SELECT account_id FROM identity WHERE issuer = ? AND subject = ?"
        rows = self._database.read("identity", lambda c: fetch_all(c, sql, (issuer, subject)))
        return int(rows[0][0]) if rows else None

    def of(self, account_id: int) -> list[Link]:
        """The issuers that know an account, the oldest first."""
        sql = "SELECT issuer, since_us FROM identity WHERE account_id = ? ORDER BY since_us, issuer"
        rows = self._database.read("identities", lambda c: fetch_all(c, sql, (account_id,)))
        return [Link(issuer, from_us(since)) for issuer, since in rows]

    def unlink(self, account_id: int, issuer: str, who: tuple[str, str], now: datetime) -> bool:
        """From now on the issuer's subject opens nothing here, until it is linked anew. False: it was not linked."""

        def write(connection: Connection) -> bool:
            sql = "DELETE FROM identity WHERE account_id = ? AND issuer = ?"
            done = execute(connection, sql, (account_id, issuer)) > 0
            if done:
                note(connection, *who, "organisation unlinked", None, now, issuer)
            return done

        return self._database.write("unlink identity", write)

    def link(self, issuer: str, subject: str, email: str, now: datetime) -> int | None:
        """Link a subject to the member of staff who was invited under this address, which the issuer has verified.

        None: nobody was, their access has ended, or they are linked to another subject: an address is given to a new
        person, an account is not.
        """

        def write(connection: Connection) -> int | None:
            rows = fetch_all(
                connection,
                "SELECT id, name, role FROM account WHERE lower(name) = ? AND home IS NULL"
                " AND (until_us IS NULL OR until_us > ?)",
                (email.lower(), to_us(now)),
            )
            if "@" not in email or len(rows) != 1:
                return None
            ((number, name, role),) = rows
            linked = "SELECT 1 FROM identity WHERE issuer = ? AND (account_id = ? OR subject = ?)"
            if fetch_all(connection, linked, (issuer, number, subject)):
                return None
            execute(
                connection,
                "INSERT INTO identity (issuer, subject, account_id, since_us) VALUES (?, ?, ?, ?)",
                (issuer, subject, number, to_us(now)),
            )
            note(connection, name, role, "organisation linked", None, now, issuer)
            return int(number)

        return self._database.write("link identity", write)
