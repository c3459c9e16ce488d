"""Faust with everything off that loses or costs, and told by the ledger where to read from."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import faust
from faust.transport.drivers import aiokafka as kafka_transport
from mode.services import WaitResults
from yarl import URL

from streams.at_once import Begun
from streams.intake import Patience

# (group generation, assigned partitions) -> the offset to read each from.
Positions = Callable[[int, set[int]], Awaitable[Mapping[int, int]]]

# Faust would have its fetcher wait for a commit after so many messages; a commit without an answer would end reading.
COMMIT_BY_THE_CLOCK_ONLY = 2**62


@dataclass(frozen=True, slots=True)
class DriverSettings:
    """How to read the log. Faust wants a ``folder`` of its own, although it keeps nothing there."""

    kafka: str
    topic: str
    folder: Path
    group: str = "millrace-streams"
    # When what has come makes blocks.
    patience: Patience = field(default_factory=Patience)
    # Blocks of different partitions under way at the same time: while one waits for a store, another is computed.
    blocks_at_once: int = 1
    # How long the broker may hold back its answer while there is nothing to read. Apache Kafka answers at the first
    # message; the embedded broker looks for one only now and then within this time, on average after a third of it.
    fetch_wait_s: float = 0.25
    # How often Faust hands over what it has.
    hand_over_s: float = 0.05
    messages_max: int = 1024
    message_bytes_max: int = 16 * 1024 * 1024
    # The embedded broker answers a join only after about this long; Apache Kafka allows no less than 6 s by default.
    session_timeout_s: float = 6.0
    watch_every_s: float = 1.0
    # Messages that wait this long while nothing is sealed mean that something is stuck without saying so. Not less
    # than a claim or a block may take with stores that are tried again.
    stall_limit_s: float = 180.0
    # How often to ask where the log ends, beside what Faust has heard.
    ends_every_s: float = 5.0
    report_every_s: float = 10.0


def build_app(settings: DriverSettings, positions: Positions) -> faust.App:
    """Faust with everything off that loses or costs."""
    brokers = [URL(f"kafka://{address}") for address in settings.kafka.split(",")]
    app = faust.App(
        settings.group,
        broker=brokers,
        datadir=settings.folder,
        store="memory://",
        key_serializer="raw",
        value_serializer="raw",
        consumer_auto_offset_reset="earliest",
        consumer_max_fetch_size=settings.message_bytes_max,
        broker_session_timeout=settings.session_timeout_s,
        broker_rebalance_timeout=settings.session_timeout_s / 2,
        broker_heartbeat_interval=settings.session_timeout_s / 6,
        broker_commit_every=COMMIT_BY_THE_CLOCK_ONLY,
        stream_buffer_maxsize=settings.messages_max,
        # Waiting for acknowledgements that may never come is how Faust hangs; the ledger does not need them.
        stream_wait_empty=False,
        web_enabled=False,
        topic_disable_leader=True,
        topic_allow_declare=False,
    )
    app.transport = ledger_transport(app, brokers, positions, int(settings.fetch_wait_s * 1000))
    return app


def ledger_transport(
    app: faust.App, brokers: list[URL], positions: Positions, fetch_wait_ms: int
) -> kafka_transport.Transport:
    """Faust's Kafka transport, but for where it starts to read after an assignment, and how long a fetch may wait."""

    class LedgerThread(kafka_transport.AIOKafkaConsumerThread):
        def _create_worker_consumer(self, transport: Any) -> Any:
            consumer = super()._create_worker_consumer(transport)
            # Faust says 1.5 s and has no setting for it; the fetcher takes it from here when it starts.
            consumer._fetch_max_wait_ms = fetch_wait_ms
            return consumer

    class LedgerConsumer(kafka_transport.Consumer):
        def _new_consumer_thread(self) -> LedgerThread:
            return LedgerThread(self, loop=self.loop, beacon=self.beacon)

        async def seek_to_committed(self) -> Mapping[Any, int]:
            assigned = self.assignment()
            offsets = await positions(self.app.consumer_generation_id, {tp.partition for tp in assigned})
            found = {tp: offsets[tp.partition] for tp in assigned}
            await self.seek_wait(found)
            return found

        async def wait_first(self, *coros: Any, timeout: Any = None) -> Any:
            # Faust makes four tasks to hand over one message, though its queue nearly always has room for it.
            if len(coros) == 1 or self.should_stop:
                return await super().wait_first(*coros, timeout=timeout)
            begun = Begun(coros[0])
            if not begun.is_done:
                return await super().wait_first(begun, *coros[1:], timeout=timeout)
            for other in coros[1:]:
                other.close()
            return WaitResults([coros[0]], [begun.answer], False)

    class LedgerTransport(kafka_transport.Transport):
        Consumer = LedgerConsumer

    return LedgerTransport(brokers, app)
