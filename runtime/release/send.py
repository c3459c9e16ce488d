"""Corrections and fills of our own, straight to the log: no door is needed for what was accepted before.

What is lost on the way is sent again by the next turn, because whatever asked for it still does.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from uuid import uuid4

import pyarrow as pa
from confluent_kafka import KafkaError, KafkaException, Producer
from sqlalchemy import Engine

from core.clock import Clock
from core.db import transaction
from core.errors import Transient
from core.limits import ENVELOPE_BYTES_MAX, ENVELOPE_EVENTS_MAX
from ingest.codec import encode_envelope
from ingest.columns import split_by_partition
from ingest.event import Envelope
from ingest.producer import MESSAGE_BYTES_MAX
from ingest.sealed import read_sealed

DELIVERY_MS = 20_000
FLUSH_S = 30.0
POLL_S = 0.05
SEALED_WITHIN_S = 120.0


@dataclass(frozen=True, slots=True)
class Sent:
    """A message of ours: its place among those of its producer and partition."""

    partition: int
    producer: bytes
    sequence: int


class LogSender:
    """A producer with sequences of its own, as a gateway has. Not for concurrent use."""

    def __init__(self, kafka: str, topic: str, partitions: int) -> None:
        self.topic = topic
        self.partitions = partitions
        self.producer_id = uuid4()
        self.sequences = [0] * partitions
        self.errors: list[str] = []
        self.client = Producer(
            {
                "bootstrap.servers": kafka,
                "acks": "all",
                "enable.idempotence": True,
                "compression.type": "none",
                "linger.ms": 0,
                "message.max.bytes": MESSAGE_BYTES_MAX,
                "message.timeout.ms": DELIVERY_MS,
                "log_level": 2,
            }
        )

    def send_by_key(self, batch: pa.RecordBatch) -> list[Sent]:
        """Queue rows in messages of their keys' partitions; raises ``Transient``."""
        keys = b"".join(batch.column("key").to_pylist())
        parts = split_by_partition(batch, keys, self.partitions)
        return [sent for partition, part in parts for sent in self.send(partition, part)]

    def send(self, partition: int, batch: pa.RecordBatch) -> list[Sent]:
        """Queue rows as a message of one partition, or as several where one would be too large."""
        sequence = self.sequences[partition] + 1
        value, headers = encode_envelope(Envelope(self.producer_id, sequence, batch))
        too_large = len(value) > ENVELOPE_BYTES_MAX and batch.num_rows > 1
        if too_large or batch.num_rows > ENVELOPE_EVENTS_MAX:
            half = batch.num_rows // 2
            return [*self.send(partition, batch.slice(0, half)), *self.send(partition, batch.slice(half))]
        self.sequences[partition] = sequence
        try:
            self.client.produce(self.topic, value, partition=partition, headers=[*headers], on_delivery=self.note)
        except (BufferError, KafkaException) as error:
            raise Transient(f"the log takes no message: {error}") from error
        self.client.poll(0)
        return [Sent(partition, self.producer_id.bytes, sequence)]

    def note(self, error: KafkaError | None, _message: object) -> None:
        """A delivery report."""
        if error is not None:
            self.errors.append(error.name())

    def flush(self) -> None:
        """Return once all that was sent is in the log; raises ``Transient`` when that is not known."""
        left = self.client.flush(FLUSH_S)
        errors, self.errors = self.errors, []
        if left or errors:
            raise Transient(f"the log did not confirm every message: {', '.join(errors) or 'no answer'}")

    def close(self) -> None:
        """Drop what is queued."""
        self.client.purge()
        self.client.flush(1)


def wait_until_sealed(
    books: Engine, topic: str, sent: list[Sent], clock: Clock, limit_s: float = SEALED_WITHIN_S
) -> None:
    """Return once the blocks of all these messages are sealed; raises ``Transient`` when that takes too long."""
    end_s, pause, waiting = clock.steady_s() + limit_s, threading.Event(), list(sent)
    while waiting:
        with transaction(books) as connection:
            sealed = read_sealed(connection, topic)
        waiting = [one for one in waiting if not sealed.holds(one.partition, one.producer, one.sequence)]
        if waiting and clock.steady_s() > end_s:
            raise Transient(f"{len(waiting)} messages were not stored within {limit_s:g} s: does a worker run?")
        if waiting:
            pause.wait(POLL_S)
