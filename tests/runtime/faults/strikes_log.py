"""Strikes at the broker: rows 6 to 8, and messages that come again: row 18."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from random import Random

from confluent_kafka import OFFSET_BEGINNING, Producer, TopicPartition

from runtime.wiring import open_usage_store
from tests.checker.stores import log_bounds, open_consumer
from tests.runtime.faults.field import LEASE_S, Field
from tests.runtime.faults.stack_process import wait_until
from tests.runtime.kafka.small_disk import limit_files

ENDS_WITHIN_S = 60.0
TABLES = ("usage_events", "usage_windows", "usage_uniques")
TOKENS_KEPT = 10_000
WINDOW = "ALTER TABLE {table} MODIFY SETTING non_replicated_deduplication_window = {kept}"


def kill_broker(field: Field, _chance: Random, _number: int) -> None:
    """SIGKILL. The embedded broker comes back empty, Apache Kafka with its log."""
    field.same_log = field.log == "apache"
    field.stack.end("kafka", within_s=90)


def freeze_broker(field: Field, _chance: Random, _number: int) -> None:
    """SIGSTOP for longer than a session."""
    broker = field.stack.running("kafka")
    os.kill(broker, signal.SIGSTOP)
    time.sleep(LEASE_S[field.log] * 1.5)
    os.kill(broker, signal.SIGCONT)


def fill_broker(field: Field, _chance: Random, _number: int) -> None:
    """Kafka's files may not grow: it ends, and the next process may write again."""
    before = field.stack.running("kafka")
    limit_files(field.stack)
    wait_until(lambda: field.stack.running("kafka", 90) != before, ENDS_WITHIN_S, lambda: "the broker wrote on")


@contextmanager
def tokens_forgotten(field: Field) -> Iterator[str]:
    """ClickHouse remembers one insert a table: what comes again from long ago has no token to be stopped by."""
    for table in TABLES:
        command(field, WINDOW.format(table=table, kept=1))
    yield field.settings.gateway_url
    for table in TABLES:
        command(field, WINDOW.format(table=table, kept=TOKENS_KEPT))


def command(field: Field, statement: str) -> None:
    """A statement without an answer."""
    store = open_usage_store(field.settings)
    store.command(statement)
    store.close()


def send_again(field: Field, _chance: Random, _number: int) -> None:
    """Write everything that the log holds to the log once more, byte by byte."""
    settings = field.settings
    # The embedded broker tells the end of its log by the first message of the last batch: so each has one.
    alone = {"linger.ms": 0, "batch.num.messages": 1}
    producer = Producer({"bootstrap.servers": settings.kafka, "acks": "all", "enable.idempotence": True, **alone})
    sent = 0
    with open_consumer(settings) as consumer:
        for partition in range(settings.partitions):
            first, end = log_bounds(consumer, settings.topic, partition)
            consumer.assign([TopicPartition(settings.topic, partition, OFFSET_BEGINNING)])
            left = end - first
            while left > 0:
                for message in consumer.consume(min(500, left), timeout=5):
                    assert message.error() is None, message.error()
                    headers = message.headers() or []
                    producer.produce(settings.topic, message.value(), partition=partition, headers=[*headers])
                    producer.poll(0)
                    left, sent = left - 1, sent + 1
    assert producer.flush(30) == 0
    assert sent > 0
