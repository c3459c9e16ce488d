"""What makes a repair safe: one at a time, no close that reads meanwhile, and a token that was never used."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from sqlalchemy import Connection, Engine, text

from core.db import transaction
from core.errors import Conflict
from runtime.audit.blocks import Block
from runtime.audit.finding import Repair

LOCK_WAIT = text("SELECT set_config('lock_timeout', '10000ms', true)")
TRY_LOCK = text("SELECT pg_try_advisory_xact_lock(hashtextextended(:name, 0))")
# Whoever closes writes a run before it reads usage; while this lock is held, nobody can.
LOCK_RUNS = text("LOCK TABLE rating_runs IN SHARE MODE")
CLAIMED = text("SELECT period FROM rating_runs WHERE state = 'claimed' LIMIT 1")
BEGIN = text("""
    INSERT INTO audit_repairs
        (topic, incarnation, partition, first_offset, generation, last_offset, kind, state, begun_at)
    SELECT :topic, :incarnation, :partition, :first, coalesce(max(generation), 0) + 1, :last, :kind, 'begun',
        clock_timestamp()
    FROM audit_repairs WHERE topic = :topic AND incarnation = :incarnation AND partition = :partition
        AND first_offset = :first
    RETURNING generation
""")
DONE = text("""
    UPDATE audit_repairs SET state = 'done', ended_at = clock_timestamp()
    WHERE topic = :topic AND incarnation = :incarnation AND partition = :partition AND first_offset = :first
        AND generation = :generation
""")


@contextmanager
def sole_repair(books: Engine, topic: str) -> Iterator[None]:
    """Hold the only repair of a topic; raises ``Conflict`` while another one runs."""
    with transaction(books) as connection:
        if not connection.execute(TRY_LOCK, {"name": f"millrace repair {topic}"}).scalar_one():
            raise Conflict("repair_running", f"another repair of {topic} is running; this one did nothing")
        yield


@contextmanager
def without_close(books: Engine) -> Iterator[Connection]:
    """Keep every close from reading usage for the length of a block.

    Raises ``Conflict`` while one is under way or was cut short, ``Transient`` when the lock cannot be had.
    """
    with transaction(books) as connection:
        connection.execute(LOCK_WAIT)
        connection.execute(LOCK_RUNS)
        period = connection.execute(CLAIMED).scalar_one_or_none()
        if period is not None:
            raise Conflict(
                "close_running", f"the close of {period} has read usage and is not recorded: finish it first"
            )
        yield connection


def begin_repair(
    books: Engine, kind: Repair, *, topic: str, incarnation: int, partition: int, first: int, last: int
) -> int:
    """Write a repair down before it deletes anything; returns its generation, which no other repair has."""
    values = {
        "topic": topic,
        "incarnation": incarnation,
        "partition": partition,
        "first": first,
        "last": last,
        "kind": kind,
    }
    with transaction(books) as connection:
        return int(connection.execute(BEGIN, values).scalar_one())


def begin_repairs(books: Engine, kind: Repair, topic: str, blocks: Sequence[Block]) -> list[int]:
    """The same for several blocks at once."""
    values = [
        {**block.place, "topic": topic, "first": block.first_offset, "last": block.last_offset, "kind": kind}
        for block in blocks
    ]
    with transaction(books) as connection:
        return [int(connection.execute(BEGIN, value).scalar_one()) for value in values]


def end_repair(
    connection: Connection, *, topic: str, incarnation: int, partition: int, first: int, generation: int
) -> None:
    """Write down that a repair is done."""
    connection.execute(
        DONE,
        {
            "topic": topic,
            "incarnation": incarnation,
            "partition": partition,
            "first": first,
            "generation": generation,
        },
    )
