"""Ledgers and stores, in memory and real, under one name each: what one promises, all must keep."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from decimal import localcontext
from pathlib import Path

import pytest
from sqlalchemy import Engine, select

from clickhouse.client import UsageStore
from core.clock import ManualClock
from core.db import transaction
from runtime.embedded.endpoints import Endpoints
from streams.ledger import Ledger
from streams.ledger_memory import MemoryLedger
from streams.ledger_postgres import PostgresLedger
from streams.store import BlockStore, ClickHouseStore
from streams.store_memory import MemoryStore
from streams.tables import dead_letters
from tests.streams.line import Line, Stores, declare_catalog


@pytest.fixture(autouse=True)
def exact_decimals() -> Iterator[None]:
    """Plain Python adds with 28 digits unless told otherwise; quantities have up to 38."""
    with localcontext(prec=76):
        yield


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


@pytest.fixture
def stores(books: Engine, usage_store: UsageStore, postgres_url: str, clickhouse_url: str) -> Stores:
    """Books with one meter and one customer, and an empty usage store."""
    declare_catalog(books)
    return Stores(
        books, usage_store, {"MILLRACE_CLICKHOUSE_URL": clickhouse_url, "MILLRACE_POSTGRES_URL": postgres_url}
    )


@pytest.fixture
def line(endpoints: Endpoints, topic: str, stores: Stores, tmp_path: Path) -> Iterator[Line]:
    """A line with an empty log."""
    env = stores.env | {
        "MILLRACE_HOME": str(tmp_path),
        "MILLRACE_KAFKA": endpoints.kafka,
        "MILLRACE_TOPIC": topic,
    }
    if "MILLRACE_KAFKA" not in os.environ:
        env["MILLRACE_JOURNAL_DIR"] = str(tmp_path / "journal")
    with ExitStack() as running:
        yield Line(endpoints.kafka, topic, stores.books, stores.usage, env, tmp_path / "worker.log", running)
