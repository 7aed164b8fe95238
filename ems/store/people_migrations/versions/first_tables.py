"""The first tables: accounts, their codes and sessions, and who looked at what."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.sqlite import INTEGER

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

# Frozen here: a step must make the same tables for ever, whatever ems.store.people_tables becomes.
WHOLE = sa.BigInteger().with_variant(INTEGER(), "sqlite")


def whole(name: str, *constraints: sa.ForeignKey) -> sa.Column[int]:
    return sa.Column(name, WHOLE, *constraints, nullable=False)


def account() -> sa.Column[int]:
    return whole("account_id", sa.ForeignKey("account.id", ondelete="CASCADE"))


def upgrade() -> None:
    op.create_table(
        "account",
        sa.Column("id", WHOLE, primary_key=True),
        sa.Column("name", sa.Text, nullable=False, unique=True),
        sa.Column("role", sa.Text, nullable=False),
        sa.Column("home", sa.Text, nullable=True),
        whole("created_us"),
        sqlite_strict=True,
    )
    op.create_table(
        "code",
        sa.Column("digest", sa.LargeBinary, primary_key=True),
        account(),
        whole("until_us"),
        sqlite_strict=True,
    )
    op.create_table(
        "session",
        sa.Column("digest", sa.LargeBinary, primary_key=True),
        account(),
        whole("since_us"),
        whole("seen_us"),
        whole("until_us"),
        sqlite_strict=True,
    )
    op.create_index("session_by_account", "session", ["account_id", "seen_us"])
    op.create_table(
        "audit",
        sa.Column("id", WHOLE, primary_key=True),
        whole("at_us"),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("role", sa.Text, nullable=False),
        sa.Column("what", sa.Text, nullable=False),
        sa.Column("home", sa.Text, nullable=True),
        sqlite_strict=True,
    )
    op.create_index("audit_by_home", "audit", ["home", "id"])
    op.create_table(
        "secret",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("value", sa.LargeBinary, nullable=False),
        sqlite_strict=True,
    )
