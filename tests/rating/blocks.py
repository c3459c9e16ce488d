"""Blocks as the stream writes them, by its own code, with the freedom to store one more often than the stream would."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from itertools import count

from sqlalchemy import insert

from catalog.snapshot import load_snapshot
from catalog.version import current_version
from core.db import transaction
from streams.block import BlockResult, Known, process_block
from streams.compiled import compile_catalog
from streams.key_index import KeyIndex
from streams.rows import EVENTS, UNIQUES, WINDOWS
from streams.sequences import SealedSequences
from streams.tables import stream_blocks
from streams.window import BlockPlace
from tests.rating.month import NOON, Month
from tests.streams.builders import Said, messages

TOKENS = count()
TOPIC = "usage"


def block_of(month: Month, events: Sequence[Said], first_offset: int = 0, stored_at: datetime = NOON) -> BlockResult:
    """A block of one message, by the catalog as it is now, knowing of no block before it."""
    with transaction(month.books) as connection:
        version = current_version(connection)
        catalog = compile_catalog(load_snapshot(connection, version))
        connection.execute(
            insert(stream_blocks).values(
                topic=TOPIC,
                incarnation=1,
                partition=0,
                first_offset=first_offset,
                last_offset=first_offset,
                catalog_version=version,
                epoch=1,
                state="sealed",
                intended_at=stored_at,
                sealed_at=stored_at,
                **dict.fromkeys(("received", "stored"), len(events)),
                **dict.fromkeys(("duplicates", "conflicts", "held", "rejected", "redelivered"), 0),
            )
        )
    place = BlockPlace(stored_at, 1, 0, first_offset)
    known = Known(KeyIndex(), SealedSequences({}))
    return process_block(messages([events], first_offset), place, catalog, known)


def put_block(month: Month, block: BlockResult, *tables: str) -> None:
    """Store a block's rows, all or those of some tables, under tokens that were never used."""
    rows = {EVENTS: block.events, WINDOWS: block.windows, UNIQUES: block.uniques}
    for table in tables or rows:
        month.store.insert_frame(table, rows[table], token=f"block-{next(TOKENS)}")


def merchant_of(month: Month, subject: str) -> str:
    """The merchant of a customer."""
    priced = month.priced()
    return str(priced.filter(priced["subject"] == subject)["merchant_id"][0])
