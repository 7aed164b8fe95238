"""Days on which a room stays shut."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.sqlite import INTEGER

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

# Frozen here: a step must make the same tables for ever, whatever ems.store.people_tables becomes.
WHOLE = sa.BigInteger().with_variant(INTEGER(), "sqlite")


def text(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text, nullable=False)


def upgrade() -> None:
    op.create_table(
        "closing",
        sa.Column("id", WHOLE, primary_key=True),
        text("asset"), text("first_day"), text("last_day"), text("reason"), text("by"),
        sa.Column("made_us", WHOLE, nullable=False),
        sqlite_strict=True,
    )  # fmt: skip
