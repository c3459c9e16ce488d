"""The end of the log, on the real broker."""

from __future__ import annotations

import pytest
from confluent_kafka import Producer

from core.clock import SystemClock
from core.errors import Transient
from runtime.embedded.endpoints import Endpoints
from runtime.read_to_end import read_ends
from runtime.topic import describe, open_admin


def test_the_end_is_after_the_last_message_however_they_were_batched(endpoints: Endpoints, topic: str) -> None:
    """Messages that went out as one batch are all before the end; an empty partition ends at 0."""
    producer = Producer({"bootstrap.servers": endpoints.kafka, "linger.ms": 500, "log_level": 2})
    for number in range(7):
        producer.produce(topic, str(number).encode(), partition=2)
    producer.flush(10)
    producer.produce(topic, b"alone", partition=0)
    producer.flush(10)
    admin = open_admin(endpoints.kafka)

    found = read_ends(endpoints.kafka, admin, topic, SystemClock())

    assert found.after == {0: 1, 1: 0, 2: 7, 3: 0}
    assert found.topic_id == describe(admin, topic)[1]


def test_a_broker_that_does_not_answer_can_be_asked_again(topic: str) -> None:
    """It is no answer that the log is empty."""
    nowhere = "127.0.0.1:1"

    with pytest.raises(Transient):
        read_ends(nowhere, open_admin(nowhere), topic, SystemClock())
