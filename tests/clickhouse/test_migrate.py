"""Every migration, forward and backward, against the declared rows."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import polars as pl

from clickhouse.client import UsageStore, open_usage_store
from clickhouse.migrate import load_migrations, migrate, rollback, status
from clickhouse.schema import CUSTOMERS, INSTANT, TABLES
from core.frames import Schema
from tests.clickhouse.builders import event, events_frame

KINDS = {
    "String": pl.String(),
    "LowCardinality(String)": pl.String(),
    "DateTime64(6, 'UTC')": INSTANT,
    "DateTime('UTC')": INSTANT,
    "Map(String, String)": pl.Map(pl.String(), pl.String()),
    "FixedString(16)": pl.Binary(),
    "UInt8": pl.UInt8(),
    "UInt16": pl.UInt16(),
    "UInt32": pl.UInt32(),
    "UInt64": pl.UInt64(),
    "Decimal(38, 12)": pl.Decimal(38, 12),
}


def objects(store: UsageStore) -> set[str]:
    """Names of all tables and views of the store."""
    return set(store.query_frame("SELECT name FROM system.tables WHERE database = currentDatabase()")["name"])


def columns(store: UsageStore, table: str) -> Schema:
    """A table's columns that have no default, in the types of frames."""
    found = store.query_frame(
        "SELECT name, type FROM system.columns WHERE database = currentDatabase() AND table = {table:String} "
        "AND default_kind = '' ORDER BY position",
        {"table": table},
    )
    return {name: pl.String() if kind.startswith("Enum8") else KINDS[kind] for name, kind in found.rows()}


def test_the_tables_are_what_the_code_declares(usage_store: UsageStore) -> None:
    """Names, order and types of every column, for every table that rows are handed to."""
    for table, declared in TABLES.items():
        assert columns(usage_store, table) == declared, table
        assert list(columns(usage_store, table)) == list(declared), table


def test_tables_that_take_tokens_remember_them(usage_store: UsageStore) -> None:
    """Without the setting a repeated block would double its rows."""
    created = usage_store.query_frame(
        "SELECT name, create_table_query AS sql FROM system.tables WHERE database = currentDatabase()"
    )
    remembering = {name for name, sql in created.rows() if "non_replicated_deduplication_window = 10000" in sql}

    assert remembering == set(TABLES) - {"customers"}
    assert "version" in CUSTOMERS, "customers need no token: equal rows merge by version"


def test_each_migration_can_be_undone_and_done_again(usage_store: UsageStore) -> None:
    """Step by step down to nothing and up again, with the same tables and views at each step."""
    migrations = load_migrations()
    whole = objects(usage_store)
    seen = {len(migrations): whole}
    for migration in reversed(migrations):
        assert rollback(usage_store, migration.number - 1) == [migration.name]
        seen[migration.number - 1] = objects(usage_store)

    assert seen[0] == {"schema_migrations"}
    for migration in migrations:
        assert migrate(usage_store, migration.number) == [migration.name]
        assert objects(usage_store) == seen[migration.number]
    assert objects(usage_store) == whole


def test_running_it_again_changes_nothing(usage_store: UsageStore) -> None:
    """Everything is applied once; the status says so."""
    assert migrate(usage_store) == []
    assert rollback(usage_store, 99) == []
    assert status(usage_store)["applied"].all()


def test_two_processes_may_migrate_at_once(usage_store: UsageStore, clickhouse_url: str) -> None:
    """Neither fails, and the result is the same as of one."""
    whole = objects(usage_store)
    rollback(usage_store, 0)
    stores = [open_usage_store(clickhouse_url) for _ in range(2)]

    with ThreadPoolExecutor(2) as threads:
        list(threads.map(migrate, stores))

    assert objects(usage_store) == whole
    assert status(usage_store)["applied"].all()
    for store in stores:
        store.close()


def test_a_missing_database_is_created(usage_store: UsageStore, clickhouse_url: str) -> None:
    """Starting from a bare server works."""
    usage_store.drop_database()

    assert migrate(usage_store) == [migration.name for migration in load_migrations()]


def test_stored_properties_outlive_a_change_of_their_type(usage_store: UsageStore) -> None:
    """Rows written before read the same afterwards, there and back, in the table and in the view."""
    rollback(usage_store, 7)
    said = {"model": "größer", "": ""}
    rows = events_frame([event("before", properties=[{"key": name, "value": text} for name, text in said.items()])])
    usage_store.insert_frame("usage_events", rows, token="before")

    for target in (None, 7, None):
        rollback(usage_store, 7) if target else migrate(usage_store)
        for name in ("usage_events", "usage_counted"):
            found = usage_store.query_frame(f"SELECT event_id, properties FROM {name}")
            assert found.rows() == [("before", said)], name

    usage_store.insert_frame("usage_events", rows, token="before")
    assert usage_store.query_frame("SELECT event_id FROM usage_events").height == 1, "its token is still known"


def test_views_show_properties_in_the_type_of_their_table(usage_store: UsageStore) -> None:
    """A view that was made for another type would convert every row that it reads."""
    found = usage_store.query_frame(
        "SELECT DISTINCT type FROM system.columns WHERE database = currentDatabase() AND name = 'properties'"
    )

    assert found["type"].to_list() == ["Map(String, String)"]
