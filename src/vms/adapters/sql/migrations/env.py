"""Run by Alembic: migrates over the connection that `open_database` passes, or the URL of alembic's own command."""

from __future__ import annotations

from alembic import context
from sqlalchemy import Connection, create_engine

from vms.adapters.sql.schema import metadata


def migrate(connection: Connection) -> None:
    """Runs the migrations asked for. SQLite alters tables by copying them (batch)."""
    context.configure(connection=connection, target_metadata=metadata, render_as_batch=True)
    with context.begin_transaction():
        context.run_migrations()


given = context.config.attributes.get("connection")
if given is not None:
    migrate(given)
else:
    with create_engine(context.config.get_main_option("sqlalchemy.url") or "").begin() as opened:
        migrate(opened)
