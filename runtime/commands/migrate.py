"""``millrace migrate``: bring both stores to this release's schema."""

from __future__ import annotations

from clickhouse.migrate import migrate as migrate_usage_store
from migrations.apply import current_revision, upgrade
from runtime.settings import load_settings
from runtime.wiring import open_books, open_usage_store


def migrate() -> None:
    """Bring Postgres and ClickHouse to this release's schema; safe to repeat, and by several at once."""
    settings = load_settings()
    books = open_books(settings, pool_size=1)
    upgrade(books)
    print(f"Postgres is at {current_revision(books)}")
    store = open_usage_store(settings)
    migrate_usage_store(store)
    store.close()
    print("ClickHouse is at this release's tables and views")
