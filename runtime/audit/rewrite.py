"""Rows of sealed blocks deleted and inserted again, many blocks at a time: what repairs and replays share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import pyarrow as pa
from sqlalchemy import Engine

from clickhouse.client import UsageStore
from runtime.audit.blocks import Block, Place
from runtime.audit.read_rows import BLOCKS_AT_ONCE, of_places
from streams.retry import Retry
from streams.store import ClickHouseStore, block_tokens


@dataclass(frozen=True, slots=True)
class Stores:
    """Where rows are written, and how patiently."""

    books: Engine
    usage: UsageStore
    topic: str
    retry: Retry


def delete_rows(stores: Stores, table: str, places: Sequence[Place]) -> None:
    """Delete the rows of some blocks; when it returns they are gone. Raises ``Stop`` when the store stays away.

    One mutation for as many blocks as can be named, of all partitions: each rewrites whole parts, and waits for its
    turn. Without blocks there is none.
    """
    for start in range(0, len(places), BLOCKS_AT_ONCE):
        condition, bound = of_places(places[start : start + BLOCKS_AT_ONCE])
        sql = f"ALTER TABLE {table} DELETE WHERE {condition} SETTINGS mutations_sync = 2"
        stores.retry(f"deleting from {table}", partial(stores.usage.command, sql, bound))


def insert_rows(stores: Stores, table: str, first: Block, generation: int, rows: Sequence[pa.Table]) -> None:
    """Insert the rows of some blocks, of which ``first`` is one, repaired in this generation. Raises ``Stop``.

    One insert makes one part, where one a block would leave many to merge. The first block's generation is in no other
    token, so that what goes under it is always the same.
    """
    token = f"{block_tokens(stores.topic, first.partition, first.intent)[table]}:r{generation}"
    together = pa.concat_tables(rows).combine_chunks()
    store = ClickHouseStore(stores.usage)
    stores.retry(f"inserting into {table}", lambda: store.insert(table, together, token))
