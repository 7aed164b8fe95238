"""Passkeys, and what a browser was asked to come back with."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.sqlite import INTEGER

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

# Frozen here: a step must make the same tables for ever, whatever ems.store.people_tables becomes.
WHOLE = sa.BigInteger().with_variant(INTEGER(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "passkey",
        sa.Column("credential", sa.LargeBinary, primary_key=True),
        sa.Column("account_id", WHOLE, sa.ForeignKey("account.id", ondelete="CASCADE"), nullable=False),
        sa.Column("public_key", sa.LargeBinary, nullable=False),
        sa.Column("count", WHOLE, nullable=False),
        sa.Column("label", sa.Text, nullable=False),
        sa.Column("since_us", WHOLE, nullable=False),
        sa.Column("used_us", WHOLE),
        sqlite_strict=True,
    )
    op.create_table(
        "challenge",
        sa.Column("digest", sa.LargeBinary, primary_key=True),
        sa.Column("value", sa.LargeBinary, nullable=False),
        sa.Column("until_us", WHOLE, nullable=False),
        sqlite_strict=True,
    )
