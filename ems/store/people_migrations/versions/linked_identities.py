"""Staff linked to the sign-in of their organisation."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.sqlite import INTEGER

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

# Frozen here: a step must make the same tables for ever, whatever ems.store.people_tables becomes.
WHOLE = sa.BigInteger().with_variant(INTEGER(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "identity",
        sa.Column("issuer", sa.Text, primary_key=True),
        sa.Column("subject", sa.Text, primary_key=True),
        sa.Column("account_id", WHOLE, sa.ForeignKey("account.id", ondelete="CASCADE"), nullable=False),
        sa.Column("since_us", WHOLE, nullable=False),
        sqlite_strict=True,
    )
