"""The ledger by itself: blocks without holes or overlaps, positions that fit them, nothing left open for long."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

from sqlalchemy import Connection, text

from runtime.audit.blocks import Block
from runtime.audit.finding import Finding, Part
from runtime.audit.scope import Scope

# A block takes seconds; one that a crash left open is taken up within a minute.
OPEN_FOR_MAX = timedelta(minutes=5)

OPEN = text("""
    SELECT incarnation, partition, first_offset, last_offset, intended_at, clock_timestamp() - intended_at AS age
    FROM stream_blocks WHERE topic = :topic AND state = 'intent' ORDER BY 1, 2
""")
POSITIONS = text("""
    SELECT p.partition, p.incarnation, p.next_offset, (
        SELECT max(b.last_offset) + 1 FROM stream_blocks AS b WHERE b.topic = p.topic AND b.partition = p.partition
            AND b.incarnation = p.incarnation AND b.state = 'sealed'
    ) AS sealed_until
    FROM stream_partitions AS p WHERE p.topic = :topic ORDER BY 1
""")


@dataclass(frozen=True, slots=True)
class Hole:
    """Offsets, both included, that belong to no block."""

    incarnation: int
    partition: int
    first_offset: int
    last_offset: int


def check_ledger(connection: Connection, scope: Scope, blocks: list[Block]) -> Part:
    """Holes, overlaps, positions and blocks left open, among the blocks of a scope."""
    findings = [hole_finding(hole) for hole in holes_between(blocks, from_start=scope.whole)]
    findings += overlaps(blocks)
    findings += positions(connection, scope)
    findings += left_open(connection, scope.topic)
    return Part(findings, {"blocks": len(blocks), "received": sum(block.received for block in blocks)})


def holes_between(blocks: list[Block], *, from_start: bool) -> Iterator[Hole]:
    """Offsets missing between neighbours, and before the first block if the scope goes back to the beginning."""
    by_partition: dict[tuple[int, int], list[Block]] = defaultdict(list)
    for block in blocks:
        by_partition[block.incarnation, block.partition].append(block)
    for (incarnation, partition), some in by_partition.items():
        if from_start and some[0].first_offset > 0:
            yield Hole(incarnation, partition, 0, some[0].first_offset - 1)
        for before, after in pairwise(some):
            if after.first_offset > before.last_offset + 1:
                yield Hole(incarnation, partition, before.last_offset + 1, after.first_offset - 1)


def hole_finding(hole: Hole) -> Finding:
    """A hole as a finding."""
    where = f"incarnation {hole.incarnation}, partition {hole.partition}"
    said = f"hole in {where}: offsets {hole.first_offset} to {hole.last_offset} belong to no block"
    place = {
        "incarnation": hole.incarnation,
        "partition": hole.partition,
        "first_offset": hole.first_offset,
        "last_offset": hole.last_offset,
    }
    return Finding("hole", said, place, repair="hole")


def overlaps(blocks: list[Block]) -> Iterator[Finding]:
    """Neighbours that claim the same offsets."""
    for before, after in pairwise(blocks):
        same = (before.incarnation, before.partition) == (after.incarnation, after.partition)
        if same and after.first_offset <= before.last_offset:
            yield Finding("overlap", f"{before} and {after} claim the same offsets", after.place)


def positions(connection: Connection, scope: Scope) -> Iterator[Finding]:
    """Partitions that do not stand where their last block ends."""
    for row in connection.execute(POSITIONS, {"topic": scope.topic}):
        until = row.sealed_until or 0
        if row.next_offset > until:
            yield hole_finding(Hole(row.incarnation, row.partition, until, row.next_offset - 1))
        elif row.next_offset < until:
            said = f"partition {row.partition} stands at {row.next_offset}, its last block ends at {until}"
            yield Finding("overlap", said, {"incarnation": row.incarnation, "partition": row.partition})


def left_open(connection: Connection, topic: str) -> Iterator[Finding]:
    """Blocks that were announced long ago."""
    for row in connection.execute(OPEN, {"topic": topic}):
        if row.age > OPEN_FOR_MAX:
            announced: datetime = row.intended_at
            said = (
                f"block {row.first_offset} to {row.last_offset} of partition {row.partition} was announced at "
                f"{announced.isoformat()} and is not sealed: is a worker running?"
            )
            place = {
                "incarnation": row.incarnation,
                "partition": row.partition,
                "first_offset": row.first_offset,
                "last_offset": row.last_offset,
            }
            yield Finding("block_open", said, place)
