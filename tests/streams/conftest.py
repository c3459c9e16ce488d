"""Ledgers and stores, in memory and real, under one name each: what one promises, all must keep."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from sqlalchemy import Engine, select

from clickhouse.client import UsageStore
from core.clock import ManualClock
from core.db import transaction
from streams.ledger import Ledger
from streams.ledger_memory import MemoryLedger
from streams.ledger_postgres import PostgresLedger
from streams.store import BlockStore, ClickHouseStore
from streams.store_memory import MemoryStore
from streams.tables import dead_letters


@pytest.fixture(params=["memory", "postgres"])
def ledger(request: pytest.FixtureRequest) -> Ledger:
    """An empty ledger."""
    if request.param == "memory":
        return MemoryLedger(request.getfixturevalue("clock"), lambda: 0)
    return PostgresLedger(request.getfixturevalue("books"))


@pytest.fixture
def letters_kept(request: pytest.FixtureRequest, ledger: Ledger) -> Callable[[], list[tuple[int, int, str]]]:
    """Reads the ledger's dead letters: offset, position and code."""

    def kept() -> list[tuple[int, int, str]]:
        if isinstance(ledger, MemoryLedger):
            return [(letter.kafka_offset, letter.position, letter.code) for letter in ledger.dead_letters]
        engine: Engine = request.getfixturevalue("books")
        with transaction(engine) as connection:
            rows = connection.execute(select(dead_letters)).all()
        return [(row.kafka_offset, row.position, row.code) for row in rows]

    return kept


@pytest.fixture(params=["memory", "clickhouse"])
def store(request: pytest.FixtureRequest) -> BlockStore:
    """An empty block store."""
    return MemoryStore() if request.param == "memory" else ClickHouseStore(request.getfixturevalue("usage_store"))


@pytest.fixture
def rows_kept(request: pytest.FixtureRequest, store: BlockStore) -> Callable[[str], int]:
    """Counts the rows of a table of the store."""

    def kept(table: str) -> int:
        if isinstance(store, MemoryStore):
            return int(store.tables[table].num_rows)
        usage: UsageStore = request.getfixturevalue("usage_store")
        return int(usage.query_frame(f"SELECT count() AS n FROM {table}")["n"][0])

    return kept


@pytest.fixture
def memory(clock: ManualClock) -> tuple[MemoryLedger, MemoryStore]:
    """A ledger and a store of this process alone."""
    return MemoryLedger(clock, lambda: 1), MemoryStore()
