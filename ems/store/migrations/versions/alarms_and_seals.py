"""Alarms with their life, assets out of service, and the checksums of days that are over."""

import sqlalchemy as sa
from alembic import op

from ems.store.migrations.versions.first_tables import WHOLE, key, plain, text, whole

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    plain("maintenance", sa.Column("asset", sa.Text, primary_key=True), text("by"), text("reason"), whole("until_us"))
    plain(
        "alarm",
        sa.Column("number", WHOLE, primary_key=True),
        text("kind"),
        text("subject"),
        text("detail"),
        whole("raised_us"),
        whole("last_us"),
        whole("times"),
        whole("acknowledged_us", null=True),
        text("acknowledged_by"),
        whole("shelved_until_us", null=True),
        text("shelved_by"),
        whole("notified_us", null=True),
        whole("escalated_us", null=True),
        whole("cleared_us", null=True),
    )
    open_only = sa.text("cleared_us IS NULL")
    op.create_index(
        "alarm_open",
        "alarm",
        ["kind", "subject"],
        unique=True,
        sqlite_where=open_only,
        postgresql_where=open_only,
    )
    op.create_index("alarm_by_time", "alarm", ["raised_us"])
    plain("sealed_day", key("day"), whole("n"), whole("crc"), whole("sealed_us"))
