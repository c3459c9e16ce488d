"""Where a block's rows rest: what the stream asks of ClickHouse, and how it asks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Protocol

import polars as pl
import pyarrow as pa

from core.limits import DEDUPE_HORIZON_DAYS
from streams.history import History
from streams.history_clickhouse import ClickHouseHistory
from streams.key_index import KeyRun
from streams.native import native_block
from streams.plan import Intent
from streams.rebuild import KeysWanted, claimed_keys, count_keys, read_keys
from streams.rows import TABLES
from streams.table_order import ORDERS

OF_BLOCK = "incarnation = {incarnation:UInt32} AND partition = {partition:UInt16} AND block_first = {first:UInt64}"


class UsageSink(Protocol):
    """The part of ``clickhouse.client.UsageStore`` that the stream needs. All raise ``Transient`` when out of reach."""

    def insert_frame(self, table: str, frame: pl.DataFrame | pa.Table, *, token: str) -> None:
        """Insert rows under a token; the same token again adds nothing, whatever the rows."""

    def insert_native(self, table: str, names: Sequence[str], rows: bytes, *, token: str) -> None:
        """The same for a block of rows in ClickHouse's own format."""

    def query_frame(self, sql: str, parameters: Mapping[str, object] | None = None) -> pl.DataFrame:
        """Run a SELECT."""

    def command(self, sql: str, parameters: Mapping[str, object] | None = None) -> None:
        """Run a statement that returns nothing."""


class BlockStore(Protocol):
    """Keeps the rows of blocks, each table's rows of a block at most once."""

    def insert(self, table: str, rows: pa.Table, token: str) -> None:
        """Store rows under a token. A repeat with the same token is harmless, and stores nothing."""

    def keys(self, partition: int, horizon_from: datetime, leaving_out: Sequence[Intent]) -> KeyRun:
        """The keys that a partition's blocks claimed since ``horizon_from``, but for those of some blocks."""

    def forget(self, partition: int, intent: Intent) -> None:
        """Remove a block's rows; when it returns they are gone. A block without rows costs little.

        Whoever still has an insert of them under way brings them back: ask again later.
        """

    @property
    def history(self) -> History:
        """Answers what corrections ask of the rows before them."""


def block_tokens(topic: str, partition: int, intent: Intent) -> dict[str, str]:
    """The insert token of each table for one block."""
    base = f"{topic}:{intent.incarnation}:{partition}:{intent.first_offset}:{intent.last_offset}"
    events, windows, uniques = TABLES
    return {events: base, windows: f"{base}:windows", uniques: f"{base}:uniques"}


class ClickHouseStore:
    """``BlockStore`` on ClickHouse."""

    def __init__(self, usage: UsageSink) -> None:
        self._usage = usage

    def insert(self, table: str, rows: pa.Table, token: str) -> None:
        """See ``BlockStore.insert``."""
        # An insert without rows is none, and leaves its token unused.
        if table in ORDERS and rows.num_rows:
            self._usage.insert_native(table, rows.column_names, native_block(table, rows), token=token)
        else:
            self._usage.insert_frame(table, rows, token=token)

    def keys(self, partition: int, horizon_from: datetime, leaving_out: Sequence[Intent]) -> KeyRun:
        """See ``BlockStore.keys``."""
        return claimed_keys(self._usage.query_frame, KeysWanted(partition, horizon_from, tuple(leaving_out)))

    def count_keys(self, wanted: KeysWanted) -> int:
        """See ``KeySource.count_keys``."""
        return count_keys(self._usage.query_frame, wanted)

    def read_keys(self, wanted: KeysWanted, first: int, last: int) -> KeyRun:
        """See ``KeySource.read_keys``."""
        return read_keys(self._usage.query_frame, wanted, first, last)

    @property
    def history(self) -> History:
        """See ``BlockStore.history``."""
        return ClickHouseHistory(self._usage.query_frame)

    def forget(self, partition: int, intent: Intent) -> None:
        """See ``BlockStore.forget``."""
        place = {"incarnation": intent.incarnation, "partition": partition, "first": intent.first_offset}
        for table in TABLES:
            # A mutation rewrites parts; most blocks that are given up had not come so far.
            found = self._usage.query_frame(f"SELECT count() AS rows FROM {table} WHERE {OF_BLOCK}", place)
            if found["rows"][0]:
                self._usage.command(f"ALTER TABLE {table} DELETE WHERE {OF_BLOCK} SETTINGS mutations_sync = 2", place)


def horizon_start(at: datetime) -> datetime:
    """From when on keys count for a block of that time, a second early to be safe against rounding."""
    return at - timedelta(days=DEDUPE_HORIZON_DAYS, seconds=1)
