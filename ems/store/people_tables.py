"""The tables of the people's database: who may sign in, who has, and who looked at what.

Times are UTC epoch microseconds. Nothing that opens a door is stored as such: codes and session tokens only as digests.
"""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, Index, LargeBinary, MetaData, Text
from sqlmodel import Field, SQLModel

from ems.store.tables import Whole

metadata = MetaData()
_STRICT = {"sqlite_strict": True}


class _People(SQLModel):
    """Kept apart from the tables of the site: another database, another writer."""

    metadata = metadata


class AccountRow(_People, table=True):
    """A manager, or the resident of one home."""

    __tablename__ = "account"
    __table_args__ = (_STRICT,)
    id: int | None = Field(default=None, sa_column=Column(Whole, primary_key=True))
    name: str = Field(sa_column=Column(Text, nullable=False, unique=True))
    role: str = Field(sa_column=Column(Text, nullable=False))
    home: str | None = Field(default=None, sa_column=Column(Text))  # building/flat; of residents only
    created_us: int = Field(sa_column=Column(Whole, nullable=False))


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


class AuditRow(_People, table=True):
    """Somebody signed in, or a manager looked at a home. Only ever added to; it outlives the account."""

    __tablename__ = "audit"
    __table_args__ = (Index("audit_by_home", "home", "id"), _STRICT)
    id: int | None = Field(default=None, sa_column=Column(Whole, primary_key=True))
    at_us: int = Field(sa_column=Column(Whole, nullable=False))
    name: str = Field(sa_column=Column(Text, nullable=False))
    role: str = Field(sa_column=Column(Text, nullable=False))
    what: str = Field(sa_column=Column(Text, nullable=False))
    home: str | None = Field(default=None, sa_column=Column(Text))


class SecretRow(_People, table=True):
    """A random value made once for this site."""

    __tablename__ = "secret"
    __table_args__ = (_STRICT,)
    name: str = Field(sa_column=Column(Text, primary_key=True))
    value: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
