"""Brings a usage store's tables and views to a version, forward or backward."""

from __future__ import annotations

import importlib
import pkgutil
from dataclasses import dataclass

import polars as pl

from clickhouse import migrations
from clickhouse.client import UsageStore

# ClickHouse has no lock to take, so every statement must be harmless when two processes run it at once:
# CREATE … IF NOT EXISTS, CREATE OR REPLACE VIEW, DROP … IF EXISTS.
_LEDGER = """
    CREATE TABLE IF NOT EXISTS schema_migrations
    (
        number UInt32,
        name String,
        applied Bool,
        changed_at DateTime64(9, 'UTC') DEFAULT now64(9, 'UTC')
    )
    ENGINE = MergeTree
    ORDER BY (number, changed_at)
"""
_NOTE = """
    INSERT INTO schema_migrations (number, name, applied)
    SELECT {number:UInt32}, {name:String}, {applied:Bool}
"""
_APPLIED = """
    SELECT number FROM schema_migrations
    GROUP BY number HAVING argMax(applied, changed_at)
    ORDER BY number
"""


@dataclass(frozen=True, slots=True)
class Migration:
    """One numbered change. ``blocking`` ones rewrite stored rows: stop the worker while they run."""

    number: int
    name: str
    forward: tuple[str, ...]
    backward: tuple[str, ...]
    blocking: bool


def load_migrations() -> list[Migration]:
    """All migrations of this release, in order; asserts that their numbers are 1, 2, 3…"""
    names = sorted(module.name for module in pkgutil.iter_modules(migrations.__path__))
    loaded = [load_migration(name) for name in names]
    assert [migration.number for migration in loaded] == list(range(1, len(loaded) + 1)), names
    return loaded


def load_migration(name: str) -> Migration:
    """Read one migration's module."""
    module = importlib.import_module(f"{migrations.__name__}.{name}")
    number = int(name.split("_", 1)[0])
    return Migration(number, name, tuple(module.FORWARD), tuple(module.BACKWARD), bool(module.BLOCKING))


def migrate(store: UsageStore, target: int | None = None) -> list[str]:
    """Create the database if it is missing and apply what is missing up to ``target`` (default: everything).

    Returns the names applied. Running it again, or twice at once, changes nothing more. Raises ``Transient`` and
    ``UsageStoreError`` as the store does; what was applied before stays applied.
    """
    store.create_database()
    store.command(_LEDGER)
    applied = applied_numbers(store)
    wanted = [m for m in load_migrations() if m.number not in applied and (target is None or m.number <= target)]
    for migration in wanted:
        run(store, migration, migration.forward, applied=True)
    return [migration.name for migration in wanted]


def rollback(store: UsageStore, target: int) -> list[str]:
    """Undo every migration above ``target`` (0 undoes all), newest first, with the rows that they held."""
    applied = applied_numbers(store)
    undone = [m for m in reversed(load_migrations()) if m.number in applied and m.number > target]
    for migration in undone:
        run(store, migration, migration.backward, applied=False)
    return [migration.name for migration in undone]


def status(store: UsageStore) -> pl.DataFrame:
    """Every migration of this release: its number, name, and whether it is applied and blocking."""
    applied = applied_numbers(store)
    return pl.DataFrame(
        [
            {"number": m.number, "name": m.name, "applied": m.number in applied, "blocking": m.blocking}
            for m in load_migrations()
        ]
    )


def applied_numbers(store: UsageStore) -> set[int]:
    """The numbers of the migrations that are in force."""
    return set(store.query_frame(_APPLIED)["number"].to_list())


def run(store: UsageStore, migration: Migration, statements: tuple[str, ...], *, applied: bool) -> None:
    """Run one direction of a migration, then note it: a crash in between runs it again, which is harmless."""
    for statement in statements:
        store.command(statement)
    store.command(_NOTE, {"number": migration.number, "name": migration.name, "applied": applied})
