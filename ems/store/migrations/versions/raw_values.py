"""What devices said and nobody believed: beside the latest values, and by quarter-hour."""

from alembic import op

from ems.store.migrations.versions.first_tables import double, key, narrow, point, whole

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("latest", double("raw", null=True))
    narrow("disbelieved", point(), key("at"), double("raw"), whole("quality"), whole("times"))
