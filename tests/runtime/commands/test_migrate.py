"""The command ``millrace migrate``."""

from __future__ import annotations

import typer
from sqlalchemy import Engine
from typer.testing import CliRunner

from clickhouse.client import UsageStore
from clickhouse.migrate import rollback, status
from migrations.apply import current_revision, downgrade, latest_revision
from runtime.commands.migrate import migrate


def test_both_stores_are_brought_up_to_date(books: Engine, usage_store: UsageStore, stores_env: None) -> None:
    """From nothing to this release's schema, and a second time without harm."""
    downgrade(books, "base")
    rollback(usage_store, 0)
    app = typer.Typer()
    app.command()(migrate)

    for _ in range(2):
        printed = CliRunner().invoke(app, catch_exceptions=False).stdout

        assert printed.startswith(f"Postgres is at {latest_revision()}\n")
        assert current_revision(books) == latest_revision()
        assert status(usage_store)["applied"].all()
