"""A block store in memory: for simulations and tests, held to the same contract as ClickHouse."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from threading import Lock

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ingest.event import BACKFILL
from streams.arrow import one_chunk
from streams.dedupe import split_keys
from streams.history_memory import MemoryHistory
from streams.key_index import KeyRun, run_in_time
from streams.plan import Intent
from streams.rebuild import KeysWanted
from streams.rows import EVENT, EVENTS, HELD, SCHEMAS, STORED, TABLES


class MemoryStore:
    """``BlockStore`` for one process. ``tables`` holds the rows of each table."""

    def __init__(self) -> None:
        self.tables: dict[str, pa.Table] = {table: SCHEMAS[table].empty_table() for table in TABLES}
        self._tokens: set[tuple[str, str]] = set()
        self._inserting = Lock()

    def insert(self, table: str, rows: pa.Table, token: str) -> None:
        """See ``BlockStore.insert``. Like ClickHouse, no rows leave their token unused."""
        with self._inserting:
            if rows.num_rows == 0 or (table, token) in self._tokens:
                return
            self._tokens.add((table, token))
            self.tables[table] = pa.concat_tables([self.tables[table], rows]).combine_chunks()

    def keys(self, partition: int, horizon_from: datetime, leaving_out: Sequence[Intent]) -> KeyRun:
        """See ``BlockStore.keys``."""
        return self._keys(KeysWanted(partition, horizon_from, tuple(leaving_out)))

    def count_keys(self, wanted: KeysWanted) -> int:
        """See ``KeySource.count_keys``."""
        return len(self._keys(wanted))

    def read_keys(self, wanted: KeysWanted, first: int, last: int) -> KeyRun:
        """See ``KeySource.read_keys``."""
        found = self._keys(wanted)
        start, end = np.searchsorted(found.high, np.array([first, last], dtype=np.uint64))
        end += np.count_nonzero(found.high[end:] == last)
        return found.part(int(start), int(end))

    def _keys(self, wanted: KeysWanted) -> KeyRun:
        events = self.tables[EVENTS]
        recent = pc.greater_equal(events["stored_at"], wanted.horizon_from)
        kept = pc.and_(pc.equal(events["partition"], wanted.partition), recent)
        kept = pc.and_(kept, at_or_after(events, *wanted.after))
        kept = pc.and_(kept, pc.is_in(events["fate"], pa.array([STORED, HELD], pa.int8())))
        kept = pc.and_(kept, pc.is_in(events["action"], pa.array([EVENT, BACKFILL], pa.int8())))
        for intent in wanted.leaving_out:
            kept = pc.and_not(kept, in_block(events, wanted.partition, intent))
        found = events.filter(kept)
        high, low = split_keys(one_chunk(found, "key"))
        stored_us = np.asarray(one_chunk(found, "stored_at").cast(pa.int64()))
        return run_in_time(high, low, one_chunk(found, "body_hash").to_numpy(), stored_us)

    @property
    def history(self) -> MemoryHistory:
        """See ``BlockStore.history``."""
        return MemoryHistory(lambda table: self.tables[table])

    def forget(self, partition: int, intent: Intent) -> None:
        """See ``BlockStore.forget``."""
        for table, rows in self.tables.items():
            self.tables[table] = rows.filter(pc.invert(in_block(rows, partition, intent)))


def at_or_after(rows: pa.Table, incarnation: int, offset: int) -> pa.ChunkedArray:
    """Which rows are of blocks that begin at this offset of this life of the log, or later."""
    same_log = pc.equal(rows["incarnation"], incarnation)
    later = pc.and_(same_log, pc.greater_equal(rows["block_first"], offset))
    return pc.or_(pc.greater(rows["incarnation"], incarnation), later)


def in_block(rows: pa.Table, partition: int, intent: Intent) -> pa.ChunkedArray:
    """Which rows belong to a block."""
    same_log = pc.and_(pc.equal(rows["partition"], partition), pc.equal(rows["incarnation"], intent.incarnation))
    return pc.and_(same_log, pc.equal(rows["block_first"], intent.first_offset))
