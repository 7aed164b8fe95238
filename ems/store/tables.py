"""The tables of the site's database.

Readings are narrow: one row per point and quarter-hour, keyed by both, in STRICT WITHOUT ROWID tables (25 bytes a row;
the row of a plain mapped class takes 144). Times are integers: UTC epoch seconds, or microseconds where the name says
`_us`. `value` is a double on SQLite and PostgreSQL alike. A missing value is NULL, never 0.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, Column, Float, ForeignKey, Index, LargeBinary, Text, text
from sqlalchemy.dialects.sqlite import INTEGER, REAL
from sqlmodel import Field, SQLModel

# STRICT tables know INTEGER, REAL, TEXT and BLOB and nothing else.
Double = Float(53).with_variant(REAL(), "sqlite")
Whole = BigInteger().with_variant(INTEGER(), "sqlite")

_STRICT = {"sqlite_strict": True}
_NARROW = {"sqlite_strict": True, "sqlite_with_rowid": False}


def _key(*, point: bool = False) -> Any:
    foreign = [ForeignKey("point.id")] if point else []
    return Field(sa_column=Column(Whole, *foreign, primary_key=True, autoincrement=False))


def _whole(*, null: bool = False) -> Any:
    return Field(default=None if null else ..., sa_column=Column(Whole, nullable=null))


def _double(*, null: bool = False) -> Any:
    return Field(default=None if null else ..., sa_column=Column(Double, nullable=null))


def _text() -> Any:
    return Field(sa_column=Column(Text, nullable=False))


class Point(SQLModel, table=True):
    """The number behind a point's name, so that a reading needs eight bytes for it and not forty."""

    __table_args__ = (_STRICT,)
    id: int | None = Field(default=None, sa_column=Column(Whole, primary_key=True))
    name: str = Field(sa_column=Column(Text, nullable=False, unique=True))


class Reading(SQLModel, table=True):
    """One value per point and quarter-hour: a counter's value at its start, anything else its mean."""

    __table_args__ = (_NARROW,)
    point_id: int = _key(point=True)
    at: int = _key()  # start of the quarter-hour, epoch s
    value: float | None = _double(null=True)
    quality: int = _whole()


class ReadingConflict(SQLModel, table=True):
    """A second, different value for a quarter-hour that has one: the first stays, this one is kept and counted."""

    __tablename__ = "reading_conflict"
    __table_args__ = (_NARROW,)
    point_id: int = _key(point=True)
    at: int = _key()
    value: float = _double()  # the latest that disagreed
    quality: int = _whole()
    times: int = _whole()


class Hourly(SQLModel, table=True):
    """The usable readings of one UTC hour. A counter's energy is the difference of two `lowest`."""

    __table_args__ = (_NARROW,)
    point_id: int = _key(point=True)
    hour: int = _key()  # start, epoch s
    n: int = _whole()  # usable readings, 0-4
    total: float | None = _double(null=True)
    lowest: float | None = _double(null=True)
    highest: float | None = _double(null=True)


class Daily(SQLModel, table=True):
    """The usable readings of one civil day, which has 92, 96 or 100 quarter-hours."""

    __table_args__ = (_NARROW,)
    point_id: int = _key(point=True)
    day: int = _key()  # local date as 20260329
    n: int = _whole()
    n_expected: int = _whole()
    total: float | None = _double(null=True)
    lowest: float | None = _double(null=True)
    highest: float | None = _double(null=True)


class CivilDay(SQLModel, table=True):
    """When a local day begins and ends in UTC: the calendar by which hours are summed to days."""

    __tablename__ = "civil_day"
    __table_args__ = (_STRICT,)
    day: int = _key()
    begins: int = _whole()  # epoch s
    ends: int = _whole()
    n_expected: int = _whole()


class Latest(SQLModel, table=True):
    """What each point showed in the last sweep."""

    __table_args__ = (_NARROW,)
    point_id: int = _key(point=True)
    value: float | None = _double(null=True)
    quality: int = _whole()
    at_us: int = _whole()
    raw: float | None = _double(null=True)  # what the device said where that is not believed


class Disbelieved(SQLModel, table=True):
    """What a device said in a quarter-hour and nobody believed: the last such number, and how many sweeps said one."""

    __table_args__ = (_NARROW,)
    point_id: int = _key(point=True)
    at: int = _key()  # start of the quarter-hour, epoch s
    raw: float = _double()
    quality: int = _whole()
    times: int = _whole()


class SetpointChange(SQLModel, table=True):
    """A set point from the instant it changed; NULL: nobody commands it any more."""

    __tablename__ = "setpoint_change"
    __table_args__ = (_NARROW,)
    point_id: int = _key(point=True)
    at: int = _key()
    value: float | None = _double(null=True)


class Decision(SQLModel, table=True):
    """One quarter-hour's decision: JSON, deflated."""

    __table_args__ = (_STRICT,)
    slot: int = _key()
    record: bytes = Field(sa_column=Column(LargeBinary, nullable=False))


class Run(SQLModel, table=True):
    """One quarter-hour of the loop: running, done, failed or missed."""

    __table_args__ = (_STRICT,)
    slot: int = _key()
    state: str = _text()
    attempt: int = _whole()
    fence: int = _whole()
    started_us: int = _whole()
    finished_us: int | None = _whole(null=True)
    error: str = _text()


class Step(SQLModel, table=True):
    """What one step of a run came to, so that a resumed run goes on with the same result."""

    __table_args__ = (_STRICT,)
    slot: int = _key()
    name: str = Field(sa_column=Column(Text, primary_key=True))
    payload: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    crc: int = _whole()


class CommandRow(SQLModel, table=True):
    """A command from intent to outcome; its states are explained in `ems.store.journal`."""

    __tablename__ = "command"
    number: int | None = Field(default=None, sa_column=Column(Whole, primary_key=True))  # order of intents
    key: str = Field(sa_column=Column(Text, nullable=False, unique=True))
    point_id: int = Field(sa_column=Column(Whole, ForeignKey("point.id"), nullable=False))
    value: float | None = _double(null=True)
    previous: float | None = _double(null=True)
    priority: int = _whole()
    expires_us: int = _whole()
    reason: str = _text()
    fence: int = _whole()
    state: str = _text()
    read_back: float | None = _double(null=True)
    detail: str = _text()  # who holds it, why it was refused, why it could not be reached

    __table_args__ = (
        Index("command_by_state", "state", "point_id"),
        Index("command_by_point", "point_id", "number"),
        _STRICT,
    )


class Leader(SQLModel, table=True):
    """The one row that says who leads, with which fence, until when."""

    __tablename__ = "leadership"
    __table_args__ = (_STRICT,)
    id: int = _key()
    owner: str = _text()
    fence: int = _whole()
    expires_us: int = _whole()


class OverrideRow(SQLModel, table=True):
    """A person took a point over until an instant."""

    __tablename__ = "override"
    __table_args__ = (_NARROW,)
    point_id: int = _key(point=True)
    value: float = _double()
    by: str = _text()
    reason: str = _text()
    until_us: int = _whole()


class MaintenanceRow(SQLModel, table=True):
    """An asset that a person took out of service: nothing is written to it until then."""

    __tablename__ = "maintenance"
    __table_args__ = (_STRICT,)
    asset: str = Field(sa_column=Column(Text, primary_key=True))
    by: str = _text()
    reason: str = _text()
    until_us: int = _whole()


class AlarmRow(SQLModel, table=True):
    """An alarm from raised to cleared; `ems.store.alarms` explains its life."""

    __tablename__ = "alarm"
    number: int | None = Field(default=None, sa_column=Column(Whole, primary_key=True))
    kind: str = _text()
    subject: str = _text()
    detail: str = _text()
    raised_us: int = _whole()
    last_us: int = _whole()
    times: int = _whole()
    acknowledged_us: int | None = _whole(null=True)
    acknowledged_by: str = _text()
    shelved_until_us: int | None = _whole(null=True)
    shelved_by: str = _text()
    notified_us: int | None = _whole(null=True)
    escalated_us: int | None = _whole(null=True)
    cleared_us: int | None = _whole(null=True)

    __table_args__ = (
        Index(
            "alarm_open",
            "kind",
            "subject",
            unique=True,
            sqlite_where=text("cleared_us IS NULL"),
            postgresql_where=text("cleared_us IS NULL"),
        ),
        Index("alarm_by_time", "raised_us"),
        _STRICT,
    )


class SealedDay(SQLModel, table=True):
    """The checksum over all readings of a civil day that is over; `ems.store.seal` explains it."""

    __tablename__ = "sealed_day"
    __table_args__ = (_STRICT,)
    day: int = _key()  # local date as 20260329
    n: int = _whole()  # rows under the seal
    crc: int = _whole()
    sealed_us: int = _whole()


metadata = SQLModel.metadata
