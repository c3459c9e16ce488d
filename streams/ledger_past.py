"""What the ledger in Postgres says of a partition's past: when its blocks were, by which catalog, and which fills."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict, fields
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, select, text

from streams.fills import Fill
from streams.ledger import BlockName, Lease
from streams.plan import Intent
from streams.tables import stream_fills

BLOCKS_AT_ONCE = 2_000
# Rows of different blocks are told apart by their time, and a clock may be set back.
AFTER_BEFORE = text("""
    SELECT greatest(clock_timestamp(), max(intended_at) + interval '1 microsecond') FROM (
        SELECT intended_at FROM stream_blocks
        WHERE topic = :topic AND incarnation = :incarnation AND partition = :partition
        ORDER BY first_offset DESC LIMIT 1
    ) AS before
""")
AFTER_OLD_LOGS = text("""
    SELECT greatest(clock_timestamp(), max(intended_at) + interval '1 microsecond')
    FROM stream_blocks WHERE topic = :topic AND partition = :partition
""")
VERSIONS = text("""
    SELECT b.incarnation, b.first_offset, b.catalog_version FROM stream_blocks AS b
    JOIN unnest(CAST(:incarnations AS integer[]), CAST(:firsts AS bigint[])) AS asked (incarnation, first_offset)
        ON b.incarnation = asked.incarnation AND b.first_offset = asked.first_offset
    WHERE b.topic = :topic AND b.partition = :partition
""")


def next_time(connection: Connection, lease: Lease, incarnation: int, first_offset: int) -> datetime:
    """When the next block is announced: now, and later than the block before."""
    of_partition = {"topic": lease.topic, "partition": lease.partition}
    if first_offset == 0:
        found = connection.execute(AFTER_OLD_LOGS, of_partition)
    else:
        found = connection.execute(AFTER_BEFORE, {**of_partition, "incarnation": incarnation})
    at: datetime = found.scalar_one()
    return at


def load_versions(
    connection: Connection, topic: str, partition: int, blocks: Collection[BlockName]
) -> dict[BlockName, int]:
    """The catalog version of each of a partition's blocks that is named and there."""
    names, found = sorted(blocks), dict[BlockName, int]()
    for start in range(0, len(names), BLOCKS_AT_ONCE):
        some = names[start : start + BLOCKS_AT_ONCE]
        bound = {"incarnations": [name[0] for name in some], "firsts": [name[1] for name in some]}
        rows = connection.execute(VERSIONS, {**bound, "topic": topic, "partition": partition})
        found |= {(row.incarnation, row.first_offset): row.catalog_version for row in rows}
    return found


def load_fills(connection: Connection, topic: str, partition: int) -> tuple[Fill, ...]:
    """The fills that a partition's blocks did, the oldest first."""
    columns = [stream_fills.c[field.name] for field in fields(Fill)]
    done = select(*columns).where(stream_fills.c.topic == topic, stream_fills.c.partition == partition)
    return tuple(Fill(**row._mapping) for row in connection.execute(done.order_by(stream_fills.c.filled_at)))


def fill_rows(lease: Lease, intent: Intent, fills: Collection[Fill]) -> list[dict[str, Any]]:
    """Fills as rows of their table."""
    place = {
        "topic": lease.topic,
        "incarnation": intent.incarnation,
        "partition": lease.partition,
        "first_offset": intent.first_offset,
    }
    return [{**place, **asdict(fill)} for fill in fills]
