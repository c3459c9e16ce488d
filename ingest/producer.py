"""The log's client: the only module that speaks Kafka."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Producer, TopicCollection
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from core.errors import Transient
from core.limits import ENVELOPE_BYTES_MAX
from core.logs import get_logger
from ingest.codec import Headers

# Room beside the value for headers and framing.
MESSAGE_BYTES_MAX = ENVELOPE_BYTES_MAX + 64 * 1024
QUEUE_KBYTES_MAX = 128 * 1024
POLL_S = 0.5
ADMIN_S = 1.0
CLOSE_S = 3.0
# Kafka's own default, for a topic that we make; an embedded broker does not look at it.
TOPIC_CONFIG = {"max.message.bytes": str(MESSAGE_BYTES_MAX), "cleanup.policy": "delete"}
# The broker does not know the producer any more. Kafka's client takes that for passing and asks for another epoch,
# which the embedded broker never grants: after messages that timed out it would refuse all that come.
DISOWNED = frozenset({"PRODUCER_FENCED", "INVALID_PRODUCER_EPOCH"})
COMMON = {"reconnect.backoff.ms": 20, "reconnect.backoff.max.ms": 250, "log_level": 2}


@dataclass(frozen=True, slots=True)
class Report:
    """What became of the message sent under ``token``; ``error`` is empty when the log has it."""

    token: int
    offset: int
    error: str
    fatal: bool


@dataclass(frozen=True, slots=True)
class TopicState:
    """The topic as it is now; another ``topic_id`` means that the log was made anew and is empty."""

    topic_id: str
    partitions: int


OnReports = Callable[[list[Report]], None]
OnTrouble = Callable[[str, bool], None]


class LogClient:
    """One idempotent producer. A thread of its own waits for delivery reports and hands them to the loop in batches.

    ``on_reports`` and ``on_trouble`` are called on the loop.
    """

    def __init__(
        self, bootstrap: str, topic: str, delivery_timeout_ms: int, on_reports: OnReports, on_trouble: OnTrouble
    ) -> None:
        self.topic = topic
        self.loop = asyncio.get_running_loop()
        self.on_reports = on_reports
        self.on_trouble = on_trouble
        self.reports: list[Report] = []
        self.closing = threading.Event()
        self.producer = Producer(
            {
                **COMMON,
                "bootstrap.servers": bootstrap,
                "acks": "all",
                "enable.idempotence": True,
                # Envelopes are batches already, and their columns are packed.
                "linger.ms": 0,
                "compression.type": "none",
                "message.max.bytes": MESSAGE_BYTES_MAX,
                "message.timeout.ms": delivery_timeout_ms,
                "queue.buffering.max.kbytes": QUEUE_KBYTES_MAX,
                "socket.nagle.disable": True,
                "error_cb": self.note_error,
            }
        )
        self.thread = threading.Thread(target=self.poll, name="log-reports", daemon=True)
        self.thread.start()

    def send(self, token: int, partition: int, value: bytes, headers: Headers) -> None:
        """Queue a message; what becomes of it is reported under ``token``. Raises ``Transient`` when it cannot be."""
        report = partial(self.note_report, token)
        try:
            self.producer.produce(self.topic, value, partition=partition, headers=[*headers], on_delivery=report)
        except BufferError as error:
            raise Transient("too many messages wait for the log") from error
        except KafkaException as error:
            if not is_fatal(error.args[0]):
                raise Transient(f"the log took no message: {error.args[0].name()}") from error
            # This producer is done for; the next one is given everything that has no report.
            self.on_trouble(error.args[0].name(), True)

    def poll(self) -> None:
        """Wait for reports until closed. Runs in the thread; callbacks run here too."""
        self.greet()
        while not self.closing.is_set():
            try:
                self.producer.poll(POLL_S)
            except KafkaException as error:
                # A fatal error may come out of the call itself, besides being reported.
                self.call(self.on_trouble, error.args[0].name(), is_fatal(error.args[0]))
                self.closing.wait(POLL_S)
            if self.reports and not self.closing.is_set():
                batch, self.reports = self.reports, []
                self.call(self.on_reports, batch)
        # Here and not in close(): nobody else may be inside the client by then.
        self.producer.purge()
        self.producer.close()

    def greet(self) -> None:
        """Meet the broker before the first message does: it would wait a second for its producer id otherwise."""
        try:
            self.producer.list_topics(self.topic, timeout=ADMIN_S)
        except KafkaException as error:
            self.call(self.on_trouble, error.args[0].name(), False)

    def call(self, function: Callable[..., None], *values: Any) -> None:
        """Run something on the loop; when the loop is gone nobody waits any more."""
        try:
            self.loop.call_soon_threadsafe(function, *values)
        except RuntimeError:
            self.closing.set()

    def note_report(self, token: int, error: KafkaError | None, message: Any) -> None:
        """A delivery report. Whatever error it names, the message may be in the log all the same."""
        if error is None:
            self.reports.append(Report(token, message.offset(), "", fatal=False))
        else:
            self.reports.append(Report(token, -1, error.name(), fatal=is_fatal(error)))

    def note_error(self, error: KafkaError) -> None:
        """An error of the connection, or one after which this producer never works again."""
        self.call(self.on_trouble, error.name(), is_fatal(error))

    def flush(self, time_limit_s: float) -> None:
        """Wait until all that was sent is reported."""
        self.producer.flush(time_limit_s)

    def close(self) -> None:
        """Drop what is queued and stop. Blocks for a moment: call it in a thread."""
        self.closing.set()
        self.thread.join(CLOSE_S)


def is_fatal(error: KafkaError) -> bool:
    """Whether the producer that met this error can never work again."""
    return bool(error.fatal()) or error.code() == KafkaError._FATAL or error.name() in DISOWNED


class TopicProbe:
    """Asks the broker about the topic. Its calls block: call them in a thread."""

    def __init__(self, bootstrap: str, topic: str, partitions: int, replication: int = 1) -> None:
        self.topic = topic
        self.wanted = NewTopic(topic, partitions, replication, config=TOPIC_CONFIG)
        self.log = get_logger("ingest.producer")
        self.admin = AdminClient({**COMMON, "bootstrap.servers": bootstrap})

    def look(self) -> TopicState:
        """The topic's state; it is made first if it does not exist. Raises ``Transient`` when the broker is gone."""
        try:
            return self.describe()
        except KafkaException as error:
            if error.args[0].code() != KafkaError.UNKNOWN_TOPIC_OR_PART:
                raise Transient(f"the log does not answer: {error.args[0].name()}") from error
        try:
            self.create()
            return self.describe()
        except KafkaException as error:
            raise Transient(f"the log does not answer: {error.args[0].name()}") from error

    def describe(self) -> TopicState:
        """Ask for the id and the number of partitions."""
        asked = self.admin.describe_topics(TopicCollection([self.topic]), request_timeout=ADMIN_S)
        try:
            found = asked[self.topic].result(2 * ADMIN_S)
        except TimeoutError as error:
            raise Transient("the log does not answer in time") from error
        return TopicState(str(found.topic_id), len(found.partitions))

    def create(self) -> None:
        """Make the topic; that somebody else was faster is fine."""
        try:
            self.admin.create_topics([self.wanted], request_timeout=ADMIN_S)[self.topic].result(2 * ADMIN_S)
        except KafkaException as error:
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise
            self.log.info("topic exists", topic=self.topic)
