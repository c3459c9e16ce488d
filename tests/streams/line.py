"""One topic with its stores and the workers on it, for tests that run real workers."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from confluent_kafka import Producer
from sqlalchemy import Engine, func, insert, select, update

from catalog.tables import catalog_version, customers, merchants, meters
from clickhouse.client import UsageStore
from core.clock import SystemClock
from core.db import transaction
from ingest.codec import encode_envelope
from ingest.event import Envelope
from streams.sink import Moment
from streams.tables import stream_blocks
from tests.streams.builders import Said, batch
from tests.streams.worker_process import KILL, NEVER, start

PARTITIONS = 4
WITHIN_S = 60.0


@dataclass
class Line:
    """One topic with its stores and the workers on it."""

    kafka: str
    topic: str
    books: Engine
    usage: UsageStore
    env: dict[str, str]
    log: Path
    running: ExitStack

    def worker(self, moment: Moment | str = NEVER, count: int = 1, how: str = KILL) -> subprocess.Popen[bytes]:
        """Start a worker; it is gone when the test ends."""
        process = start(self.env, self.log, moment, count, how)
        self.running.callback(process.wait)
        self.running.callback(process.kill)
        return process

    def produce(self, numbers: Sequence[int], producer: UUID, first_sequence: int = 1) -> None:
        """Write events as ten envelopes a partition, as the gateway does; each event lies in its key's partition."""
        log = Producer({"bootstrap.servers": self.kafka, "acks": "all", "enable.idempotence": True})
        for partition in range(PARTITIONS):
            mine = [number for number in numbers if number % PARTITIONS == partition]
            size = max(1, len(mine) // 10)
            for place, at in enumerate(range(0, len(mine), size)):
                events = batch([Said(str(number), {"tokens": "0.5"}) for number in mine[at : at + size]])
                value, headers = encode_envelope(Envelope(producer, first_sequence + place, events))
                log.produce(self.topic, value, partition=partition, headers=[*headers])
        assert log.flush(20) == 0

    def sealed(self, column: str = "received") -> int:
        """The sum of one count over all sealed blocks."""
        total = func.coalesce(func.sum(stream_blocks.c[column]), 0)
        with transaction(self.books) as connection:
            return int(connection.execute(select(total).where(stream_blocks.c.state == "sealed")).scalar_one())

    def stored(self) -> tuple[int, int, str]:
        """Rows of stored events, distinct ones among them, and the windows' sum."""
        rows = self.usage.query_frame(
            "SELECT count() AS n, uniqExact(event_id) AS ids, (SELECT toString(sum(sum)) FROM usage_windows) AS total "
            "FROM usage_events WHERE fate = 'stored'"
        ).row(0)
        return int(rows[0]), int(rows[1]), str(rows[2])


@dataclass(frozen=True)
class Stores:
    """Fresh databases and their addresses."""

    books: Engine
    usage: UsageStore
    env: dict[str, str]


def declare_catalog(books: Engine) -> None:
    """One merchant, one meter, one customer."""
    with transaction(books) as connection:
        connection.execute(update(catalog_version).values(version=1))
        connection.execute(insert(merchants).values(merchant_id="mer_a", code="a", name="A"))
        connection.execute(
            insert(meters).values(
                meter_id="mtr_1",
                meter_version=1,
                merchant_id="mer_a",
                code="tokens",
                name="Tokens",
                event_type="call",
                aggregation="sum",
                value_property="tokens",
                group_by=[],
                filters=[],
                from_version=1,
            )
        )
        connection.execute(
            insert(customers).values(
                customer_id="cus_1",
                from_version=1,
                merchant_id="mer_a",
                subject="c-1",
                name="One",
                zone="UTC",
                currency="USD",
            )
        )


def wait_until(line: Line, holds: Callable[[], bool], within_s: float = WITHIN_S) -> None:
    """Wait for something to become true; the workers' log is part of the answer if it does not."""
    clock = SystemClock()
    end_s = clock.steady_s() + within_s
    while not holds():
        assert clock.steady_s() < end_s, line.log.read_text()[-6000:]
        time.sleep(0.05)
