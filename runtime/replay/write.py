"""Windows written over: under the rules of a repair, several blocks at a time.

    1. begin    a generation for each block, that no other repair has
    2. delete   what the blocks still have in the two tables; when it returns it is gone
    3. insert   each block's rows under its token with the generation behind it
    4. prove    read them back: each block has the digest that was sealed
    5. end      the repairs are done

A crash before 5 leaves repairs that are begun, and blocks that are stale or right: the next replay sees which.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Engine

from clickhouse.client import UsageStore
from core.db import transaction
from core.errors import Stop
from runtime.audit.read_rows import read_rows, rows_of_block
from runtime.audit.rebuild import digest_of_rows
from runtime.audit.repair_ledger import begin_repairs, end_repair
from runtime.replay.again import Judged
from streams.retry import Retry
from streams.rows import UNIQUES, WINDOWS
from streams.store import block_tokens

OF_BLOCKS = (
    "incarnation = {incarnation:UInt32} AND partition = {partition:UInt16} AND block_first IN {firsts:Array(UInt64)}"
)


@dataclass(frozen=True, slots=True)
class Stores:
    """Where windows are written, and how patiently."""

    books: Engine
    usage: UsageStore
    topic: str
    retry: Retry


def write_windows(stores: Stores, stale: Sequence[Judged], had_rows: dict[str, bool]) -> None:
    """Write the windows of blocks of one partition again. ``had_rows`` says in which tables they still have some.

    Raises ``Stop`` when a block then has not the digest that was sealed, or when a store stays away.
    """
    blocks = [judged.block for judged in stale]
    generations = begin_repairs(stores.books, "windows", stores.topic, blocks)
    for table in (WINDOWS, UNIQUES):
        if had_rows[table]:
            delete(stores, table, stale)
        for judged, generation in zip(stale, generations, strict=True):
            insert(stores, table, judged, generation)
    prove(stores, stale)
    with transaction(stores.books) as connection:
        for block, generation in zip(blocks, generations, strict=True):
            end_repair(
                connection,
                topic=stores.topic,
                incarnation=block.incarnation,
                partition=block.partition,
                first=block.first_offset,
                generation=generation,
            )


def delete(stores: Stores, table: str, stale: Sequence[Judged]) -> None:
    """Step 2 for one table. One mutation for all blocks: each rewrites whole parts."""
    first = stale[0].block
    bound = {
        "incarnation": first.incarnation,
        "partition": first.partition,
        "firsts": [judged.block.first_offset for judged in stale],
    }
    sql = f"ALTER TABLE {table} DELETE WHERE {OF_BLOCKS} SETTINGS mutations_sync = 2"
    stores.retry(f"deleting from {table}", lambda: stores.usage.command(sql, bound))


def insert(stores: Stores, table: str, judged: Judged, generation: int) -> None:
    """Step 3 for one table of one block."""
    token = f"{block_tokens(stores.topic, judged.block.partition, judged.block.intent)[table]}:r{generation}"
    rows = judged.rows[table]
    stores.retry(f"inserting into {table}", lambda: stores.usage.insert_frame(table, rows, token=token))


def prove(stores: Stores, stale: Sequence[Judged]) -> None:
    """Step 4."""
    first, last = stale[0].block, stale[-1].block
    read = stores.retry(
        "reading blocks back",
        lambda: read_rows(stores.usage, first.incarnation, first.partition, first.first_offset, last.first_offset),
    )
    for judged in stale:
        if digest_of_rows(rows_of_block(read, judged.block.first_offset)) != judged.block.digest:
            raise Stop(f"{judged.block} was written again and still differs: somebody else writes to it")
