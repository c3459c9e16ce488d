"""What must hold at every instant, asked of the stores in the middle of a stream."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

import httpx
import psycopg
from confluent_kafka import KafkaException, TopicPartition

from runtime.settings import Settings
from tests.checker.stores import Stores, open_consumer, open_stores

Answer = TypeVar("Answer")

TWICE = "SELECT toInt64(count()) - toInt64(uniqExact(key)) FROM usage_events WHERE fate = 'stored'"
HOLES = """
    SELECT incarnation, partition, first_offset FROM (
        SELECT incarnation, partition, first_offset,
            lag(last_offset) OVER (PARTITION BY incarnation, partition ORDER BY first_offset) AS before
        FROM stream_blocks WHERE topic = %(topic)s AND state = 'sealed'
    ) AS blocks WHERE first_offset <> coalesce(before + 1, 0)
"""
PLACES = "SELECT partition, next_offset FROM stream_partitions WHERE topic = %(topic)s"
STORES_BACK_WITHIN_S = 60.0


def asked_until_answered(ask: Callable[[], Answer], within_s: float = STORES_BACK_WITHIN_S) -> Answer:
    """Ask stores that may be down just now."""
    end_s = time.monotonic() + within_s
    while True:
        try:
            return ask()
        except (psycopg.Error, httpx.HTTPError, KafkaException, AssertionError, OSError):
            if time.monotonic() > end_s:
                raise
            time.sleep(0.1)


def faults_now(settings: Settings, *, same_log: bool) -> list[str]:
    """Keys counted twice, holes in the ledger, and offsets committed beyond what is sealed.

    ``same_log`` says that the log was not made anew meanwhile: otherwise the group's offsets are of another one.
    """

    def look() -> list[str]:
        with open_stores(settings) as stores:
            twice = int(stores.usage(TWICE)[0][0])
            holes = stores.sql(HOLES, topic=settings.topic)
            beyond = committed_beyond(stores) if same_log else []
        said = [f"{twice} keys are counted twice"] if twice else []
        return [*said, *(f"a hole before {place}" for place in holes), *beyond]

    return asked_until_answered(look)


def committed_beyond(stores: Stores) -> list[str]:
    """Partitions whose group is ahead of the ledger; what was committed is read first, and can only be older."""
    topic = stores.settings.topic
    with open_consumer(stores.settings, f"{topic}.streams") as consumer:
        places = [TopicPartition(topic, partition) for partition, _ in stores.sql(PLACES, topic=topic)]
        committed = {place.partition: place.offset for place in consumer.committed(places, timeout=10)}
    sealed = dict(stores.sql(PLACES, topic=topic))
    return [
        f"partition {partition}: {offset} is committed, {sealed[partition]} is sealed"
        for partition, offset in committed.items()
        if offset > sealed[partition]
    ]
