"""The first tables: readings with roll-ups, latest values, decisions, and the run journal."""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.sqlite import INTEGER, REAL

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

# Frozen here: a step must make the same tables for ever, whatever ems.store.tables becomes.
DOUBLE = sa.Float(53).with_variant(REAL(), "sqlite")
WHOLE = sa.BigInteger().with_variant(INTEGER(), "sqlite")


def key(name: str, *constraints: sa.ForeignKey) -> sa.Column[int]:
    return sa.Column(name, WHOLE, *constraints, primary_key=True, autoincrement=False)


def point() -> sa.Column[int]:
    return key("point_id", sa.ForeignKey("point.id"))


def whole(name: str, *, null: bool = False) -> sa.Column[int]:
    return sa.Column(name, WHOLE, nullable=null)


def double(name: str, *, null: bool = False) -> sa.Column[float]:
    return sa.Column(name, DOUBLE, nullable=null)


def text(name: str, *, unique: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.Text, nullable=False, unique=unique)


def blob(name: str) -> sa.Column[bytes]:
    return sa.Column(name, sa.LargeBinary, nullable=False)


def narrow(name: str, *columns: sa.Column[Any]) -> None:
    op.create_table(name, *columns, sqlite_strict=True, sqlite_with_rowid=False)


def plain(name: str, *columns: sa.Column[Any]) -> None:
    op.create_table(name, *columns, sqlite_strict=True)


def upgrade() -> None:
    plain("point", sa.Column("id", WHOLE, primary_key=True), text("name", unique=True))
    narrow("reading", point(), key("at"), double("value", null=True), whole("quality"))
    narrow("reading_conflict", point(), key("at"), double("value"), whole("quality"), whole("times"))
    sums = ("total", "lowest", "highest")
    narrow("hourly", point(), key("hour"), whole("n"), *(double(s, null=True) for s in sums))
    narrow("daily", point(), key("day"), whole("n"), whole("n_expected"), *(double(s, null=True) for s in sums))
    plain("civil_day", key("day"), whole("begins"), whole("ends"), whole("n_expected"))
    narrow("latest", point(), double("value", null=True), whole("quality"), whole("at_us"))
    narrow("setpoint_change", point(), key("at"), double("value", null=True))
    plain("decision", key("slot"), blob("record"))
    plain(
        "run",
        key("slot"),
        text("state"),
        whole("attempt"),
        whole("fence"),
        whole("started_us"),
        whole("finished_us", null=True),
        text("error"),
    )
    plain("step", key("slot"), sa.Column("name", sa.Text, primary_key=True), blob("payload"), whole("crc"))
    plain(
        "command",
        sa.Column("number", WHOLE, primary_key=True),
        text("key", unique=True),
        sa.Column("point_id", WHOLE, sa.ForeignKey("point.id"), nullable=False),
        double("value", null=True),
        double("previous", null=True),
        whole("priority"),
        whole("expires_us"),
        text("reason"),
        whole("fence"),
        text("state"),
        double("read_back", null=True),
        text("detail"),
    )
    op.create_index("command_by_state", "command", ["state", "point_id"])
    op.create_index("command_by_point", "command", ["point_id", "number"])
    plain("leadership", key("id"), text("owner"), whole("fence"), whole("expires_us"))
    narrow("override", point(), double("value"), text("by"), text("reason"), whole("until_us"))
