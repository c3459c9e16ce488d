"""The log as others see it: messages read back from a partition, and how fast bare consumers read the same topic."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import cast
from uuid import uuid4

from aiokafka import AIOKafkaConsumer
from aiokafka import TopicPartition as Place
from confluent_kafka import Consumer, Message, TopicPartition
from sqlalchemy import text

from benchmarks.scene import Scene
from core.clock import Clock
from core.db import transaction

PLACES = text("SELECT partition, next_offset FROM stream_partitions WHERE topic = :topic ORDER BY partition")
IDLE_S = 3.0
MESSAGES_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Read:
    """A message as a worker is handed it."""

    offset: int
    value: bytes
    headers: list[tuple[str, bytes]]


def sealed_ends(scene: Scene) -> dict[int, int]:
    """For each partition the offset after its last sealed message: the log's end, when the stack is at rest."""
    with transaction(scene.parts.books) as connection:
        rows = connection.execute(PLACES, {"topic": scene.parts.topic}).all()
    return {row.partition: row.next_offset for row in rows}


def read_back(scene: Scene, partition: int, first: int, after: int) -> list[Read]:
    """Messages ``first`` up to ``after`` of a partition; raises ``TimeoutError`` when they do not come."""
    consumer = open_consumer(scene)
    found: list[Read] = []
    try:
        consumer.assign([TopicPartition(scene.parts.topic, partition, first)])
        while len(found) < after - first:
            messages = consumer.consume(MESSAGES_AT_ONCE, timeout=IDLE_S)
            if not messages:
                raise TimeoutError(f"{len(found)} of {after - first} messages could be read back")
            found += [read_of(one) for one in messages if not one.error()]
    finally:
        consumer.close()
    return [one for one in found if first <= one.offset < after]


def read_of(message: Message) -> Read:
    """What matters of a message that came whole."""
    offset, value = message.offset(), message.value()
    assert offset is not None, "a message from the log has a place"
    assert value is not None, "no part of the line writes an empty message"
    return Read(offset, value, cast("list[tuple[str, bytes]]", message.headers() or []))


def open_consumer(scene: Scene) -> Consumer:
    """A consumer that leaves no trace."""
    return Consumer(
        {
            "bootstrap.servers": scene.stack.endpoints.kafka,
            "group.id": f"bench-{uuid4().hex}",
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "fetch.message.max.bytes": 16 * 1024 * 1024,
            "log_level": 2,
        }
    )


def read_with_confluent(scene: Scene, seconds: float) -> tuple[int, float]:
    """Messages read from the beginning, and how long it took; ends early at the log's end."""
    ends, clock = sealed_ends(scene), scene.clock
    consumer, count = open_consumer(scene), 0
    try:
        consumer.assign([TopicPartition(scene.parts.topic, partition, 0) for partition in ends])
        count = len(consumer.consume(1, timeout=IDLE_S))
        begun_s = last_s = clock.steady_s()
        while count < sum(ends.values()) and clock.steady_s() - begun_s < seconds:
            some = consumer.consume(MESSAGES_AT_ONCE, timeout=0.1)
            if some:
                count, last_s = count + len(some), clock.steady_s()
    finally:
        consumer.close()
    return count, last_s - begun_s


def read_with_aiokafka(scene: Scene, seconds: float) -> tuple[int, float]:
    """The same with aiokafka, which Faust reads through."""
    kafka = scene.stack.endpoints.kafka
    return asyncio.run(aiokafka_reads(kafka, scene.parts.topic, sealed_ends(scene), seconds, scene.clock))


async def aiokafka_reads(
    kafka: str, topic: str, ends: dict[int, int], seconds: float, clock: Clock
) -> tuple[int, float]:
    """Read until the end or until the time is up."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=kafka, enable_auto_commit=False, max_partition_fetch_bytes=16 * 1024 * 1024
    )
    await consumer.start()
    try:
        places = [Place(topic, partition) for partition in ends]
        consumer.assign(places)
        for place in places:
            consumer.seek(place, 0)
        count, begun_s = 0, clock.steady_s()
        last_s = begun_s
        while count < sum(ends.values()) and clock.steady_s() - begun_s < seconds:
            some = await consumer.getmany(timeout_ms=100, max_records=MESSAGES_AT_ONCE)
            found = sum(map(len, some.values()))
            if found:
                count, last_s = count + found, clock.steady_s()
        return count, last_s - begun_s
    finally:
        await consumer.stop()
