"""Windows written over: under the rules of a repair, the blocks of a pass at a time.

    1. begin    a generation for each block, that no other repair has
    2. delete   what the blocks still have in the two tables; when it returns it is gone
    3. insert   the blocks' rows together, under the first one's token with its generation behind it
    4. prove    read them back: each block has the rows whose digest was sealed
    5. end      the repairs are done

A crash before 5 leaves repairs that are begun, and blocks that are stale or right: the next replay sees which.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from core.db import transaction
from core.errors import Stop
from runtime.audit.blocks import Block, place_of_block
from runtime.audit.repair_ledger import Mending, begin_repairs, end_repairs
from runtime.audit.rewrite import Stores, delete_rows, insert_rows
from runtime.replay.again import MADE, Judged
from runtime.replay.choose import Pass
from runtime.replay.read import prints_of, read_table
from streams.texts import U64

# Of so many events windows are inserted at once, or of one block.
EVENTS_AT_ONCE = 1_000_000


# A block and the generation of its repair.
Numbered = tuple[Judged, int]


@dataclass(frozen=True, slots=True)
class Written:
    """A block whose rows were inserted, and what is to be read back."""

    block: Block
    generation: int
    prints: Mapping[str, U64]


def put_right(stores: Stores, some: Pass, stale: Sequence[Judged]) -> None:
    """Steps 1 to 5 for blocks of a pass. Raises ``Stop`` when a store stays away, or when what was written differs."""
    if stale:
        prove(stores, some, write_windows(stores, stale))


def write_windows(stores: Stores, stale: Sequence[Judged]) -> list[Written]:
    """Steps 1 to 3 for at least one block."""
    asked = [Mending("windows", place_of_block(judged.block), judged.block.last_offset) for judged in stale]
    generations = begin_repairs(stores.books, stores.topic, asked)
    for table in MADE:
        delete_rows(stores, table, [place_of_block(judged.block) for judged in stale if table in judged.had])
        for few in portions(list(zip(stale, generations, strict=True))):
            rows = [judged.rows[table] for judged, _ in few]
            insert_rows(stores, table, few[0][0].block, few[0][1], rows)
    return [
        Written(judged.block, generation, judged.prints) for judged, generation in zip(stale, generations, strict=True)
    ]


def portions(stale: Sequence[Numbered]) -> Iterator[Sequence[Numbered]]:
    """Blocks in lists of so many events together, or of one."""
    some: list[Numbered] = []
    events = 0
    for one in stale:
        if some and events + one[0].block.received > EVENTS_AT_ONCE:
            yield some
            some, events = [], 0
        some.append(one)
        events += one[0].block.received
    yield some


def prove(stores: Stores, some: Pass, written: Sequence[Written]) -> None:
    """Steps 4 and 5 for the blocks of a pass. Raises ``Stop`` when a block has not the rows that it was given."""
    places = {place_of_block(one.block) for one in written}
    runs = [[block for block in run if place_of_block(block) in places] for run in some]
    for table in MADE:
        question = partial(read_table, stores.usage, table, [run for run in runs if run])
        read = stores.retry("reading blocks back", question)
        for one in written:
            if not np.array_equal(prints_of(read.of_block(one.block)), one.prints[table]):
                raise Stop(f"{one.block} was written again and still differs: somebody else writes to it")
    with transaction(stores.books) as connection:
        end_repairs(connection, stores.topic, [(place_of_block(one.block), one.generation) for one in written])
