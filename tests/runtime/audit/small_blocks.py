"""A topic of many small blocks: each message of a real log is sealed by itself, as on a quiet line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from time import sleep

from confluent_kafka import Producer
from sqlalchemy import Engine, insert

from catalog.tables import meters
from clickhouse.client import UsageStore
from core.clock import SystemClock
from core.db import transaction
from ingest.codec import encode_envelope
from runtime.audit.log import LogReader
from runtime.audit.run import AuditParts
from runtime.topic import open_admin
from streams.catalog_cache import CatalogCache
from streams.claim import Claims, LogSeen
from streams.decode import Message, Readable
from streams.incarnation import number_incarnation
from streams.ledger_postgres import PostgresLedger
from streams.retry import Retry, RetryPolicy
from streams.sink import Parts
from streams.store import ClickHouseStore
from tests.streams.builders import Said, minutes
from tests.streams.line import PARTITIONS, declare_catalog
from tests.streams.stories import Told, message_of


@dataclass(frozen=True, slots=True)
class Topic:
    """A fresh topic and the stores of its events."""

    kafka: str
    name: str
    books: Engine
    store: UsageStore

    @property
    def parts(self) -> AuditParts:
        """The same as the auditor sees it."""
        clock = SystemClock()
        reader = LogReader(self.kafka, open_admin(self.kafka), self.name, clock)
        return AuditParts(self.books, self.store, reader, self.name, clock)


def copied(partition: int, number: int) -> list[Said]:
    """Three events of which one repeats the last of the message before: a copy only if that one's keys are known."""
    ids = range(2 * number, 2 * number + 3)
    return [
        Said(f"{partition}-{n}", {"tokens": str(n), "user": f"u{n % 7}"}, at=minutes(n // 20), source="s") for n in ids
    ]


def tell(topic: Topic, stories: Sequence[Sequence[Told]]) -> AuditParts:
    """Write a story to each partition of the log, and seal every message of it as a block of its own."""
    declare_catalog(topic.books)
    declare_distinct(topic.books)
    parts = topic.parts
    messages = [[message_of(told, offset) for offset, told in enumerate(story)] for story in stories]
    write(topic, messages)
    with transaction(topic.books) as connection:
        incarnation = number_incarnation(connection, topic.name, parts.log.look().topic_id, PARTITIONS)
    retry = Retry(RetryPolicy(), parts.clock, sleep)
    stream = Parts(PostgresLedger(topic.books), ClickHouseStore(topic.store), CatalogCache(topic.books), retry)
    claims = Claims(stream, LogSeen(topic.name, incarnation), owner="w", clock=parts.clock)
    for number, story in enumerate(messages):
        partition = claims.claim(number)
        for message in story:
            assert partition.advance([message]).count == 1
    return parts


def write(topic: Topic, messages: Sequence[Sequence[Message]]) -> None:
    """Put messages into the log, partition by partition, in order."""
    log = Producer({"bootstrap.servers": topic.kafka, "acks": "all", "enable.idempotence": True})
    for partition, story in enumerate(messages):
        for message in story:
            assert isinstance(message, Readable)
            value, headers = encode_envelope(message.envelope)
            log.produce(topic.name, value, partition=partition, headers=[*headers])
    assert log.flush(20) == 0


def declare_distinct(books: Engine) -> None:
    """A meter of distinct values, so that all three tables have rows."""
    with transaction(books) as connection:
        connection.execute(
            insert(meters).values(
                meter_id="mtr_2",
                meter_version=1,
                merchant_id="mer_a",
                code="users",
                name="Users",
                event_type="call",
                aggregation="unique",
                value_property="user",
                group_by=[],
                filters=[],
                from_version=1,
            )
        )
