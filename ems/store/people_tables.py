"""The tables of the people's database: who may sign in, what people ask for, and who did what.

Times are UTC epoch microseconds. Nothing that opens a door is stored as such: codes and session tokens only as digests.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Column, ForeignKey, Index, LargeBinary, MetaData, Text
from sqlmodel import Field, SQLModel

from ems.store.tables import Double, Whole

metadata = MetaData()
_STRICT = {"sqlite_strict": True}


class _People(SQLModel):
    """Kept apart from the tables of the site: another database, another writer."""

    metadata = metadata


def _text(*, null: bool = False) -> Any:
    return Field(default=None if null else ..., sa_column=Column(Text, nullable=null))


def _whole(*, null: bool = False) -> Any:
    return Field(default=None if null else ..., sa_column=Column(Whole, nullable=null))


def _double() -> Any:
    return Field(sa_column=Column(Double, nullable=False))


def _key() -> Any:
    return Field(sa_column=Column(Text, primary_key=True))


def _number() -> Any:
    return Field(default=None, sa_column=Column(Whole, primary_key=True))


def _account(*, key: bool = False) -> Any:
    foreign = ForeignKey("account.id", ondelete="CASCADE")
    return Field(sa_column=Column(Whole, foreign, primary_key=key, nullable=False))


class AccountRow(_People, table=True):
    """Somebody who signs in: staff, the resident of one home, or who helps that resident."""

    __tablename__ = "account"
    __table_args__ = (_STRICT,)
    id: int | None = Field(default=None, sa_column=Column(Whole, primary_key=True))
    name: str = Field(sa_column=Column(Text, nullable=False, unique=True))
    role: str = Field(sa_column=Column(Text, nullable=False))
    home: str | None = Field(default=None, sa_column=Column(Text))  # building/flat; of residents only
    created_us: int = Field(sa_column=Column(Whole, nullable=False))
    password: str | None = _text(null=True)  # argon2id
    until_us: int | None = _whole(null=True)  # an installer's access ends
    part: str | None = _text(null=True)  # the building of an installer


class CodeRow(_People, table=True):
    """The digest of a sign-in code."""

    __tablename__ = "code"
    __table_args__ = (_STRICT,)
    digest: bytes = Field(sa_column=Column(LargeBinary, primary_key=True))
    account_id: int = Field(sa_column=Column(Whole, ForeignKey("account.id", ondelete="CASCADE"), nullable=False))
    until_us: int = Field(sa_column=Column(Whole, nullable=False))


class SessionRow(_People, table=True):
    """The digest of a session's token, and how long it lasts unless it is used."""

    __tablename__ = "session"
    __table_args__ = (Index("session_by_account", "account_id", "seen_us"), _STRICT)
    digest: bytes = Field(sa_column=Column(LargeBinary, primary_key=True))
    account_id: int = Field(sa_column=Column(Whole, ForeignKey("account.id", ondelete="CASCADE"), nullable=False))
    since_us: int = Field(sa_column=Column(Whole, nullable=False))
    seen_us: int = Field(sa_column=Column(Whole, nullable=False))
    until_us: int = Field(sa_column=Column(Whole, nullable=False))


class TokenRow(_People, table=True):
    """The digest of a key to the API."""

    __tablename__ = "token"
    __table_args__ = (_STRICT,)
    digest: bytes = Field(sa_column=Column(LargeBinary, primary_key=True))
    account_id: int = _account()
    label: str = _text()
    scope: str = _text()
    since_us: int = _whole()
    until_us: int = _whole()


class PasskeyRow(_People, table=True):
    """The public half of a passkey."""

    __tablename__ = "passkey"
    __table_args__ = (_STRICT,)
    credential: bytes = Field(sa_column=Column(LargeBinary, primary_key=True))
    account_id: int = _account()
    public_key: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    count: int = _whole()
    label: str = _text()
    since_us: int = _whole()
    used_us: int | None = _whole(null=True)


class IdentityRow(_People, table=True):
    """Under which subject an issuer knows a member of staff."""

    __tablename__ = "identity"
    __table_args__ = (_STRICT,)
    issuer: str = _key()
    subject: str = _key()
    account_id: int = _account()
    since_us: int = _whole()


class ChallengeRow(_People, table=True):
    """What a browser was asked to come back with, under the digest of what it alone knows."""

    __tablename__ = "challenge"
    __table_args__ = (_STRICT,)
    digest: bytes = Field(sa_column=Column(LargeBinary, primary_key=True))
    value: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    until_us: int = _whole()


class ComfortWishRow(_People, table=True):
    """How warm a home wants it against its own thermostat, and whether we may shift heating."""

    __tablename__ = "comfort_wish"
    __table_args__ = (_STRICT,)
    home: str = _key()
    offset_k: float = _double()
    shift: int = _whole()
    since_us: int = _whole()


class HeatNowRow(_People, table=True):
    """A home that is heated at once, whatever is planned."""

    __tablename__ = "heat_now"
    __table_args__ = (_STRICT,)
    home: str = _key()
    until_us: int = _whole()


class DepartureRow(_People, table=True):
    """When the car at a charge point leaves, and what it needs until then."""

    __tablename__ = "departure"
    __table_args__ = (_STRICT,)
    asset: str = _key()
    account_id: int = _account()
    km: float = _double()
    needed_kwh: float = _double()
    taken_kwh: float = _double()
    at_once: int = _whole()
    made_us: int = _whole()
    departs_us: int = _whole()


class ReservationRow(_People, table=True):
    """A shared car, or a place for an electric bicycle, that a person has from one instant to another."""

    __tablename__ = "reservation"
    __table_args__ = (Index("reservation_by_asset", "asset", "begins_us"), _STRICT)
    id: int | None = _number()
    asset: str = _text()
    account_id: int = _account()
    km: float = _double()
    needed_kwh: float = _double()
    begins_us: int = _whole()
    ends_us: int = _whole()
    made_us: int = _whole()


class HoldRow(_People, table=True):
    """A manager holds a point at a value, until an instant."""

    __tablename__ = "hold"
    __table_args__ = (_STRICT,)
    point: str = _key()
    value: float = _double()
    by: str = _text()
    reason: str = _text()
    since_us: int = _whole()
    until_us: int = _whole()


class ClosingRow(_People, table=True):
    """A room that is used by the hour stays shut on some local days."""

    __tablename__ = "closing"
    __table_args__ = (_STRICT,)
    id: int | None = _number()
    asset: str = _text()
    first_day: str = _text()  # ISO dates of the site's clock
    last_day: str = _text()
    reason: str = _text()
    by: str = _text()
    made_us: int = _whole()


class MaintenanceRow(_People, table=True):
    """An asset that somebody works at: nothing is written to it."""

    __tablename__ = "maintenance"
    __table_args__ = (_STRICT,)
    asset: str = _key()
    by: str = _text()
    reason: str = _text()
    since_us: int = _whole()


class TicketRow(_People, table=True):
    """A resident's message, with what was measured in the day before it."""

    __tablename__ = "ticket"
    __table_args__ = (Index("ticket_by_home", "home", "id"), _STRICT)
    id: int | None = _number()
    home: str = _text()
    kind: str = _text()
    words: str = _text()
    opened_us: int = _whole()
    measured: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    answer: str | None = _text(null=True)
    answered_us: int | None = _whole(null=True)
    comes_us: int | None = _whole(null=True)
    closed_us: int | None = _whole(null=True)


class ConsentRow(_People, table=True):
    """What a person said to one purpose."""

    __tablename__ = "consent"
    __table_args__ = (_STRICT,)
    account_id: int = _account(key=True)
    purpose: str = _key()
    given: int = _whole()
    since_us: int = _whole()


class WithdrawalRow(_People, table=True):
    """A home that no longer agrees to a purpose: what was kept for it until then goes, also after a restore."""

    __tablename__ = "withdrawal"
    __table_args__ = (_STRICT,)
    home: str = _key()
    purpose: str = _key()
    at_us: int = _whole()


class PublishedRow(_People, table=True):
    """What a published group of homes used in a month, as it was first published: it never changes by one home."""

    __tablename__ = "published"
    __table_args__ = (_STRICT,)
    homes: str = _key()  # the group's name
    month: int = Field(sa_column=Column(Whole, primary_key=True, autoincrement=False))  # as 202609
    quantity: str = _key()
    amount: float = _double()  # of all of them
    surface_m2: float = _double()  # of those that were measured
    members: int = _whole()  # that were measured


class ErasureRow(_People, table=True):
    """A home whose data up to an instant are to be deleted from the site's database, also after a restore."""

    __tablename__ = "erasure"
    __table_args__ = (_STRICT,)
    id: int | None = _number()
    home: str = _text()
    at_us: int = _whole()


class PseudonymRow(_People, table=True):
    """Who stands in the audit under which random name."""

    __tablename__ = "pseudonym"
    __table_args__ = (Index("pseudonym_by_name", "name", unique=True), _STRICT)
    pseudonym: str = _key()
    name: str = _text()


class TrailRow(_People, table=True):
    """Somebody did something. Only ever added to, and chained: `digest` covers this line and the one before."""

    __tablename__ = "trail"
    __table_args__ = (Index("trail_by_about", "about", "id"), _STRICT)
    id: int | None = _number()
    at_us: int = _whole()
    actor: str = _text()
    role: str = _text()
    what: str = _text()
    about: str | None = _text(null=True)
    detail: str = _text()
    digest: bytes = Field(sa_column=Column(LargeBinary, nullable=False))


class SecretRow(_People, table=True):
    """A random value made once for this site."""

    __tablename__ = "secret"
    __table_args__ = (_STRICT,)
    name: str = Field(sa_column=Column(Text, primary_key=True))
    value: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
