"""``millrace migrate``: bring both stores to this release's schema."""

from __future__ import annotations

from contextlib import closing

from clickhouse.migrate import migrate as migrate_usage_store
from migrations.apply import current_revision, upgrade
from runtime.settings import load_settings
from runtime.wiring import open_usage_store


def migrate() -> None:
    """Bring Postgres and ClickHouse to this release's schema; safe to repeat, and by several at once."""
    settings = load_settings()
    upgrade(settings.postgres_url)
    print(f"Postgres is at {current_revision(settings.postgres_url)}")
    with closing(open_usage_store(settings)) as store:
        migrate_usage_store(store)
    print("ClickHouse is at this release's tables and views")
