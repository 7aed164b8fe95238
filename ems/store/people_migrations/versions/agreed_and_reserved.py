"""What homes no longer agree to, what is reserved, and what was published of groups of homes."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.sqlite import INTEGER, REAL

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

# Frozen here: a step must make the same tables for ever, whatever ems.store.people_tables becomes.
WHOLE = sa.BigInteger().with_variant(INTEGER(), "sqlite")
DOUBLE = sa.Float(53).with_variant(REAL(), "sqlite")


def whole(name: str) -> sa.Column[int]:
    return sa.Column(name, WHOLE, nullable=False)


def double(name: str) -> sa.Column[float]:
    return sa.Column(name, DOUBLE, nullable=False)


def key(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text, primary_key=True)


def upgrade() -> None:
    op.create_table(
        "reservation",
        sa.Column("id", WHOLE, primary_key=True),
        sa.Column("asset", sa.Text, nullable=False),
        sa.Column("account_id", WHOLE, sa.ForeignKey("account.id", ondelete="CASCADE"), nullable=False),
        double("km"), double("needed_kwh"), whole("begins_us"), whole("ends_us"), whole("made_us"),
        sqlite_strict=True,
    )  # fmt: skip
    op.create_index("reservation_by_asset", "reservation", ["asset", "begins_us"])
    op.create_table("withdrawal", key("home"), key("purpose"), whole("at_us"), sqlite_strict=True)
    op.create_table(
        "published",
        key("homes"), sa.Column("month", WHOLE, primary_key=True, autoincrement=False), key("quantity"),
        double("amount"), double("surface_m2"), whole("members"),
        sqlite_strict=True,
    )  # fmt: skip
