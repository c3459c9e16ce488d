"""The driver on a real broker, with a real ledger and ClickHouse: killed between any two steps, it stores once."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import get_args
from uuid import UUID, uuid4

import pytest
from confluent_kafka import Producer
from sqlalchemy import Engine, func, insert, select, update

from catalog.tables import catalog_version, customers, merchants, meters
from clickhouse.client import UsageStore
from core.clock import SystemClock
from core.db import transaction
from ingest.codec import encode_envelope
from ingest.event import Envelope
from runtime.embedded.broker import broker_part
from runtime.embedded.endpoints import Endpoints
from runtime.embedded.ports import EmbeddedPorts
from runtime.topic import open_admin, wait_for_topic
from streams.driver import EXIT_LOG_CHANGED, EXIT_STOPPED
from streams.sink import Moment
from streams.tables import stream_blocks, stream_partitions
from tests.streams.builders import Said, batch
from tests.streams.worker_process import KILL, NEVER, RAISE, start

PARTITIONS = 4
WITHIN_S = 60.0
MOMENTS: tuple[Moment, ...] = get_args(Moment)

pytestmark = pytest.mark.timeout(240)


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


def test_a_worker_stores_what_is_in_the_log_and_leaves_at_sigterm(line: Line) -> None:
    """From the start of a new topic; it exits with 0 within seconds."""
    line.produce(range(400), uuid4())
    worker = line.worker()
    wait_until(line, lambda: line.sealed() == 400)

    worker.send_signal(signal.SIGTERM)

    assert worker.wait(timeout=8) == 0
    assert line.stored() == (400, 400, "200")


def test_a_worker_killed_between_any_two_steps_stores_once(line: Line) -> None:
    """One worker after the other dies at another moment; the last one finishes what they began."""
    producer = uuid4()
    line.produce(range(400), producer)
    for place, moment in enumerate(MOMENTS):
        worker = line.worker(moment, count=1 if moment == "after_ack" else 2)
        line.produce(range(400 + 100 * place, 500 + 100 * place), producer, first_sequence=100 * (place + 1))
        # A copy of everything so far under new sequences: a client's repeat.
        line.produce(range(0, 400, 7), producer, first_sequence=1000 + 100 * place)
        assert worker.wait(timeout=WITHIN_S) == -signal.SIGKILL, line.log.read_text()[-6000:]

    line.worker()
    repeats = len(MOMENTS) * len(range(0, 400, 7))
    wait_until(line, lambda: line.sealed() == 1000 + repeats)

    assert line.stored() == (1000, 1000, "500")
    assert line.sealed("duplicates") == repeats


@pytest.mark.parametrize("moment", ["after_intent", "after_seal"])
def test_an_error_that_nobody_thought_of_ends_the_process_and_loses_nothing(line: Line, moment: Moment) -> None:
    """Faust would acknowledge what an exception passes; the worker exits instead, and the next one stores once."""
    line.produce(range(400), uuid4())

    assert line.worker(moment, how=RAISE).wait(timeout=WITHIN_S) == EXIT_STOPPED

    line.worker()
    wait_until(line, lambda: line.sealed() == 400)
    assert line.stored() == (400, 400, "200")


def test_a_frozen_worker_wakes_up_and_finds_itself_replaced(line: Line) -> None:
    """A zombie writes nothing more: it exits or starts over, and the log goes in once."""
    producer = uuid4()
    frozen = line.worker()
    line.produce(range(400), producer)
    wait_until(line, lambda: line.sealed() == 400)
    frozen.send_signal(signal.SIGSTOP)
    line.produce(range(400, 800), producer, first_sequence=100)
    line.worker()
    wait_until(line, lambda: line.sealed() == 800)

    frozen.send_signal(signal.SIGCONT)
    line.produce(range(800, 1200), producer, first_sequence=200)
    wait_until(line, lambda: line.sealed() == 1200)

    assert line.stored() == (1200, 1200, "600")


def test_two_workers_share_the_partitions_and_survive_each_other(line: Line) -> None:
    """A second worker joins, the first one is killed, and the log goes in once."""
    producer = uuid4()
    first = line.worker()
    line.produce(range(400), producer)
    wait_until(line, lambda: line.sealed() == 400)
    second = line.worker()
    wait_until(line, lambda: len(owners(line)) == 2)
    line.produce(range(400, 800), producer, first_sequence=100)
    wait_until(line, lambda: line.sealed() == 800)
    first.kill()
    line.produce(range(800, 1200), producer, first_sequence=200)
    wait_until(line, lambda: line.sealed() == 1200)

    assert second.poll() is None
    assert line.stored() == (1200, 1200, "600")


def owners(line: Line) -> set[str]:
    """Who holds partitions."""
    with transaction(line.books) as connection:
        return set(connection.execute(select(stream_partitions.c.owner)).scalars())


@pytest.mark.parametrize("moment", [NEVER, "after_events"])
def test_a_broker_that_comes_back_empty_loses_nothing(line: Line, tmp_path: Path, moment: str) -> None:
    """The worker leaves by itself; a fresh one takes the new log in, and knows what was sealed in the old one."""
    port = EmbeddedPorts.free().kafka
    line.kafka = f"127.0.0.1:{port}"
    line.env |= {"MILLRACE_KAFKA": line.kafka, "MILLRACE_JOURNAL_DIR": str(tmp_path / "journal")}
    producer = uuid4()
    broker = own_broker(line, tmp_path, port)
    worker = line.worker(moment, count=3)
    line.produce(range(400), producer)
    if moment == NEVER:
        wait_until(line, lambda: line.sealed() == 400)
    else:
        assert worker.wait(timeout=WITHIN_S) == -signal.SIGKILL
    broker.kill()
    broker.wait()
    own_broker(line, tmp_path, port)

    if moment == NEVER:
        assert worker.wait(timeout=30) == EXIT_LOG_CHANGED
    # The journal brings what was not sealed for certain, and the gateway goes on.
    line.produce(range(400), producer)
    line.produce(range(400, 800), producer, first_sequence=100)
    line.worker()
    wait_until(line, lambda: line.sealed() == 800)

    assert line.stored() == (800, 800, "400")
    assert line.sealed("duplicates") == 0


def answers(probe: Callable[[], bool]) -> bool:
    """Whether a part answers; one that is still starting refuses the connection."""
    try:
        return probe()
    except OSError:
        return False


def own_broker(line: Line, home: Path, port: int) -> subprocess.Popen[bytes]:
    """A broker of this test alone, with the topic made."""
    part = broker_part(home, port)
    broker = subprocess.Popen(part.argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    line.running.callback(broker.wait)
    line.running.callback(broker.kill)
    wait_until(line, lambda: answers(part.ready))
    wait_for_topic(open_admin(line.kafka), line.topic, PARTITIONS, SystemClock())
    return broker
