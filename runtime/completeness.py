"""Is everything in that was acknowledged until now? What is missing between log, ledger and store, by its offsets.

A close asks this before it fixes its cut-off: whatever the log held when the close began is then sealed, and counts.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from sqlalchemy import Connection, Engine, text

from core.clock import Clock
from core.db import transaction
from core.errors import Transient
from ingest.sealed import read_sealed
from ingest.segment import read_segment
from rating.completeness import Gap
from runtime.read_to_end import Ends

POLL_S = 0.25
# No amount of waiting mends these.
LASTING = frozenset({"hole", "wrong_position"})

PRESENT = text("SELECT clock_timestamp()")
HOLES = text("""
    SELECT topic, incarnation, partition, expected, first_offset - 1 AS last FROM (
        SELECT topic, incarnation, partition, first_offset, coalesce(1 + lag(last_offset) OVER (
            PARTITION BY topic, incarnation, partition ORDER BY first_offset), 0) AS expected
        FROM stream_blocks WHERE state = 'sealed' AND (CAST(:topic AS text) IS NULL OR topic = :topic)
    ) AS blocks WHERE first_offset <> expected ORDER BY 1, 2, 3, 4
""")
OPEN_BLOCKS = text("""
    SELECT incarnation, partition, first_offset, last_offset, intended_at FROM stream_blocks
    WHERE state = 'intent' AND intended_at <= :begun_at AND (CAST(:topic AS text) IS NULL OR topic = :topic)
    ORDER BY 1, 2
""")
WRONG_POSITIONS = text("""
    SELECT p.incarnation, p.partition, p.next_offset, coalesce(max(b.last_offset) + 1, 0) AS sealed_until
    FROM stream_partitions AS p LEFT JOIN stream_blocks AS b
        ON b.topic = p.topic AND b.partition = p.partition AND b.incarnation = p.incarnation AND b.state = 'sealed'
    WHERE CAST(:topic AS text) IS NULL OR p.topic = :topic
    GROUP BY p.topic, p.partition, p.incarnation, p.next_offset
    HAVING p.next_offset <> coalesce(max(b.last_offset) + 1, 0) ORDER BY 1, 2
""")
INCARNATION = text("SELECT incarnation FROM stream_incarnations WHERE topic = :topic AND topic_id = :topic_id")
POSITIONS = text("SELECT partition, incarnation, next_offset FROM stream_partitions WHERE topic = :topic")

OnWait = Callable[[tuple[Gap, ...]], None]
# More that has to be there, asked of the books each time.
MoreGaps = Callable[[Connection], Iterable[Gap]]
# Partition, producer and sequence of an envelope.
Journalled = tuple[int, bytes, int]


@dataclass(frozen=True, slots=True)
class Stream:
    """The stream to hold the ledger against. ``journal`` is the gateway's, where it keeps one."""

    topic: str
    read_ends: Callable[[], Ends]
    journal: Path | None = None


@dataclass(frozen=True, slots=True)
class Target:
    """What has to be sealed: all of it was there at ``begun_at`` by Postgres's clock."""

    begun_at: datetime
    log: Ends | None
    journal: frozenset[Journalled]
    silence: str = ""


def no_more(_connection: Connection) -> Iterable[Gap]:
    """The stream is all that matters."""
    return ()


def wait_until_complete(
    books: Engine,
    stream: Stream | None,
    clock: Clock,
    *,
    wait_s: float,
    on_wait: OnWait,
    more: MoreGaps = no_more,
) -> tuple[Gap, ...]:
    """Wait until everything acknowledged before this call is sealed; returns what still lacks after ``wait_s``.

    Without a stream only the ledger is looked at; ``more`` is what lacks besides. ``on_wait`` hears of the gaps while
    they last. What waiting cannot mend is not waited for. Raises ``Transient`` when the books do not answer.
    """
    target, pause, end_s = take_target(books, stream), threading.Event(), clock.steady_s() + wait_s
    while True:
        gaps = find_gaps(books, stream, target, more)
        if not any(gap.code not in LASTING for gap in gaps) or clock.steady_s() >= end_s:
            return gaps
        on_wait(gaps)
        pause.wait(POLL_S)
        if stream is not None and (target.log is None or log_is_older(books, stream, target.log)):
            target = replace(take_target(books, stream), begun_at=target.begun_at, journal=target.journal)


def take_target(books: Engine, stream: Stream | None) -> Target:
    """What there is at this moment. The time is read first, so that all before it is in the rest."""
    with transaction(books) as connection:
        begun_at: datetime = connection.execute(PRESENT).scalar_one()
    if stream is None:
        return Target(begun_at, None, frozenset())
    journal = frozenset(journalled(stream.journal)) if stream.journal else frozenset()
    try:
        return Target(begun_at, stream.read_ends(), journal)
    except Transient as error:
        return Target(begun_at, None, journal, silence=str(error))


def journalled(folder: Path) -> Iterator[Journalled]:
    """Every envelope in a journal. A file that goes meanwhile holds nothing but sealed ones."""
    for path in sorted(folder.glob("*/*.segment")):
        try:
            segment = read_segment(path)
        except FileNotFoundError:
            continue
        for entry in segment.entries:
            yield entry.partition, entry.producer, entry.sequence


def log_is_older(books: Engine, stream: Stream, log: Ends) -> bool:
    """Whether the log of a target was made anew since, so that its offsets say nothing any more."""
    with transaction(books) as connection:
        incarnation = incarnation_of(connection, stream, log)
        places = connection.execute(POSITIONS, {"topic": stream.topic}).all()
    return any(place.incarnation > (incarnation or 0) for place in places)


def find_gaps(books: Engine, stream: Stream | None, target: Target, more: MoreGaps) -> tuple[Gap, ...]:
    """Everything that lacks now of what a target has to have."""
    bound = {"topic": stream.topic if stream else None}
    with transaction(books) as connection:
        gaps = [*more(connection), *ledger_gaps(connection, bound), *open_blocks(connection, bound, target.begun_at)]
        if stream is not None:
            gaps += log_gaps(connection, stream, target)
            gaps += journal_gaps(connection, stream, target.journal)
    return tuple(gaps)


def ledger_gaps(connection: Connection, bound: dict[str, str | None]) -> Iterator[Gap]:
    """Offsets that no sealed block has, although later ones have been sealed; positions that fit no block."""
    for row in connection.execute(HOLES, bound):
        said = f"partition {row.partition} has a hole: no block holds offsets {row.expected} to {row.last}"
        if row.last < row.expected:
            said = f"partition {row.partition} has two blocks over offset {row.last + 1}"
        message = f"{said} of incarnation {row.incarnation}"
        yield Gap("hole", message, row.incarnation, row.partition, row.expected, row.last)
    for row in connection.execute(WRONG_POSITIONS, bound):
        message = f"partition {row.partition} stands at {row.next_offset}, its last block ends at {row.sealed_until}"
        first, end = sorted((row.next_offset, row.sealed_until))
        yield Gap("wrong_position", message, row.incarnation, row.partition, first, end - 1)


def open_blocks(connection: Connection, bound: dict[str, str | None], begun_at: datetime) -> Iterator[Gap]:
    """Blocks that were announced before some instant and are not sealed."""
    for row in connection.execute(OPEN_BLOCKS, bound | {"begun_at": begun_at}):
        message = (
            f"partition {row.partition}: the block of offsets {row.first_offset} to {row.last_offset} was announced at "
            f"{row.intended_at:%Y-%m-%d %H:%M:%S} UTC and is not sealed"
        )
        yield Gap("open_block", message, row.incarnation, row.partition, row.first_offset, row.last_offset)


def log_gaps(connection: Connection, stream: Stream, target: Target) -> Iterator[Gap]:
    """Messages in the log that no sealed block holds yet."""
    if target.log is None:
        yield Gap("log_silent", f"the log could not be asked for its end: {target.silence}")
        return
    incarnation = incarnation_of(connection, stream, target.log)
    places = connection.execute(POSITIONS, {"topic": stream.topic}).all()
    sealed = {place.partition: place.next_offset for place in places if place.incarnation == incarnation}
    for partition, end in sorted(target.log.after.items()):
        next_offset = sealed.get(partition, 0)
        if next_offset < end:
            message = f"partition {partition}: offsets {next_offset} to {end - 1} of the log are not stored yet"
            yield Gap("not_consumed", message, incarnation, partition, next_offset, end - 1)


def incarnation_of(connection: Connection, stream: Stream, log: Ends) -> int | None:
    """The number of a log in the ledger; None when no worker has seen it yet."""
    bound = {"topic": stream.topic, "topic_id": log.topic_id}
    number: int | None = connection.execute(INCARNATION, bound).scalar_one_or_none()
    return number


def journal_gaps(connection: Connection, stream: Stream, journal: frozenset[Journalled]) -> Iterator[Gap]:
    """Envelopes that were answered for, and lie in the gateway's journal alone or in a log that is gone."""
    if not journal:
        return
    sealed = read_sealed(connection, stream.topic)
    waiting = sorted(
        partition for partition, producer, sequence in journal if not sealed.holds(partition, producer, sequence)
    )
    for partition in sorted(set(waiting)):
        count = waiting.count(partition)
        message = f"partition {partition}: {count} envelopes of the gateway's journal are not stored yet"
        yield Gap("journalled", message, partition=partition)
