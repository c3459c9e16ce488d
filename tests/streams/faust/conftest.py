"""A line on which workers go wrong, and what the group of workers has committed to the log."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from confluent_kafka import Consumer, TopicPartition
from sqlalchemy import select

from core.db import transaction
from streams.tables import stream_partitions
from tests.streams.faust.faulty_worker import Fault
from tests.streams.line import PARTITIONS, Line, wait_until
from tests.streams.worker_process import ROOT


def committed(kafka: str, group: str, topic: str, partitions: int) -> dict[int, int]:
    """For each partition the offset that a group has committed, 0 if none."""
    consumer = Consumer({"bootstrap.servers": kafka, "group.id": group, "enable.auto.commit": False, "log_level": 2})
    try:
        found = consumer.committed([TopicPartition(topic, number) for number in range(partitions)], timeout=10)
        return {place.partition: max(0, place.offset) for place in found}
    finally:
        consumer.close()


@dataclass
class Faulty:
    """Starts workers that go wrong when told to, and knows what they said."""

    line: Line
    folder: Path
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def worker(self, fault: Fault, *, armed: bool = False) -> subprocess.Popen[bytes]:
        """Start a worker with this fault; it is gone when the test ends."""
        self.arm() if armed else self.disarm()
        (self.folder / "said").unlink(missing_ok=True)
        command = [sys.executable, "-m", "tests.streams.faust.faulty_worker", fault, str(self.folder)]
        with self.line.log.open("ab") as out:
            process = subprocess.Popen(command, cwd=ROOT, env={**os.environ, **self.line.env}, stdout=out, stderr=out)
        self.line.running.callback(process.wait)
        self.line.running.callback(process.kill)
        self.workers.append(process)
        return process

    def arm(self) -> None:
        """Let the fault begin."""
        (self.folder / "armed").touch()

    def disarm(self) -> None:
        """Let the fault end."""
        (self.folder / "armed").unlink(missing_ok=True)

    def said(self, word: str) -> int:
        """How often the last worker has said a word."""
        try:
            return (self.folder / "said").read_text().split().count(word)
        except FileNotFoundError:
            return 0

    def wait_for(self, holds: Callable[[], bool]) -> None:
        """Wait for something to become true."""
        wait_until(self.line, holds)

    def hear(self, word: str, more: int = 1) -> None:
        """Wait until the last worker has said a word so many more times."""
        heard = self.said(word)
        self.wait_for(lambda: self.said(word) >= heard + more)

    def committed(self) -> dict[int, int]:
        """What the workers' group has committed."""
        return committed(self.line.kafka, f"{self.line.topic}.streams", self.line.topic, PARTITIONS)

    def sealed_ends(self) -> dict[int, int]:
        """For each partition the first offset that is not sealed."""
        with transaction(self.line.books) as connection:
            places = connection.execute(select(stream_partitions.c.partition, stream_partitions.c.next_offset))
            return {place.partition: place.next_offset for place in places}

    def beyond_seal(self) -> dict[int, int]:
        """The partitions that are committed beyond what is sealed, asked for first: what is sealed only grows."""
        offsets = self.committed()
        sealed = self.sealed_ends()
        return {partition: offset for partition, offset in offsets.items() if offset > sealed.get(partition, 0)}

    def log_tail(self) -> str:
        """The end of the workers' log."""
        return self.line.log.read_text()[-6000:]


@pytest.fixture
def faulty(line: Line, tmp_path: Path) -> Faulty:
    """A line for workers that go wrong."""
    folder = tmp_path / "faults"
    folder.mkdir()
    return Faulty(line, folder)
