"""Wait until everything that was acknowledged is in: read from the log to its end, and sealed."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

from confluent_kafka import KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec  # type: ignore[attr-defined]
from sqlalchemy import Engine, text

from core.clock import Clock
from core.db import transaction
from core.errors import Transient
from runtime.conservation.ledger import ledger_totals

POLL_S = 0.1
# So long nothing may have moved before the stream counts as at rest: see ``log_ends``.
QUIET_S = 0.5
ANSWER_S = 5

PLACES = text("""
    SELECT p.partition, p.next_offset, p.incarnation = (
        SELECT max(i.incarnation) FROM stream_incarnations AS i WHERE i.topic = p.topic
    ) AS newest
    FROM stream_partitions AS p WHERE p.topic = :topic
""")
OPEN = text("SELECT count(*) FROM stream_blocks WHERE topic = :topic AND state = 'intent'")


@dataclass(frozen=True, slots=True)
class Backlog:
    """How far the stream is: events sealed, and log messages not yet sealed (none when that cannot be told now)."""

    received: int
    messages_behind: int | None


def wait_until_drained(
    books: Engine,
    admin: AdminClient,
    topic: str,
    clock: Clock,
    *,
    acknowledged: int,
    time_limit_s: float = 120.0,
    on_progress: Callable[[Backlog], None] = lambda _backlog: None,
) -> Backlog:
    """Wait until at least ``acknowledged`` events are sealed and the log has no message that is not.

    Bears with parts that are down for a while. Raises ``Transient``, saying how far it came, when ``time_limit_s``
    passes.
    """
    end_s = clock.steady_s() + time_limit_s
    pause = threading.Event()
    last, moved_s = None, clock.steady_s()
    while True:
        try:
            backlog = measure_backlog(books, admin, topic)
        except Transient as error:
            said = str(error)
        else:
            on_progress(backlog)
            if backlog != last:
                last, moved_s = backlog, clock.steady_s()
            at_rest = backlog.messages_behind == 0 and clock.steady_s() - moved_s >= QUIET_S
            if backlog.received >= acknowledged and at_rest:
                return backlog
            said = f"{backlog.received:,} of {acknowledged:,} events are sealed, messages behind: "
            said += str(backlog.messages_behind)
        if clock.steady_s() > end_s:
            raise Transient(f"the stream was not drained within {time_limit_s:g} s: {said}")
        pause.wait(POLL_S)


def measure_backlog(books: Engine, admin: AdminClient, topic: str) -> Backlog:
    """Where the stream stands; raises ``Transient`` when a part does not answer."""
    with transaction(books) as connection:
        places = connection.execute(PLACES, {"topic": topic}).all()
        opened = connection.execute(OPEN, {"topic": topic}).scalar_one()
        received = ledger_totals(connection, topic).received
    if not places or not all(row.newest for row in places):
        return Backlog(received, None)
    ends = log_ends(admin, topic, [row.partition for row in places])
    behind = sum(max(0, ends[row.partition] - row.next_offset) for row in places)
    return Backlog(received, behind + opened)


def log_ends(admin: AdminClient, topic: str, partitions: list[int]) -> dict[int, int]:
    """The offset after the last message of each partition, or less.

    The embedded broker answers with the first offset of the last batch and one, however many messages that holds:
    being behind is certain, being at the end only likely, until nothing has moved for a while.
    """
    latest = OffsetSpec.latest()  # type: ignore[no-untyped-call]
    asked = {TopicPartition(topic, partition): latest for partition in partitions}
    try:
        answers = admin.list_offsets(asked, request_timeout=ANSWER_S)
        return {place.partition: int(answer.result(ANSWER_S * 2).offset) for place, answer in answers.items()}
    except (KafkaException, TimeoutError) as error:
        raise Transient(f"the broker did not tell the log's ends: {error}") from error
