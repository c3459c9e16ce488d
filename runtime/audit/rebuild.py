"""A block made once more, from its stored events or from the log; the digest that was sealed proves it right."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

import numpy as np
import pyarrow as pa

from ingest.event import ENVELOPE_SCHEMA
from runtime.audit.blocks import Block
from runtime.audit.read_rows import Rows
from streams.block import Known, process_block
from streams.compiled import Compiled
from streams.decode import Message, Readable
from streams.digest import digest_of
from streams.key_index import KeyIndex
from streams.measure import measure
from streams.plan import Intent
from streams.rows import DELIVERED_COLUMNS, EVENTS, STORED, TABLES, UNIQUES, WINDOWS
from streams.sequences import SealedSequences
from streams.window import BlockPlace, window_deltas


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


def block_again(
    messages: Sequence[Message], block: Block, catalog: Compiled, index: KeyIndex, kept_offsets: frozenset[int]
) -> Rows:
    """The block's rows from the messages of the log and the keys that the partition's earlier blocks had claimed.

    Which envelopes had come before is known only as a count, so those are taken that left no event behind at their
    offset, if a count says that there were any.
    """
    known = Known(index, redelivered(messages, block, kept_offsets))
    result = process_block(messages, place_of(block.partition, block.intent), catalog, known)
    return {EVENTS: result.events, WINDOWS: result.windows, UNIQUES: result.uniques}


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
