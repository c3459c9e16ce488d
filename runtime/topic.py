"""The topic: made by us, with a number of partitions that never changes, and known by its own id."""

from __future__ import annotations

import threading

from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from core.clock import Clock
from core.errors import Stop, Transient

# Kafka keeps the log longer than any restore of the other stores may take; a broker that cannot delete ignores it.
RETENTION_MS = 7 * 24 * 3600 * 1000
RETRY_PAUSE_S = 0.1


def open_admin(bootstrap: str) -> AdminClient:
    """An administrative client of the log; connects on first use."""
    return AdminClient({"bootstrap.servers": bootstrap, "socket.timeout.ms": 5000, "log_level": 2})


def ensure_topic(admin: AdminClient, topic: str, partitions: int, *, replication: int = 1) -> str:
    """Create the topic unless it exists, and return its id (base64 text).

    Raises ``Stop`` when it exists with another number of partitions: copies of an event would no longer meet.
    """
    create(admin, topic, partitions, replication)
    found_partitions, topic_id = describe(admin, topic)
    if found_partitions != partitions:
        raise Stop(f"topic {topic} has {found_partitions} partitions, not {partitions}: set MILLRACE_PARTITIONS to it")
    return topic_id


def create(admin: AdminClient, topic: str, partitions: int, replication: int) -> None:
    """Ask for the topic; that it exists already is fine."""
    config = {"retention.ms": str(RETENTION_MS), "cleanup.policy": "delete"}
    wanted = NewTopic(topic, partitions, replication, config=config)
    try:
        admin.create_topics([wanted], request_timeout=10)[topic].result(15)
    except KafkaException as error:
        cause = error.args[0]
        if cause.code() != KafkaError.TOPIC_ALREADY_EXISTS:
            raise Transient(f"the broker did not create topic {topic}: {cause.str()}") from error


def describe(admin: AdminClient, topic: str) -> tuple[int, str]:
    """How many partitions the topic has, and its id, which changes when the log is made anew."""
    try:
        found = admin.describe_topics(TopicCollection([topic]), request_timeout=5)[topic].result(10)
    except (KafkaException, TimeoutError) as error:
        raise Transient(f"the broker did not describe topic {topic}: {error}") from error
    return len(found.partitions), str(found.topic_id)


def wait_for_topic(admin: AdminClient, topic: str, partitions: int, clock: Clock, *, wait_s: float = 30) -> str:
    """``ensure_topic``, tried again until the broker answers or ``wait_s`` have passed."""
    end_s, pause = clock.steady_s() + wait_s, threading.Event()
    while True:
        try:
            return ensure_topic(admin, topic, partitions)
        except Transient:
            if clock.steady_s() > end_s:
                raise
        pause.wait(RETRY_PAUSE_S)
