"""A block made once more, from its stored events or from the log; the digest that was sealed proves it right."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import numpy as np
import pyarrow as pa

from clickhouse.client import UsageStore
from ingest.event import ENVELOPE_SCHEMA
from runtime.audit.blocks import Block
from runtime.audit.read_rows import Rows
from streams.block import Known, process_block
from streams.compiled import Compiled
from streams.decode import Message, Readable
from streams.digest import digest_of
from streams.key_index import KeyIndex, KeyRun
from streams.measure import measure
from streams.plan import Intent
from streams.rebuild import HIGH, LOW
from streams.rows import DELIVERED_COLUMNS, EVENTS, STORED, TABLES, UNIQUES, WINDOWS
from streams.sequences import SealedSequences
from streams.store import horizon_start
from streams.window import BlockPlace, window_deltas

# Blocks of a partition are announced one after the other, so that an earlier time is an earlier block. As in
# ``streams.rebuild``, corrections claim no keys, but for what a backfill holds.
CLAIMED_BEFORE = f"""
    SELECT {HIGH} AS high, {LOW} AS low, body_hash AS body, toUInt32(stored_at) AS stored_s
    FROM usage_events
    WHERE partition = {{partition:UInt16}} AND fate IN ('stored', 'held') AND action IN ('event', 'backfill')
        AND stored_at >= {{since:DateTime64(6, 'UTC')}} AND stored_at < {{before:DateTime64(6, 'UTC')}}
    ORDER BY high, low, stored_at, kafka_offset, position
"""


def digest_of_rows(rows: Rows) -> str:
    """The digest as the stream takes it when it seals a block."""
    return digest_of([rows[table] for table in TABLES])


def place_of(partition: int, intent: Intent) -> BlockPlace:
    """What every row of a block carries."""
    return BlockPlace(intent.intended_at, intent.incarnation, partition, intent.first_offset)


def windows_again(events: pa.Table, block: Block, catalog: Compiled) -> Rows:
    """The same events with the windows and distinct values that they add up to, by the block's own catalog."""
    delivered = pa.Table.from_arrays(
        [events.column(field.name) for field in ENVELOPE_SCHEMA]
        + [events.column(name).cast(kind) for name, kind in DELIVERED_COLUMNS],
        names=[*ENVELOPE_SCHEMA.names, *(name for name, _ in DELIVERED_COLUMNS)],
    ).combine_chunks()
    measured = measure(delivered, catalog)
    counted = np.asarray(events.column("fate").combine_chunks()) == STORED
    windows, uniques = window_deltas(delivered, measured, counted, catalog, place_of(block.partition, block.intent))
    return {EVENTS: events, WINDOWS: windows, UNIQUES: uniques}


def block_again(messages: Sequence[Message], block: Block, catalog: Compiled, known: Known) -> Rows:
    """The block's rows from the messages of the log."""
    result = process_block(messages, place_of(block.partition, block.intent), catalog, known)
    return {EVENTS: result.events, WINDOWS: result.windows, UNIQUES: result.uniques}


def known_before(store: UsageStore, block: Block, messages: Sequence[Message], kept_offsets: frozenset[int]) -> Known:
    """What the partition's earlier blocks had left behind when this block was made.

    The keys are those of the store. Which envelopes had come before is known only as a count, so those are taken
    that left no event behind at their offset, if a count says that there were any.
    """
    keys = keys_before(store, block.partition, block.intended_at)
    return Known(KeyIndex().with_added(keys, 0), redelivered(messages, block, kept_offsets))


def keys_before(store: UsageStore, partition: int, before: datetime) -> KeyRun:
    """The keys that a partition's blocks claimed before an instant, within the horizon."""
    found = store.query_frame(
        CLAIMED_BEFORE, {"partition": partition, "since": horizon_start(before), "before": before}
    )
    return KeyRun(
        found["high"].to_numpy().astype(np.uint64),
        found["low"].to_numpy().astype(np.uint64),
        found["body"].to_numpy().astype(np.uint64),
        found["stored_s"].to_numpy().astype(np.uint32),
    )


def redelivered(messages: Sequence[Message], block: Block, kept_offsets: frozenset[int]) -> SealedSequences:
    """The envelopes that the block left out, as a set."""
    if not block.redelivered:
        return SealedSequences()
    left_out: list[tuple[UUID, int]] = [
        (message.envelope.producer, message.envelope.sequence)
        for message in messages
        if isinstance(message, Readable) and message.offset not in kept_offsets
    ]
    return SealedSequences().with_added(left_out)
