"""Where the log ends, to the message: what a consumer meets when it gets there, because brokers may understate it."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import uuid4

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient

from core.clock import Clock
from core.errors import Transient
from runtime.topic import describe

ANSWER_S = 5.0
LIMIT_S = 15.0
POLL_S = 0.25


@dataclass(frozen=True, slots=True)
class Ends:
    """Which log it is, and for each partition the offset after its last message."""

    topic_id: str
    after: dict[int, int]


def read_ends(kafka: str, admin: AdminClient, topic: str, clock: Clock) -> Ends:
    """Read the log's ends; raises ``Transient`` when the broker does not answer.

    The embedded broker answers with the first offset of the last batch and one, however many messages that holds.
    So the last batch is read, and the end is where there is nothing more to read.
    """
    partitions, topic_id = describe(admin, topic)
    consumer = Consumer(
        {
            "bootstrap.servers": kafka,
            "group.id": f"millrace-ends-{uuid4().hex}",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "socket.timeout.ms": int(ANSWER_S * 1000),
            "log_level": 2,
        }
    )
    try:
        consumer.assign([last_batch(consumer, topic, partition) for partition in range(partitions)])
        return Ends(topic_id, follow(consumer, partitions, clock))
    except KafkaException as error:
        raise Transient(f"the broker did not tell the log's ends: {error}") from error
    finally:
        consumer.close()


def last_batch(consumer: Consumer, topic: str, partition: int) -> TopicPartition:
    """Where to begin reading so as to come to the end soon."""
    low, high = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=ANSWER_S, cached=False)
    return TopicPartition(topic, partition, max(low, high - 1))


def follow(consumer: Consumer, partitions: int, clock: Clock) -> dict[int, int]:
    """Read until every partition has nothing more; raises ``Transient`` when that takes too long."""
    ends: dict[int, int] = {}
    give_up_s = clock.steady_s() + LIMIT_S
    while len(ends) < partitions:
        message = consumer.poll(POLL_S)
        error = message.error() if message is not None else None
        if message is not None and error is not None:
            if error.code() != KafkaError._PARTITION_EOF:
                raise Transient(f"the log could not be read to its end: {error.str()}")
            partition, offset = message.partition(), message.offset()
            assert partition is not None and offset is not None, "the end of a partition has a place"
            ends[partition] = offset
        if clock.steady_s() > give_up_s:
            raise Transient(f"only {len(ends)} of {partitions} partitions could be read to their end in {LIMIT_S:g} s")
    return ends
