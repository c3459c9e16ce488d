"""The stores as anybody may read them: SQL to Postgres, SQL over HTTP to ClickHouse, bytes from Kafka.

Nothing of the product stands between: a mistake in its readers must not hide from the checker.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, LiteralString
from urllib.parse import unquote, urlsplit
from uuid import uuid4

import httpx
import numpy as np
import numpy.typing as npt
import orjson
import psycopg
import pyarrow as pa
from confluent_kafka import Consumer, KafkaError, Message, TopicPartition

from runtime.settings import Settings

Ints = npt.NDArray[np.int64]
END_POLLS_MAX = 40
# How a packed message begins (decision 0024); the number of its events follows, in four bytes.
PACKED = b"MRE2"


@dataclass(frozen=True)
class Stores:
    """Open connections, and the addresses of the doors."""

    books: psycopg.Connection[tuple[Any, ...]]
    clickhouse: httpx.Client
    doors: httpx.Client
    settings: Settings

    def sql(self, statement: LiteralString, **bound: object) -> list[tuple[Any, ...]]:
        """Rows from Postgres."""
        return self.books.execute(statement, bound).fetchall()

    def usage(self, statement: str, **bound: object) -> list[list[Any]]:
        """Rows from ClickHouse; decimals and 64-bit numbers come as text."""
        body = self._ask(statement + " FORMAT JSONCompactEachRow", bound)
        return [orjson.loads(line) for line in body.splitlines()]

    def usage_pairs(self, statement: str, **bound: object) -> tuple[Ints, Ints]:
        """Two columns of Int64 from ClickHouse, without a Python object for each."""
        body = self._ask(statement + " FORMAT RowBinary", bound)
        pairs = np.frombuffer(body, dtype="<i8").reshape(-1, 2)
        return pairs[:, 0].astype(np.int64), pairs[:, 1].astype(np.int64)

    def _ask(self, statement: str, bound: Mapping[str, object]) -> bytes:
        parameters = {f"param_{name}": str(value) for name, value in bound.items()}
        settings = {"output_format_json_quote_decimals": "1", "output_format_json_quote_64bit_integers": "1"}
        answer = self.clickhouse.post("/", params={**parameters, **settings}, content=statement)
        assert answer.status_code == 200, answer.text
        return answer.content


@contextmanager
def open_stores(settings: Settings) -> Iterator[Stores]:
    """Connect to all that the settings name."""
    parts = urlsplit(settings.clickhouse_url)
    address = f"{parts.scheme}://{parts.hostname}:{parts.port or 8123}"
    login = (unquote(parts.username or "default"), unquote(parts.password or ""))
    database = {"database": parts.path.strip("/")}
    with (
        psycopg.connect(settings.postgres_url, autocommit=True) as books,
        httpx.Client(base_url=address, auth=login, params=database, timeout=300) as clickhouse,
        httpx.Client(base_url=settings.api_url, timeout=60) as doors,
    ):
        yield Stores(books, clickhouse, doors, settings)


@contextmanager
def open_consumer(settings: Settings, group: str | None = None) -> Iterator[Consumer]:
    """A consumer that commits nothing; with a ``group`` it can be asked what that group has committed."""
    consumer = Consumer(
        {
            "bootstrap.servers": settings.kafka,
            "group.id": group or f"checker-{uuid4().hex}",
            "enable.auto.commit": False,
            "auto.offset.reset": "error",
            "enable.partition.eof": True,
            "log_level": 2,
        }
    )
    try:
        yield consumer
    finally:
        consumer.close()


def log_bounds(consumer: Consumer, topic: str, partition: int) -> tuple[int, int]:
    """The first offset that a partition holds, and the one after the last.

    The embedded broker tells the last batch's first offset and one, so the end is where nothing more can be read.
    """
    bounds = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=10)
    assert bounds is not None, "the broker did not answer"
    first, told = int(bounds[0]), int(bounds[1])
    if told <= first:
        return first, told
    consumer.assign([TopicPartition(topic, partition, told - 1)])
    for _ in range(END_POLLS_MAX):
        message = consumer.poll(0.5)
        if message is not None and at_end(message):
            consumer.unassign()
            return first, int(message.offset() or 0)
    raise AssertionError(f"partition {partition} could not be read to its end")


def at_end(message: Message) -> bool:
    """Whether the consumer says that there is nothing more, rather than handing a message over."""
    error = message.error()
    assert error is None or error.code() == KafkaError._PARTITION_EOF, error
    return error is not None


def events_in_log(consumer: Consumer, topic: str, partition: int, first: int, end: int) -> dict[int, int]:
    """For each offset from ``first`` to before ``end`` how many events its message holds."""
    counts: dict[int, int] = {}
    if first >= end:
        return counts
    consumer.assign([TopicPartition(topic, partition, first)])
    silent = 0
    while len(counts) < end - first and silent < 30:
        batch = consumer.consume(min(500, end - first - len(counts)), timeout=0.5)
        silent = 0 if batch else silent + 1
        for message in batch:
            if at_end(message):
                continue
            offset, value = message.offset(), message.value()
            assert offset is not None, "a message has a place"
            assert value is not None, "a message has a value"
            counts[offset] = events_in_message(value)
    consumer.unassign()
    return counts


def events_in_message(value: bytes) -> int:
    """How many events a message holds: a packed one says it behind its mark, others are Arrow streams."""
    if value.startswith(PACKED):
        return int.from_bytes(value[len(PACKED) : len(PACKED) + 4], "little")
    with pa.ipc.open_stream(value) as reader:
        return sum(found.num_rows for found in reader)
