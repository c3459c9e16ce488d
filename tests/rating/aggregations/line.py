"""Requests through the gateway's and the stream's own code onto the real stores: everything but Kafka's transport."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import count
from uuid import UUID

from sqlalchemy import Engine, text

from clickhouse.client import UsageStore
from core.clock import Clock
from core.db import transaction
from core.ids import MerchantId
from ingest.catalog_feed import load_catalog
from ingest.codec import encode_envelope
from ingest.columns import build_batch, join_keys, split_by_partition
from ingest.decode import decode_events
from ingest.event import Envelope
from ingest.rows import Rows
from ingest.validate import Rules, judge
from ingest.verdict import Verdict
from streams.catalog_cache import CatalogCache
from streams.claim import Claims, LogSeen
from streams.decode import Message, read_message
from streams.ledger_postgres import PostgresLedger
from streams.retry import Retry, RetryPolicy
from streams.sink import Parts
from streams.store import ClickHouseStore
from tests.rating.aggregations.traffic import Request

PARTITIONS = 4
ENVELOPE_EVENTS = 4_000
BLOCK_EVENTS = 50_000
# Of so many messages one is sent once more, as by a producer that saw no answer.
REDELIVERED_EACH = 9
PRODUCER = UUID(int=1)


class Line:
    """A gateway and a worker of all partitions, hand to hand."""

    def __init__(self, books: Engine, store: UsageStore, clock: Clock) -> None:
        retry = Retry(RetryPolicy(give_up_s=1), clock, lambda _wait_s: None)
        parts = Parts(PostgresLedger(books), ClickHouseStore(store), CatalogCache(books), retry)
        claims = Claims(parts, LogSeen("usage", 1), owner="w", clock=clock, rows_max=BLOCK_EVENTS)
        self.partitions = [claims.claim(number) for number in range(PARTITIONS)]
        self.messages: list[list[Message]] = [[] for _ in range(PARTITIONS)]
        self.offsets = [count() for _ in range(PARTITIONS)]
        self.sequences = count(1)
        self.catalog = load_catalog(books, None)
        with transaction(books) as connection:
            found = connection.execute(text("SELECT code, merchant_id FROM merchants"))
            self.merchants: dict[str, MerchantId] = {row.code: row.merchant_id for row in found}
        self.waiting: list[Rows] = []
        self.refused = 0

    def send(self, request: Request) -> None:
        """What the gateway does with a request."""
        merchant_id = self.merchants[request.merchant]
        received_us = round((request.received_at - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds()) * 1_000_000
        rules = Rules(merchant_id, received_us, self.catalog.of(merchant_id), plain_ascii=True)
        verdict = Verdict()
        judge(decode_events(request.body, "document"), 0, rules, verdict)
        self.refused += len(verdict.rejections)
        self.waiting += verdict.rows
        if sum(map(len, self.waiting)) >= ENVELOPE_EVENTS:
            self.publish()

    def publish(self) -> None:
        """Coalesced events as one message a partition."""
        if not self.waiting:
            return
        for number, part in split_by_partition(build_batch(self.waiting), join_keys(self.waiting), PARTITIONS):
            sequence = next(self.sequences)
            value, headers = encode_envelope(Envelope(PRODUCER, sequence, part))
            for _ in range(1 if sequence % REDELIVERED_EACH else 2):
                self.messages[number].append(read_message(next(self.offsets[number]), value, headers))
            if sum(message.rows for message in self.messages[number]) >= BLOCK_EVENTS:
                self.work(number)
        self.waiting = []

    def work(self, number: int) -> None:
        """Blocks of all messages of a partition, onto the stores."""
        waiting = self.messages[number]
        while waiting:
            done = self.partitions[number].advance(waiting).count
            assert done, "nothing is missing"
            del waiting[:done]

    def finish(self) -> None:
        """Everything that was sent is stored and sealed."""
        self.publish()
        for number in range(PARTITIONS):
            self.work(number)
