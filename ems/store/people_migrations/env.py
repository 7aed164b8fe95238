"""Runs the steps on the connection that `Database.migrate` hands over, inside its transaction."""

from alembic import context

from ems.store.people_tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    transactional_ddl=True,  # SQLite too: we begin the transaction ourselves
)
context.run_migrations()
