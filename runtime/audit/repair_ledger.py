"""What makes a repair safe: one at a time, no close that reads meanwhile, and a token that was never used."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from sqlalchemy import Connection, Engine, text

from core.db import transaction
from core.errors import Conflict
from runtime.audit.blocks import Place, by_column
from runtime.audit.finding import Repair

LOCK_WAIT = text("SELECT set_config('lock_timeout', '10000ms', true)")
TRY_LOCK = text("SELECT pg_try_advisory_xact_lock(hashtextextended(:name, 0))")
# Whoever closes writes a run before it reads usage; while this lock is held, nobody can.
LOCK_RUNS = text("LOCK TABLE rating_runs IN SHARE MODE")
CLAIMED = text("SELECT period FROM rating_runs WHERE state = 'claimed' LIMIT 1")
# A hole is filled with blocks of its generation: neither they nor those that were there before may meet a token again.
BEGIN = text("""
    WITH earlier AS (
        SELECT * FROM audit_repairs WHERE topic = :topic
    ), holes AS MATERIALIZED (
        SELECT * FROM earlier WHERE kind = 'hole'
    )
    INSERT INTO audit_repairs
        (topic, incarnation, partition, first_offset, generation, last_offset, kind, state, begun_at)
    SELECT :topic, incarnation, partition, first_offset, 1 + coalesce(greatest(
            (SELECT max(one.generation) FROM earlier AS one
                WHERE (one.incarnation, one.partition, one.first_offset)
                    = (wanted.incarnation, wanted.partition, wanted.first_offset)),
            (SELECT max(one.generation) FROM holes AS one
                WHERE (one.incarnation, one.partition) = (wanted.incarnation, wanted.partition)
                    AND one.first_offset <= wanted.last_offset AND one.last_offset >= wanted.first_offset),
            CASE WHEN kind = 'hole' THEN (SELECT max(one.generation) FROM earlier AS one
                WHERE (one.incarnation, one.partition) = (wanted.incarnation, wanted.partition)
                    AND one.first_offset <= wanted.last_offset AND one.last_offset >= wanted.first_offset) END
        ), 0), last_offset, kind, 'begun', clock_timestamp()
    FROM unnest(CAST(:incarnations AS integer[]), CAST(:partitions AS integer[]), CAST(:firsts AS bigint[]),
        CAST(:lasts AS bigint[]), CAST(:kinds AS text[]))
        AS wanted(incarnation, partition, first_offset, last_offset, kind)
    RETURNING incarnation, partition, first_offset, generation
""")
DONE = text("""
    UPDATE audit_repairs AS begun SET state = 'done', ended_at = clock_timestamp()
    FROM unnest(CAST(:incarnations AS integer[]), CAST(:partitions AS integer[]), CAST(:firsts AS bigint[]),
        CAST(:generations AS integer[])) AS ended(incarnation, partition, first_offset, generation)
    WHERE begun.topic = :topic AND (begun.incarnation, begun.partition, begun.first_offset, begun.generation)
        = (ended.incarnation, ended.partition, ended.first_offset, ended.generation)
""")


@dataclass(frozen=True, slots=True)
class Mending:
    """What is mended: a block, or the offsets of a hole."""

    kind: Repair
    place: Place
    last_offset: int


@contextmanager
def sole_repair(books: Engine, topic: str) -> Iterator[None]:
    """Hold the only repair of a topic; raises ``Conflict`` while another one runs."""
    with transaction(books) as connection:
        if not connection.execute(TRY_LOCK, {"name": f"millrace repair {topic}"}).scalar_one():
            raise Conflict("repair_running", f"another repair of {topic} is running; this one did nothing")
        yield


@contextmanager
def without_close(books: Engine) -> Iterator[Connection]:
    """Keep every close from reading usage meanwhile.

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


def begin_repairs(books: Engine, topic: str, some: Sequence[Mending]) -> list[int]:
    """Write repairs down before they delete anything; returns the generation of each, which no other repair has."""
    bound = {
        "topic": topic,
        **by_column([one.place for one in some]),
        "lasts": [one.last_offset for one in some],
        "kinds": [one.kind for one in some],
    }
    with transaction(books) as connection:
        found = {(row[0], row[1], row[2]): int(row[3]) for row in connection.execute(BEGIN, bound)}
    return [found[one.place] for one in some]


def end_repairs(connection: Connection, topic: str, begun: Sequence[tuple[Place, int]]) -> None:
    """Write down that repairs are done; each was begun with this generation."""
    generations = [generation for _place, generation in begun]
    connection.execute(
        DONE, {"topic": topic, **by_column([place for place, _generation in begun]), "generations": generations}
    )
