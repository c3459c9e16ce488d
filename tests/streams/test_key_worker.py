"""The real worker with enough keys for files: copies after a month, and files that were tampered with."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from confluent_kafka import Producer
from sqlalchemy import Engine, text

from clickhouse.client import UsageStore
from core.db import transaction
from ingest.codec import encode_envelope
from ingest.event import Envelope
from runtime.embedded.endpoints import Endpoints
from streams.key_files import MEMORY_KEYS
from tests.streams.builders import Said, batch
from tests.streams.line import Line, declare_catalog, wait_until

EVENTS = MEMORY_KEYS + 8_000
AT_ONCE = 4_000

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def env(endpoints: Endpoints, topic: str, postgres_url: str, clickhouse_url: str, tmp_path: Path) -> dict[str, str]:
    """What a worker is told."""
    return {
        "MILLRACE_CLICKHOUSE_URL": clickhouse_url,
        "MILLRACE_POSTGRES_URL": postgres_url,
        "MILLRACE_HOME": str(tmp_path),
        "MILLRACE_KAFKA": endpoints.kafka,
        "MILLRACE_TOPIC": topic,
    }


@pytest.fixture
def line(env: dict[str, str], books: Engine, usage_store: UsageStore, tmp_path: Path) -> Iterator[Line]:
    """A line with an empty log."""
    declare_catalog(books)
    with ExitStack() as running:
        log = tmp_path / "worker.log"
        yield Line(env["MILLRACE_KAFKA"], env["MILLRACE_TOPIC"], books, usage_store, env, log, running)


def produce(line: Line, numbers: range, producer: UUID) -> None:
    """All into one partition, so that it has more keys than fit its memory."""
    log = Producer({"bootstrap.servers": line.kafka, "acks": "all", "enable.idempotence": True})
    for sequence, start in enumerate(range(0, len(numbers), AT_ONCE), start=1):
        events = batch([Said(str(number), {"tokens": "1"}) for number in numbers[start : start + AT_ONCE]])
        value, headers = encode_envelope(Envelope(producer, sequence, events))
        log.produce(line.topic, value, partition=0, headers=[*headers])
        log.poll(0)
    assert log.flush(60) == 0


def let_days_pass(line: Line, days: int) -> None:
    """Everything stored so far becomes so much older, in the ledger and in ClickHouse."""
    with transaction(line.books) as connection:
        connection.execute(
            text("UPDATE stream_blocks SET intended_at = intended_at - :d * interval '1 day'"), {"d": days}
        )
    line.usage.command(
        "ALTER TABLE usage_events UPDATE stored_at = stored_at - toIntervalDay({days:UInt16}) WHERE 1 "
        "SETTINGS mutations_sync = 2",
        {"days": days},
    )


def segments(line: Line) -> list[Path]:
    """The worker's key files of the partition."""
    return sorted((Path(line.env["MILLRACE_HOME"]) / "dedupe" / line.topic / "0").glob("*.keys"))


def stop(worker: subprocess.Popen[bytes]) -> None:
    """Let a worker finish what it has in hand."""
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(timeout=20) == 0


def test_copies_a_month_later_are_found_whatever_became_of_the_files(line: Line) -> None:
    """In files written by the worker, in files made anew from ClickHouse, and after a file was damaged."""
    first = line.worker()
    produce(line, range(EVENTS), uuid4())
    wait_until(line, lambda: line.sealed() == EVENTS, within_s=120)
    stop(first)
    # The ledger now tells of another time than the files: they are no longer believed, and made anew.
    let_days_pass(line, 30)
    sample = range(0, EVENTS, 97)
    for place in range(1, 4):
        worker = line.worker()
        produce(line, sample, uuid4())
        wait_until(line, lambda place=place: line.sealed("duplicates") == place * len(sample), within_s=120)  # type: ignore[misc]
        stop(worker)
        assert segments(line)
        if place == 2:
            damaged = bytearray(segments(line)[0].read_bytes())
            damaged[len(damaged) // 2] ^= 16
            segments(line)[0].write_bytes(damaged)

    assert "is damaged" in line.log.read_text()
    assert line.stored() == (EVENTS, EVENTS, str(EVENTS))


def test_copies_after_the_horizon_are_new(line: Line) -> None:
    """Thirty-five days are promised; a sender who repeats after that is believed to mean it."""
    first = line.worker()
    produce(line, range(1000), uuid4())
    wait_until(line, lambda: line.sealed() == 1000)
    stop(first)
    let_days_pass(line, 36)

    line.worker()
    produce(line, range(10), uuid4())
    wait_until(line, lambda: line.sealed() == 1010)

    assert line.sealed("stored") == 1010
