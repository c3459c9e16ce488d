"""The keys that a partition's earlier blocks had claimed, for one block after the other in the order of the log."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from clickhouse.client import UsageStore
from ingest.event import BACKFILL
from streams.arrow import one_chunk
from streams.dedupe import split_keys
from streams.key_index import KeyIndex, KeyRun, run_in_time, sorted_run
from streams.rebuild import HIGH, LOW
from streams.rows import EVENT, HELD, STORED
from streams.store import horizon_start

# Blocks of a partition are announced one after the other, so that an earlier time is an earlier block. As in
# ``streams.rebuild``, corrections claim no keys, but for what a backfill holds.
CLAIMED = f"""
    SELECT {HIGH} AS high, {LOW} AS low, body_hash AS body, toUnixTimestamp64Micro(stored_at) AS stored_us
    FROM usage_events
    WHERE partition = {{partition:UInt16}} AND fate IN ('stored', 'held') AND action IN ('event', 'backfill')
        AND stored_at >= {{since:DateTime64(6, 'UTC')}} AND stored_at < {{before:DateTime64(6, 'UTC')}}
    ORDER BY stored_us, kafka_offset, position
"""
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
FOR_EVER = 0

Words = npt.NDArray[np.uint64]
Times = npt.NDArray[np.int64]
# High and low words, hashes of bodies, and times, in the order of these.
Claims = tuple[Words, Words, Words, Times]


class KeysBefore:
    """Reads the store once for as many blocks as are asked for next.

    What a block that was made again claims counts in place of what is stored of it.
    """

    def __init__(self, store: UsageStore, partition: int) -> None:
        self._store = store
        self._partition = partition
        self._index = KeyIndex()
        # Keys of blocks before the first instant are in the index, those until the second have been read.
        self._counted: datetime | None = None
        self._read: datetime | None = None
        self._ahead: Claims | None = None
        self._claimed: dict[int, KeyRun] = {}

    def before(self, at: datetime, until: datetime) -> KeyIndex:
        """The keys of blocks before ``at``, never earlier than the last time; ``until`` is when the last that will be
        asked for was announced. Raises ``Transient``.
        """
        if self._ahead is None or self._read is None or at > self._read:
            self._ahead, self._read = self._claims(at, until), until
        high, low, body, stored_us = self._ahead
        new = slice(0, int(np.searchsorted(stored_us, micros(at))))
        self._ahead = (high[new.stop :], low[new.stop :], body[new.stop :], stored_us[new.stop :])
        stored = ~np.isin(stored_us[new], np.fromiter(self._claimed, np.int64))
        run = run_in_time(high[new][stored], low[new][stored], body[new][stored], stored_us[new][stored])
        for added in (run, *self._claimed.values()):
            self._index = self._index.with_added(added, FOR_EVER)
        self._claimed, self._counted = {}, at
        return self._index

    def count(self, at: datetime, events: pa.Table) -> None:
        """The events of a block of this instant, not before the last one asked for, were made again."""
        counted = pc.and_(
            pc.is_in(events.column("fate"), pa.array([STORED, HELD], pa.int8())),
            pc.is_in(events.column("action"), pa.array([EVENT, BACKFILL], pa.int8())),
        )
        some = events.select(["key", "body_hash"]).filter(counted)
        if not some.num_rows:
            return
        high, low = split_keys(one_chunk(some, "key"))
        stored_s = np.full(len(high), int(at.timestamp()), np.uint32)
        self._claimed[micros(at)] = sorted_run(high, low, one_chunk(some, "body_hash").to_numpy(), stored_s)

    def forget_ahead(self) -> None:
        """What was read ahead may have been written anew."""
        self._ahead = self._read = None

    def _claims(self, at: datetime, until: datetime) -> Claims:
        since = horizon_start(at) if self._counted is None else self._counted
        found = self._store.query_frame(CLAIMED, {"partition": self._partition, "since": since, "before": until})
        high, low, body = (found[name].to_numpy().astype(np.uint64) for name in ("high", "low", "body"))
        return high, low, body, found["stored_us"].to_numpy().astype(np.int64)


def micros(at: datetime) -> int:
    """Microseconds since 1970."""
    return (at - EPOCH) // timedelta(microseconds=1)
