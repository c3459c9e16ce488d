"""Blocks that corrected or filled, made again: from their rows and from what lay before them in their partition.

They say windows anew from events of earlier blocks, so that their own events alone do not tell. Those before are the
same as when the block was made: rows are never changed, and later ones are left out by their time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import Connection, select

from ingest.correction import FillAsked, build_fill
from ingest.event import Envelope
from runtime.audit.blocks import Block
from runtime.audit.read_rows import Rows
from runtime.audit.rebuild import place_of
from streams.arrow import one_chunk
from streams.block import Known
from streams.compiled import Compiled
from streams.correct import Change, changed_windows
from streams.decode import Readable
from streams.fill import process_fill
from streams.key_index import KeyIndex
from streams.key_state import COUNTED, states_of
from streams.ledger import Lease
from streams.ledger_postgres import PostgresLedger
from streams.past import Past, past_of
from streams.retry import Retry
from streams.rows import EVENT, EVENTS, RETRACTION, STORED, UNIQUES, WINDOWS
from streams.sequences import SealedSequences
from streams.store import ClickHouseStore
from streams.tables import stream_fills

Place = tuple[int, int, int]


def place_of_block(block: Block) -> Place:
    """Incarnation, partition and first offset."""
    return block.incarnation, block.partition, block.first_offset


def load_fills(connection: Connection, topic: str) -> dict[Place, FillAsked]:
    """What each block that filled a meter was asked."""
    table = stream_fills.c
    return {
        (row.incarnation, row.partition, row.first_offset): FillAsked(
            row.fill_id, row.merchant_id, row.meter_id, row.starts_at, row.ends_at
        )
        for row in connection.execute(select(stream_fills).where(table.topic == topic))
    }


def corrects(stored: Rows) -> bool:
    """Whether a block's events are corrections; of events and corrections a block has only one kind."""
    return bool(pc.any(pc.not_equal(stored[EVENTS].column("action"), EVENT)).as_py())


@dataclass(frozen=True, slots=True)
class Before:
    """Finds what lay before a block of a topic; patiently."""

    ledger: PostgresLedger
    store: ClickHouseStore
    topic: str
    catalog: Callable[[int], Compiled]
    retry: Retry

    def past(self, block: Block) -> Past:
        """What its worker found before it. Raises ``Stop`` when a store stays out of reach."""
        nobody = Lease(self.topic, block.partition, "replay", 0)
        return past_of(self.ledger, self.store.history, self.catalog, self.retry, lease=nobody, intent=block.intent)


def corrections_again(block: Block, stored: Rows, catalog: Compiled, past: Past) -> Rows:
    """The stored corrections with the windows that they restate and add to."""
    events = stored[EVENTS].combine_chunks()
    fates = np.asarray(one_chunk(events, "fate"))
    originals = past.rows_of(sorted(set(events.column("merchant_id").to_pylist())), events.column("key").to_pylist())
    states = states_of(one_chunk(events, "key"), originals)
    gone = (states.state == COUNTED) & ((fates == STORED) | (fates == RETRACTION))
    removed = originals.take(pa.array(states.row[gone])).combine_chunks()
    change = Change(removed, events.filter(pa.array(fates == STORED)))
    windows, uniques = changed_windows(change, place_of(block.partition, block.intent), catalog, past)
    return {EVENTS: stored[EVENTS], WINDOWS: windows, UNIQUES: uniques}


def fill_again(block: Block, asked: FillAsked, catalog: Compiled, past: Past) -> Rows:
    """The windows that a fill said anew. Those before it must be right: it empties what they name."""
    message = Readable(block.first_offset, Envelope(UUID(int=0), 0, build_fill(asked, block.intended_at)))
    known = Known(KeyIndex(), SealedSequences())
    result = process_fill(message, place_of(block.partition, block.intent), catalog, known, past)
    return {EVENTS: result.events, WINDOWS: result.windows, UNIQUES: result.uniques}
