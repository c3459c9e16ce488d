"""Two merchants with meters and prices, events of every fate stored by the stream's own code, and the API over them."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import uuid4

import httpx
import pytest
import uvicorn
from sqlalchemy import Engine

from api.app import build_app
from api.config import ApiParts
from api.freshness import LogEnds
from catalog.document import read_catalog
from catalog.keys import create_key, find_key
from clickhouse.client import UsageStore
from core.clock import SystemClock
from core.db import transaction
from ingest.authorize import Identity
from runtime.commands.apply import write_catalog
from runtime.commands.gateway import server_config
from runtime.embedded.ports import free_port
from streams.catalog_cache import CatalogCache
from streams.claim import LogSeen, claim_partition
from streams.decode import Message, Readable
from streams.ledger_postgres import PostgresLedger
from streams.partition import Claimed, Partition
from streams.retry import Retry, RetryPolicy
from streams.sink import Parts
from streams.store import ClickHouseStore
from tests.streams.builders import Said, envelope

TOPIC = "test.usage-events"
CATALOG = b"""
merchant: {code: acme, name: Acme}
meters:
  - {code: calls, event_type: call, aggregation: count}
  - {code: tokens, event_type: call, aggregation: sum, value: tokens, group_by: [model]}
  - {code: users, event_type: call, aggregation: unique, value: user}
  - {code: eu_only, event_type: eu.call, aggregation: count, filters: [{property: region, op: eq, values: [eu]}]}
plans:
  - code: payg
    name: Pay as you go
    currency: USD
    prices:
      - {meter: calls, model: per_unit, unit_price: "0.01"}
      - {meter: tokens, model: per_unit, unit_price: "0.5"}
customers:
  - {key: c-1, name: First, zone: UTC, currency: USD}
  - {key: c-2, name: Second, zone: UTC, currency: USD}
subscriptions:
  - {customer: c-1, plan: payg, start: 2023-01-01}
---
merchant: {code: other, name: Other}
meters:
  - {code: calls, event_type: call, aggregation: count}
customers:
  - {key: c-1, name: Theirs, zone: UTC, currency: EUR}
"""


@dataclass
class Stream:
    """The stream's own code on real stores, one partition, fed without a broker."""

    parts: Parts
    claimed: Claimed
    next_offset: int = 0

    def __call__(self, *groups: Sequence[Said]) -> None:
        """Seal one block with an envelope for each group."""
        messages: list[Message] = []
        for group in groups:
            messages.append(Readable(self.next_offset, envelope(group, self.next_offset + 1, PRODUCER)))
            self.next_offset += 1
        partition = Partition(self.parts, self.claimed)
        assert partition.advance(messages).count == len(messages)
        self.claimed = partition.claimed


PRODUCER = uuid4()


@pytest.fixture
def merchants(books: Engine, usage_store: UsageStore) -> dict[str, str]:
    """The ids of two merchants, by code."""
    write_catalog(books, usage_store, read_catalog(CATALOG))
    with transaction(books) as connection:
        rows = connection.exec_driver_sql("SELECT code, merchant_id FROM merchants").all()
    return {row[0]: row[1] for row in rows}


@pytest.fixture
def stream(books: Engine, usage_store: UsageStore, merchants: dict[str, str]) -> Stream:
    """A claimed partition, ready for events."""
    clock = SystemClock()
    ledger = PostgresLedger(books)
    retry = Retry(RetryPolicy(give_up_s=1), clock, lambda _wait_s: None)
    parts = Parts(ledger, ClickHouseStore(usage_store), CatalogCache(books), retry)
    incarnation = ledger.register(TOPIC, "log-1", 1)
    claimed = claim_partition(parts, LogSeen(TOPIC, incarnation), 0, owner="test", now=datetime.now(UTC))
    return Stream(parts, claimed)


@pytest.fixture
def log_ends() -> list[LogEnds | None]:
    """What the log says of itself: the last one in the list."""
    return [None]


@pytest.fixture
def parts(books: Engine, usage_store: UsageStore, log_ends: list[LogEnds | None]) -> ApiParts:
    """What the API is given."""

    def find(key: str) -> Identity | None:
        with transaction(books) as connection:
            owner = find_key(connection, key)
        return None if owner is None else Identity(owner.merchant_id, owner.scope)

    return ApiParts(books, usage_store, TOPIC, SystemClock(), find, lambda: log_ends[-1])


@contextmanager
def serving(parts: ApiParts) -> Iterator[httpx.Client]:
    """A real server on a free port, as `millrace api` runs it, and a client of it."""
    port = free_port()
    server = uvicorn.Server(server_config(build_app(parts), "127.0.0.1", port))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive(), "the server did not start"
        time.sleep(0.01)
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
        yield client
    server.should_exit = True
    thread.join(10)


@pytest.fixture
def api(parts: ApiParts) -> Iterator[httpx.Client]:
    """The API without a key."""
    with serving(parts) as client:
        yield client


@pytest.fixture
def keys(books: Engine, merchants: dict[str, str]) -> dict[str, dict[str, str]]:
    """Headers with each merchant's key, by code."""
    with transaction(books) as connection:
        return {code: {"Authorization": f"Bearer {create_key(connection, code).key}"} for code in merchants}
