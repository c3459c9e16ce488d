"""The ledger's sealed blocks, as the auditor reads them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, text

from runtime.audit.scope import Scope
from streams.plan import Intent

BLOCKS = text("""
    SELECT incarnation, partition, first_offset, last_offset, catalog_version, intended_at, digest,
        received, stored, duplicates, conflicts, held, rejected, retractions, redelivered
    FROM stream_blocks
    WHERE topic = :topic AND state = 'sealed' AND intended_at >= :since AND intended_at <= :cutoff
    ORDER BY incarnation, partition, first_offset
""")
AT_PLACES = """
    JOIN unnest(CAST(:incarnations AS integer[]), CAST(:partitions AS integer[]), CAST(:firsts AS bigint[]))
        AS wanted(incarnation, partition, first_offset) USING (incarnation, partition, first_offset)
"""
SOME_BLOCKS = text(f"""
    SELECT incarnation, partition, first_offset, last_offset, catalog_version, intended_at, digest,
        received, stored, duplicates, conflicts, held, rejected, retractions, redelivered
    FROM stream_blocks {AT_PLACES} WHERE topic = :topic AND state = 'sealed'
    ORDER BY incarnation, partition, first_offset
""")
# Incarnation, partition and first offset.
Place = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Block:
    """A sealed block: its place, what its rows are a function of, and what it counted."""

    incarnation: int
    partition: int
    first_offset: int
    last_offset: int
    catalog_version: int
    intended_at: datetime
    digest: str
    received: int
    stored: int
    duplicates: int
    conflicts: int
    held: int
    rejected: int
    retractions: int
    redelivered: int

    @property
    def intent(self) -> Intent:
        """The block as it was announced."""
        return Intent(self.incarnation, self.first_offset, self.last_offset, self.catalog_version, self.intended_at)

    @property
    def place(self) -> dict[str, Any]:
        """Its coordinates, for a finding."""
        return {
            "incarnation": self.incarnation,
            "partition": self.partition,
            "first_offset": self.first_offset,
            "last_offset": self.last_offset,
        }

    def __str__(self) -> str:
        return (
            f"block {self.first_offset} to {self.last_offset} of incarnation {self.incarnation}, "
            f"partition {self.partition}"
        )


def load_blocks(connection: Connection, scope: Scope) -> list[Block]:
    """The sealed blocks of a scope, in the order of the log."""
    bound = {"topic": scope.topic, "since": scope.since, "cutoff": scope.cutoff}
    return [as_block(row) for row in connection.execute(BLOCKS, bound)]


def load_some(connection: Connection, topic: str, places: Sequence[Place]) -> list[Block]:
    """Those of the blocks at some places that are sealed, in the order of the log."""
    bound = {"topic": topic, **by_column(places)}
    return [as_block(row) for row in connection.execute(SOME_BLOCKS, bound)]


def by_column(places: Sequence[Place]) -> dict[str, list[int]]:
    """Places as Postgres takes many of them at once."""
    columns = zip(*places, strict=True) if places else ((), (), ())
    return dict(zip(("incarnations", "partitions", "firsts"), map(list, columns), strict=True))


def place_of_block(block: Block) -> Place:
    """By what a block is found."""
    return block.incarnation, block.partition, block.first_offset


def as_block(row: Row[Any]) -> Block:
    """A row of the ledger as the value that it stands for."""
    return Block(**{field.name: getattr(row, field.name) for field in fields(Block)})


def together(blocks: list[Block], rows_max: int) -> Iterator[list[Block]]:
    """Neighbouring blocks of one partition in lists of at most ``rows_max`` events (and at least one block)."""
    some: list[Block] = []
    rows = 0
    for block in blocks:
        other = some and (some[0].incarnation, some[0].partition) != (block.incarnation, block.partition)
        if some and (other or rows + block.received > rows_max):
            yield some
            some, rows = [], 0
        some.append(block)
        rows += block.received
    if some:
        yield some
