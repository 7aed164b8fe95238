"""What people ask of the district: wishes of residents, holds of managers, what is out of service.

The web process writes it to `people.db`; the control process opens the same database for reading alone (`read_only`)
and takes it up in its next quarter-hour. Instants are of the site's time. What must work without any database
("rendre la main"), and what is about alarms, goes through `ems.store.requests` instead.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta

from sqlalchemy import Connection

from ems.store.database import Concern, Database, execute, fetch_all
from ems.store.store import from_us, to_us
from ems.store.trail import Deed, note

CLOSINGS_KEPT = timedelta(days=400)
MOST_CLOSINGS = 500


@dataclass(frozen=True)
class ComfortWish:
    """How warm a home wants it against its own thermostat, K, and whether its heating may be shifted."""

    offset_k: float
    shift: bool
    since: datetime


@dataclass(frozen=True)
class Departure:
    """When the car at a charge point leaves, and what it needs from `made` until then, at the plug.

    `taken_kwh` is what the charge point had counted of this session when it was said.
    """

    asset: str
    account_id: int
    km: float
    needed_kwh: float
    taken_kwh: float
    at_once: bool
    made: datetime
    departs: datetime


@dataclass(frozen=True)
class Reservation:
    """A shared car (`asset`: the charge point it lives at) or a bicycle's place, from `begins` to `ends`.

    `needed_kwh`, at the plug, is what must be charged before a car begins, or while a bicycle stands there.
    """

    number: int
    asset: str
    account_id: int
    km: float
    needed_kwh: float
    begins: datetime
    ends: datetime


@dataclass(frozen=True)
class Hold:
    """A manager holds a point at a value, whatever the plan says."""

    point: str
    value: float
    by: str
    reason: str
    since: datetime
    until: datetime


@dataclass(frozen=True)
class Maintenance:
    """An asset that somebody works at, and why."""

    asset: str
    by: str
    reason: str
    since: datetime


@dataclass(frozen=True)
class Closing:
    """A room that is used by the hour stays shut, from one local day to another, both included."""

    number: int
    asset: str
    first: date
    last: date
    reason: str
    by: str

    @property
    def days(self) -> list[date]:
        return [self.first + timedelta(days=i) for i in range((self.last - self.first).days + 1)]


class Asked:
    """What stands asked for in one site."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @classmethod
    def read_only(cls, url: str, *, busy_timeout_s: float = 1.0) -> Asked:
        """Open for reading, for the control process. The tables must exist when it is used."""

        def silent(_: Concern) -> None:
            """Nobody listens: a reader has no concerns of its own."""

        return cls(
            Database(
                url, read_only=True, busy_timeout_s=busy_timeout_s, attempts=1, report=silent, schema="people"
            )
        )  # fmt: skip

    def close(self) -> None:
        self._database.close()

    # Residents

    def comfort_wishes(self) -> dict[str, ComfortWish]:
        """By home, where anything but the thermostat alone was asked for."""
        sql = "SELECT home, offset_k, shift, since_us FROM comfort_wish ORDER BY home"
        rows = self._database.read("wishes", lambda c: fetch_all(c, sql))
        return {home: ComfortWish(offset, bool(shift), from_us(since)) for home, offset, shift, since in rows}

    def wish_comfort(self, home: str, offset_k: float, shift: bool, who: tuple[str, str], now: datetime) -> None:
        """`who` is (name, role) of whoever asks."""

        def write(connection: Connection) -> None:
            execute(
                connection,
                "INSERT INTO comfort_wish (home, offset_k, shift, since_us) VALUES (?, ?, ?, ?)"
                " ON CONFLICT (home) DO UPDATE SET offset_k = excluded.offset_k, shift = excluded.shift,"
                " since_us = excluded.since_us",
                (home, offset_k, int(shift), to_us(now)),
            )
            note(connection, *who, "wish", home, now)

        self._database.write("wish", write)

    def heating_now(self, now: datetime) -> dict[str, datetime]:
        """Homes that are heated at once, and until when."""
        sql = "SELECT home, until_us FROM heat_now WHERE until_us > ? ORDER BY home"
        rows = self._database.read("heat now", lambda c: fetch_all(c, sql, (to_us(now),)))
        return {home: from_us(until) for home, until in rows}

    def heat_now(self, home: str, until: datetime | None, who: tuple[str, str], now: datetime) -> None:
        """Heat at once until then; None: no longer."""

        def write(connection: Connection) -> None:
            execute(connection, "DELETE FROM heat_now WHERE home = ? OR until_us <= ?", (home, to_us(now)))
            if until is not None:
                execute(connection, "INSERT INTO heat_now (home, until_us) VALUES (?, ?)", (home, to_us(until)))
                note(connection, *who, "heat at once", home, now)

        self._database.write("heat now", write)

    def departures(self, now: datetime) -> dict[str, Departure]:
        """By charge point, those that are still to come."""
        sql = """
            SELECT asset, account_id, km, needed_kwh, taken_kwh, at_once, made_us, departs_us FROM departure
            WHERE departs_us > ? ORDER BY asset
            """
        rows = self._database.read("departures", lambda c: fetch_all(c, sql, (to_us(now),)))
        return {
            asset: Departure(asset, account, km, kwh, taken, bool(at_once), from_us(made), from_us(departs))
            for asset, account, km, kwh, taken, at_once, made, departs in rows
        }

    def depart(self, wanted: Departure, who: tuple[str, str], home: str | None, now: datetime) -> bool:
        """Say when a car leaves. False: another's car is said to stand there. A person has one car at a time."""

        def write(connection: Connection) -> bool:
            taken = fetch_all(
                connection,
                "SELECT account_id FROM departure WHERE asset = ? AND departs_us > ? AND account_id <> ?",
                (wanted.asset, to_us(now), wanted.account_id),
            )
            if taken:
                return False
            execute(
                connection,
                "DELETE FROM departure WHERE asset = ? OR account_id = ? OR departs_us <= ?",
                (wanted.asset, wanted.account_id, to_us(now)),
            )
            execute(
                connection,
                "INSERT INTO departure (asset, account_id, km, needed_kwh, taken_kwh, at_once, made_us,"
                " departs_us) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (wanted.asset, wanted.account_id, wanted.km, wanted.needed_kwh, wanted.taken_kwh, int(wanted.at_once),
                 to_us(wanted.made), to_us(wanted.departs)),
            )  # fmt: skip
            note(connection, *who, "departure", home, now)
            return True

        return self._database.write("departure", write)

    def forget_departure(self, account_id: int) -> None:
        """The car is charged as if nothing had been said."""
        sql = "DELETE FROM departure WHERE account_id = ?"
        self._database.write("forget departure", lambda c: execute(c, sql, (account_id,)))

    # Shared cars and places for bicycles

    def reservations(self, now: datetime) -> list[Reservation]:
        """Those that are not over, in the order in which they begin."""
        sql = """
            SELECT id, asset, account_id, km, needed_kwh, begins_us, ends_us FROM reservation
            WHERE ends_us > ? ORDER BY begins_us, id
            """
        rows = self._database.read("reservations", lambda c: fetch_all(c, sql, (to_us(now),)))
        return [Reservation(n, a, who, km, kwh, from_us(b), from_us(e)) for n, a, who, km, kwh, b, e in rows]

    def reserve(
        self, wanted: Reservation, places: int, most: int, who: tuple[str, str], home: str | None, now: datetime
    ) -> bool:
        """Reserve; its number is given here. False: all `places` of the asset are taken meanwhile, or the person has
        `most` reservations already.
        """

        def write(connection: Connection) -> bool:
            execute(connection, "DELETE FROM reservation WHERE ends_us <= ?", (to_us(now),))
            begins, ends = to_us(wanted.begins), to_us(wanted.ends)
            meanwhile = "SELECT begins_us, ends_us FROM reservation WHERE asset = ? AND begins_us < ? AND ends_us > ?"
            others = fetch_all(connection, meanwhile, (wanted.asset, ends, begins))
            # Most stand there at once when one of them comes.
            at_once = max(
                sum(b <= at < e for b, e in others) for at in (begins, *(max(b, begins) for b, _ in others))
            )  # fmt: skip
            mine = "SELECT count(*) FROM reservation WHERE account_id = ?"
            if at_once >= places or fetch_all(connection, mine, (wanted.account_id,))[0][0] >= most:
                return False
            execute(
                connection,
                "INSERT INTO reservation (asset, account_id, km, needed_kwh, begins_us, ends_us, made_us)"
                " VALUES (?, ?, ?, ?, ?, ?, ?)",
                (wanted.asset, wanted.account_id, wanted.km, wanted.needed_kwh, begins, ends, to_us(now)),
            )
            note(connection, *who, "reserved", home, now)
            return True

        return self._database.write("reservation", write)

    def give_up(self, number: int, account_id: int, who: tuple[str, str], home: str | None, now: datetime) -> bool:
        """Give a reservation of one's own back. False: there is none of this number."""

        def write(connection: Connection) -> bool:
            sql = "DELETE FROM reservation WHERE id = ? AND account_id = ?"
            done = execute(connection, sql, (number, account_id)) > 0
            if done:
                note(connection, *who, "reservation given up", home, now)
            return done

        return self._database.write("give up reservation", write)

    # What may be kept

    def agreements(self) -> dict[str, frozenset[str]]:
        """By purpose, the homes that agreed to it: somebody who lives there said yes, and nobody no.

        Quarter-hours hold the days: who does not agree to days does not agree to the load curve either.
        """
        sql = """
            SELECT c.purpose, a.home FROM consent c JOIN account a ON a.id = c.account_id WHERE a.role = 'resident'
            GROUP BY c.purpose, a.home HAVING min(c.given) = 1
            """
        found: dict[str, set[str]] = {}
        for purpose, home in self._database.read("agreements", lambda c: fetch_all(c, sql)):
            found.setdefault(purpose, set()).add(home)
        found["load curve"] = found.get("load curve", set()) & found.get("daily", set())
        return {purpose: frozenset(homes) for purpose, homes in found.items()}

    def agreed(self, home: str) -> frozenset[str]:
        """The purposes that one home agreed to, as `agreements` has them."""
        sql = """
            SELECT c.purpose FROM consent c JOIN account a ON a.id = c.account_id
            WHERE a.role = 'resident' AND a.home = ? GROUP BY c.purpose HAVING min(c.given) = 1
            """
        found = {purpose for (purpose,) in self._database.read("agreements", lambda c: fetch_all(c, sql, (home,)))}
        return frozenset(found if "daily" in found else found - {"load curve"})

    def withdrawals(self) -> dict[tuple[str, str], datetime]:
        """By home and purpose, until when what was kept for it is to be deleted, also after a restore."""
        sql = "SELECT home, purpose, at_us FROM withdrawal"
        rows = self._database.read("withdrawals", lambda c: fetch_all(c, sql))
        return {(home, purpose): from_us(at) for home, purpose, at in rows}

    def erasures(self) -> dict[str, datetime]:
        """Homes whose measurements up to an instant are to be deleted, also after a restore."""
        sql = "SELECT home, max(at_us) FROM erasure GROUP BY home"
        return {home: from_us(at) for home, at in self._database.read("erasures", lambda c: fetch_all(c, sql))}

    # Managers

    def holds(self, now: datetime) -> dict[str, Hold]:
        """By point, those that have not ended."""
        sql = 'SELECT point, value, "by", reason, since_us, until_us FROM hold WHERE until_us > ? ORDER BY until_us'
        rows = self._database.read("holds", lambda c: fetch_all(c, sql, (to_us(now),)))
        return {point: Hold(point, v, by, why, from_us(s), from_us(u)) for point, v, by, why, s, u in rows}

    def hold(self, wanted: Hold, role: str) -> None:
        """Hold a point; a second hold of the same point replaces the first."""

        def write(connection: Connection) -> None:
            execute(connection, "DELETE FROM hold WHERE until_us <= ?", (to_us(wanted.since),))
            execute(
                connection,
                'INSERT INTO hold (point, value, "by", reason, since_us, until_us) VALUES (?, ?, ?, ?, ?, ?)'
                ' ON CONFLICT (point) DO UPDATE SET value = excluded.value, "by" = excluded."by",'
                " reason = excluded.reason, since_us = excluded.since_us, until_us = excluded.until_us",
                (wanted.point, wanted.value, wanted.by, wanted.reason, to_us(wanted.since), to_us(wanted.until)),
            )
            note(connection, wanted.by, role, "point held", None, wanted.since, f"{wanted.point} {wanted.value:g}")

        self._database.write("hold", write)

    def end_hold(self, point: str, who: tuple[str, str], now: datetime) -> bool:
        """Give a point back to the plan before its time. False: nobody held it."""
        return self._end("hold", "point", point, "hold ended", who, now)

    def closings(self) -> list[Closing]:
        """Those to come, those that hold, and those of the last year, from which forecasts learn."""
        sql = 'SELECT id, asset, first_day, last_day, reason, "by" FROM closing ORDER BY first_day, asset, id'
        rows = self._database.read("closings", lambda c: fetch_all(c, sql))
        return [
            Closing(n, asset, date.fromisoformat(a), date.fromisoformat(b), why, by) for n, asset, a, b, why, by in rows
        ]

    def close_room(self, wanted: Closing, who: tuple[str, str], now: datetime) -> bool:
        """Add closing days; their number is given here. False: MOST_CLOSINGS are kept already."""

        def write(connection: Connection) -> bool:
            long_ago = (now - CLOSINGS_KEPT).date().isoformat()
            execute(connection, "DELETE FROM closing WHERE last_day < ?", (long_ago,))
            if fetch_all(connection, "SELECT count(*) FROM closing")[0][0] >= MOST_CLOSINGS:
                return False
            execute(
                connection,
                'INSERT INTO closing (asset, first_day, last_day, reason, "by", made_us) VALUES (?, ?, ?, ?, ?, ?)',
                (wanted.asset, wanted.first.isoformat(), wanted.last.isoformat(), wanted.reason, who[0], to_us(now)),
            )
            note(connection, *who, "closing days added", None, now, f"{wanted.asset} {wanted.first} {wanted.last}")
            return True

        return self._database.write("closing", write)

    def open_room(self, number: int, who: tuple[str, str], now: datetime) -> bool:
        """Take closing days back. False: there are none of this number."""

        def write(connection: Connection) -> bool:
            rows = fetch_all(connection, "SELECT asset, first_day, last_day FROM closing WHERE id = ?", (number,))
            if rows:
                execute(connection, "DELETE FROM closing WHERE id = ?", (number,))
                note(connection, *who, "closing days removed", None, now, " ".join(rows[0]))
            return bool(rows)

        return self._database.write("closing", write)

    def maintenance(self) -> dict[str, Maintenance]:
        """By asset, those that somebody works at: nothing is written to them."""
        sql = 'SELECT asset, "by", reason, since_us FROM maintenance ORDER BY since_us'
        rows = self._database.read("maintenance", lambda c: fetch_all(c, sql))
        return {asset: Maintenance(asset, by, reason, from_us(since)) for asset, by, reason, since in rows}

    def take_out(self, asset: str, reason: str, who: tuple[str, str], now: datetime) -> None:
        """Lock an asset for maintenance, without an end."""

        def write(connection: Connection) -> None:
            execute(
                connection,
                'INSERT INTO maintenance (asset, "by", reason, since_us) VALUES (?, ?, ?, ?)'
                " ON CONFLICT (asset) DO NOTHING",
                (asset, who[0], reason, to_us(now)),
            )
            note(connection, *who, "out of service", None, now, asset)

        self._database.write("maintenance", write)

    def put_in(self, asset: str, who: tuple[str, str], now: datetime) -> bool:
        """Maintenance is over. False: there was none."""
        return self._end("maintenance", "asset", asset, "in service again", who, now)

    def _end(self, table: str, key: str, what: str, deed: Deed, who: tuple[str, str], now: datetime) -> bool:
        def write(connection: Connection) -> bool:
            ended = execute(connection, f"DELETE FROM {table} WHERE {key} = ?", (what,)) > 0
            if ended:
                note(connection, *who, deed, None, now, what)
            return ended

        return self._database.write(table, write)
