"""What people ask for (wishes, holds, tickets, consents), passwords, tokens, and an audit in a chain."""

import secrets
from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.sqlite import INTEGER, REAL

from ems.store.trail import FIRST, digest

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

# Frozen here: a step must make the same tables for ever, whatever ems.store.people_tables becomes.
WHOLE = sa.BigInteger().with_variant(INTEGER(), "sqlite")
DOUBLE = sa.Float(53).with_variant(REAL(), "sqlite")


def whole(name: str, *, null: bool = False) -> sa.Column[int]:
    return sa.Column(name, WHOLE, nullable=null)


def number(name: str) -> sa.Column[int]:
    return sa.Column(name, WHOLE, primary_key=True)


def double(name: str) -> sa.Column[float]:
    return sa.Column(name, DOUBLE, nullable=False)


def text(name: str, *, null: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.Text, nullable=null)


def key(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text, primary_key=True)


def account() -> sa.Column[int]:
    return sa.Column("account_id", WHOLE, sa.ForeignKey("account.id", ondelete="CASCADE"), nullable=False)


def table(name: str, *columns: sa.Column[Any]) -> None:
    op.create_table(name, *columns, sqlite_strict=True)


def upgrade() -> None:
    for column in (text("password", null=True), whole("until_us", null=True), text("part", null=True)):
        op.add_column("account", column)
    table(
        "token",
        sa.Column("digest", sa.LargeBinary, primary_key=True),
        account(), text("label"), text("scope"), whole("since_us"), whole("until_us"),
    )  # fmt: skip
    table("comfort_wish", key("home"), double("offset_k"), whole("shift"), whole("since_us"))
    table("heat_now", key("home"), whole("until_us"))
    table(
        "departure",
        key("asset"), account(), double("km"), double("needed_kwh"), double("taken_kwh"), whole("at_once"),
        whole("made_us"), whole("departs_us"),
    )  # fmt: skip
    table("hold", key("point"), double("value"), text("by"), text("reason"), whole("since_us"), whole("until_us"))
    table("maintenance", key("asset"), text("by"), text("reason"), whole("since_us"))
    table(
        "ticket",
        number("id"), text("home"), text("kind"), text("words"), whole("opened_us"),
        sa.Column("measured", sa.LargeBinary, nullable=False), text("answer", null=True),
        whole("answered_us", null=True), whole("comes_us", null=True), whole("closed_us", null=True),
    )  # fmt: skip
    op.create_index("ticket_by_home", "ticket", ["home", "id"])
    op.create_table(
        "consent",
        sa.Column("account_id", WHOLE, sa.ForeignKey("account.id", ondelete="CASCADE"), primary_key=True),
        key("purpose"), whole("given"), whole("since_us"),
        sqlite_strict=True,
    )  # fmt: skip
    table("erasure", number("id"), text("home"), whole("at_us"))
    _chain_audit()


def _chain_audit() -> None:
    """The audit so far, under pseudonyms and chained."""
    table("pseudonym", key("pseudonym"), text("name"))
    op.create_index("pseudonym_by_name", "pseudonym", ["name"], unique=True)
    table(
        "trail",
        number("id"), whole("at_us"), text("actor"), text("role"), text("what"), text("about", null=True),
        text("detail"), sa.Column("digest", sa.LargeBinary, nullable=False),
    )  # fmt: skip
    op.create_index("trail_by_about", "trail", ["about", "id"])
    connection = op.get_bind()
    rows = connection.execute(sa.text("SELECT id, at_us, name, role, what, home FROM audit ORDER BY id")).all()
    known = {name: secrets.token_hex(16) for row in rows for name in (row[2], row[5]) if name is not None}
    before = FIRST
    for name, pseudonym in known.items():
        connection.execute(
            sa.text("INSERT INTO pseudonym (pseudonym, name) VALUES (:pseudonym, :name)"),
            {"pseudonym": pseudonym, "name": name},
        )
    for row_id, at_us, name, role, what, home in rows:
        about = None if home is None else known[home]
        before = digest(before, (row_id, at_us, known[name], role, what, about, ""))
        connection.execute(
            sa.text(
                "INSERT INTO trail (id, at_us, actor, role, what, about, detail, digest)"
                " VALUES (:id, :at_us, :actor, :role, :what, :about, '', :digest)"
            ),
            {"id": row_id, "at_us": at_us, "actor": known[name], "role": role, "what": what, "about": about,
             "digest": before},
        )  # fmt: skip
    op.drop_table("audit")
