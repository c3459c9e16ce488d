"""Alembic runs this file: hand it the caller's connection and let the caller's transaction stand."""

from __future__ import annotations

from alembic import context

from core.db import metadata


def run() -> None:
    """Run the revisions on the connection given; their commit is the caller's."""
    context.configure(
        connection=context.config.attributes["connection"],
        # Holds the tables of the packages imported so far: empty for a plain upgrade, which does not need it.
        target_metadata=metadata,
        compare_type=True,
        transaction_per_migration=False,
    )
    with context.begin_transaction():
        context.run_migrations()


run()
