"""Run by Alembic: takes the steps on the connection it was handed, inside the caller's transaction."""

from alembic import context

from api.stores.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
with context.begin_transaction():
    context.run_migrations()
