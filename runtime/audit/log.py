"""The log, read by a consumer that belongs to no group and commits nothing: a second pair of eyes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from confluent_kafka import Consumer, KafkaException, TopicPartition
from confluent_kafka import Message as KafkaMessage
from confluent_kafka.admin import AdminClient, OffsetSpec  # type: ignore[attr-defined]

from core.clock import Clock
from core.errors import Transient
from ingest.codec import Headers
from runtime.read_to_end import read_ends
from streams.decode import Message, read_message

ANSWER_S = 5.0
MESSAGES_AT_ONCE = 500
SILENCE_S_MAX = 15.0


@dataclass(frozen=True, slots=True)
class LogSeen:
    """Which log answers, and for each partition the first offset that it still holds and the one after the last."""

    topic_id: str
    first: dict[int, int]
    end: dict[int, int]


@dataclass(frozen=True, slots=True)
class LogReader:
    """Looks at a topic and reads ranges of it."""

    kafka: str
    admin: AdminClient
    topic: str
    clock: Clock

    def look(self) -> LogSeen:
        """Where the log begins and ends now; raises ``Transient`` when the broker does not answer."""
        ends = read_ends(self.kafka, self.admin, self.topic, self.clock)
        return LogSeen(ends.topic_id, self._first(list(ends.after)), ends.after)

    def _first(self, partitions: list[int]) -> dict[int, int]:
        earliest = OffsetSpec.earliest()  # type: ignore[no-untyped-call]
        asked = {TopicPartition(self.topic, partition): earliest for partition in partitions}
        try:
            answers = self.admin.list_offsets(asked, request_timeout=ANSWER_S)
            return {place.partition: int(found.result(2 * ANSWER_S).offset) for place, found in answers.items()}
        except (KafkaException, TimeoutError) as error:
            raise Transient(f"the broker did not tell the log's offsets: {error}") from error

    def read(self, partition: int, first: int, last: int) -> Iterator[Message]:
        """The messages at offsets ``first`` to ``last``, in order; offsets that the log lacks are left out.

        Raises ``Transient`` when the broker stays silent.
        """
        return self.read_ranges(partition, [(first, last)])

    def read_ranges(self, partition: int, ranges: Sequence[tuple[int, int]]) -> Iterator[Message]:
        """The same for several ranges of offsets, one after the other, by one consumer."""
        consumer = Consumer(
            {
                "bootstrap.servers": self.kafka,
                "group.id": f"millrace-audit-{uuid4().hex}",
                "enable.auto.commit": False,
                "enable.auto.offset.store": False,
                "auto.offset.reset": "error",
                "enable.partition.eof": False,
                "log_level": 2,
            }
        )
        try:
            for first, last in ranges:
                consumer.assign([TopicPartition(self.topic, partition, first)])
                yield from self._read(consumer, first, last)
        except KafkaException as error:
            raise Transient(f"partition {partition} could not be read: {error}") from error
        finally:
            consumer.close()

    def _read(self, consumer: Consumer, next_offset: int, last: int) -> Iterator[Message]:
        heard_s = self.clock.steady_s()
        while next_offset <= last:
            # No more than there are: the client waits for all that it is asked for.
            batch = consumer.consume(min(MESSAGES_AT_ONCE, last - next_offset + 1), timeout=0.5)
            if batch:
                heard_s = self.clock.steady_s()
            for message in batch:
                if message.error() is not None:
                    raise KafkaException(message.error())
                offset = message.offset() or 0
                if offset <= last:
                    yield read_message(offset, message.value(), headers_of(message))
                next_offset = offset + 1
            if self.clock.steady_s() - heard_s > SILENCE_S_MAX:
                raise Transient(f"the log went silent before offset {last}")


def headers_of(message: KafkaMessage) -> Headers:
    """A message's headers as pairs of name and bytes."""
    headers: Any = message.headers() or []
    return [(name, value or b"") for name, value in headers]
