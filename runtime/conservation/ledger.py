"""The block ledger: without holes, nothing open, and every block's counts found again among the stored events."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl
from sqlalchemy import Connection, text

from catalog.read_frame import read_frame
from clickhouse.client import UsageStore
from core.frames import Schema

FATES = ("stored", "duplicates", "conflicts", "held", "rejected", "retractions")
BLOCK = ("incarnation", "partition", "first_offset")
BLOCKS_SCHEMA: Schema = dict.fromkeys((*BLOCK, *FATES), pl.Int64())

TOTALS = text("""
    SELECT coalesce(sum(received), 0), coalesce(sum(stored), 0), coalesce(sum(duplicates), 0),
        coalesce(sum(conflicts), 0), coalesce(sum(held), 0), coalesce(sum(rejected), 0),
        coalesce(sum(retractions), 0), coalesce(sum(redelivered), 0), count(*)
    FROM stream_blocks WHERE topic = :topic AND state = 'sealed'
""")
HOLES = text("""
    SELECT incarnation, partition, first_offset, expected FROM (
        SELECT incarnation, partition, first_offset, coalesce(1 + lag(last_offset) OVER (
            PARTITION BY incarnation, partition ORDER BY first_offset), 0) AS expected
        FROM stream_blocks WHERE topic = :topic AND state = 'sealed'
    ) AS blocks WHERE first_offset <> expected ORDER BY 1, 2, 3
""")
OPEN = text("""
    SELECT incarnation, partition, first_offset, last_offset FROM stream_blocks
    WHERE topic = :topic AND state = 'intent' ORDER BY 1, 2
""")
ENDS = text("""
    SELECT p.partition, p.next_offset, coalesce(max(b.last_offset) + 1, 0) AS sealed_until
    FROM stream_partitions AS p LEFT JOIN stream_blocks AS b
        ON b.topic = p.topic AND b.partition = p.partition AND b.incarnation = p.incarnation AND b.state = 'sealed'
    WHERE p.topic = :topic GROUP BY p.partition, p.next_offset
    HAVING p.next_offset <> coalesce(max(b.last_offset) + 1, 0) ORDER BY 1
""")
# An envelope that could not be read counts as one rejected event, and has no row among the events.
BLOCKS = """
    SELECT b.incarnation, b.partition, b.first_offset, b.stored, b.duplicates, b.conflicts, b.held,
        b.rejected - (
            SELECT count(*) FROM dead_letters AS d WHERE d.topic = b.topic AND d.incarnation = b.incarnation
                AND d.partition = b.partition AND d.position < 0
                AND d.kafka_offset BETWEEN b.first_offset AND b.last_offset
        ) AS rejected, b.retractions
    FROM stream_blocks AS b WHERE b.topic = %(topic)s AND b.state = 'sealed'
"""
EVENTS_BY_BLOCK = """
    SELECT toInt64(incarnation) AS incarnation, toInt64(partition) AS partition, toInt64(block_first) AS first_offset,
        toInt64(countIf(fate = 'stored')) AS stored, toInt64(countIf(fate = 'duplicate')) AS duplicates,
        toInt64(countIf(fate = 'conflict')) AS conflicts, toInt64(countIf(fate = 'held')) AS held,
        toInt64(countIf(fate = 'rejected')) AS rejected,
        toInt64(countIf(fate = 'retraction')) AS retractions
    FROM usage_events GROUP BY incarnation, partition, first_offset
"""
# A correction is another row of its key, and no copy.
TWICE = """
    SELECT toInt64(count()) - toInt64(uniqExact(key)) AS twice FROM usage_events
    WHERE fate = 'stored' AND action = 'event'
"""


@dataclass(frozen=True, slots=True)
class Totals:
    """What the sealed blocks add up to, in events. ``redelivered`` stands outside of ``received``."""

    received: int
    stored: int
    duplicates: int
    conflicts: int
    held: int
    rejected: int
    retractions: int
    redelivered: int
    blocks: int


def ledger_totals(connection: Connection, topic: str) -> Totals:
    """The totals of a topic's sealed blocks."""
    return Totals(*(int(value) for value in connection.execute(TOTALS, {"topic": topic}).one()))


def ledger_faults(connection: Connection, topic: str) -> list[str]:
    """Holes, open blocks, ends that do not meet, and totals that do not add up."""
    bound = {"topic": topic}
    faults = [
        f"hole in incarnation {row.incarnation}, partition {row.partition}: {row.expected} to {row.first_offset - 1}"
        for row in connection.execute(HOLES, bound)
    ]
    faults += [
        f"block {row.first_offset} to {row.last_offset} of partition {row.partition} is not sealed"
        for row in connection.execute(OPEN, bound)
    ]
    faults += [
        f"partition {row.partition} stands at {row.next_offset}, its last block ends at {row.sealed_until}"
        for row in connection.execute(ENDS, bound)
    ]
    totals = ledger_totals(connection, topic)
    parts = sum(getattr(totals, fate) for fate in FATES)
    if totals.received != parts:
        faults.append(f"the ledger received {totals.received} events and has fates for {parts}")
    return faults


def event_faults(connection: Connection, store: UsageStore, topic: str) -> list[str]:
    """Blocks whose events are not those that the ledger counted, and events stored twice."""
    written = read_frame(connection, BLOCKS, {"topic": topic}, BLOCKS_SCHEMA)
    found = store.query_frame(EVENTS_BY_BLOCK)
    both = written.join(found, on=BLOCK, how="full", coalesce=True, suffix="_found").fill_null(0)
    differs = pl.any_horizontal(pl.col(fate) != pl.col(f"{fate}_found") for fate in FATES)
    faults = [
        f"block {row['first_offset']} of incarnation {row['incarnation']}, partition {row['partition']}: ledger "
        + ", ".join(f"{row[fate]} {fate} (events {row[f'{fate}_found']})" for fate in FATES)
        for row in both.filter(differs).sort(BLOCK).iter_rows(named=True)
    ]
    twice = int(store.query_frame(TWICE)["twice"][0])
    if twice:
        faults.append(f"{twice} events are stored more than once")
    return faults
