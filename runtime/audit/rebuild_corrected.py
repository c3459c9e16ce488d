"""Blocks of corrections and fills made once more: they read what lay before them, so that the audit must, too.

Rows of earlier blocks never change, and later ones are left out by their time: what such a block found then is found
again now, once the blocks before it are as they were sealed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import sleep
from typing import Any
from uuid import UUID

import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import Connection, Engine, Row, select

from clickhouse.client import UsageStore
from core.clock import Clock
from core.db import transaction
from ingest.correction import FillAsked, build_fill
from ingest.event import CORRECTION_SCHEMA, Envelope
from runtime.audit.blocks import Block, Place
from runtime.audit.read_rows import Rows
from streams.block import BlockResult, Known
from streams.compiled import Compiled
from streams.correct import process_corrections, without_rows
from streams.decode import Message, Readable
from streams.fill import process_fill
from streams.key_index import KeyIndex
from streams.ledger import Lease
from streams.ledger_postgres import PostgresLedger
from streams.past import Past, past_of
from streams.plan import Intent
from streams.retry import Retry, RetryPolicy
from streams.rows import EVENT, EVENTS, UNIQUES, WINDOWS
from streams.sequences import SealedSequences
from streams.store import ClickHouseStore
from streams.tables import stream_fills
from streams.window import BlockPlace

NOTHING_KNOWN = Known(KeyIndex(), SealedSequences())
NOBODY = UUID(int=0)


@dataclass(frozen=True, slots=True)
class Earlier:
    """Finds what a topic's blocks found before them. Raises ``Stop`` when a store stays out of reach."""

    books: Engine
    store: UsageStore
    topic: str
    catalog: Callable[[int], Compiled]
    clock: Clock

    def past(self, partition: int, intent: Intent) -> Past:
        """What lay before a block of a partition."""
        lease = Lease(self.topic, partition, "auditor", 0)
        history = ClickHouseStore(self.store).history
        retry = Retry(RetryPolicy(), self.clock, sleep)
        return past_of(PostgresLedger(self.books), history, self.catalog, retry, lease=lease, intent=intent)

    def before(self, block: Block) -> Past:
        """What lay before a sealed block."""
        return self.past(block.partition, block.intent)

    def fill(self, block: Block) -> FillAsked | None:
        """What meter a block filled, if it did."""
        table = stream_fills.c
        mine = select(stream_fills).where(
            table.topic == self.topic,
            table.incarnation == block.incarnation,
            table.partition == block.partition,
            table.first_offset == block.first_offset,
        )
        with transaction(self.books) as connection:
            row = connection.execute(mine).one_or_none()
        return None if row is None else as_asked(row)


def load_fills(connection: Connection, topic: str) -> dict[Place, FillAsked]:
    """What each block that filled a meter was asked."""
    found = connection.execute(select(stream_fills).where(stream_fills.c.topic == topic))
    return {(row.incarnation, row.partition, row.first_offset): as_asked(row) for row in found}


def as_asked(row: Row[Any]) -> FillAsked:
    """A row of ``stream_fills`` as what was asked."""
    return FillAsked(row.fill_id, row.merchant_id, row.meter_id, row.starts_at, row.ends_at)


def alone_in(messages: Sequence[Message]) -> Readable | None:
    """The message of a block of corrections or of a fill; None for a block of events."""
    first = messages[0] if len(messages) == 1 else None
    return first if isinstance(first, Readable) and first.alone else None


def alone_from_log(message: Readable, block: Block, catalog: Compiled, earlier: Earlier) -> Rows:
    """The block's rows from its message. One that the block left out as redelivered made none."""
    if message.envelope.kind == "fill":
        asked = earlier.fill(block)
        return rows_of(without_rows()) if asked is None else fill_again(asked, block, catalog, earlier)
    if block.redelivered:
        return rows_of(without_rows())
    return rows_of(process_corrections(message, place_of(block), catalog, NOTHING_KNOWN, earlier.before(block)))


def alone_from_events(rows: Rows, block: Block, catalog: Compiled, earlier: Earlier) -> Rows | None:
    """The stored events with the windows that their block made of them; None when it is a block of events."""
    events = rows[EVENTS]
    if not events.num_rows:
        asked = earlier.fill(block)
        return None if asked is None else fill_again(asked, block, catalog, earlier)
    if not pc.all(pc.not_equal(events.column("action"), EVENT)).as_py():
        return None
    message = message_from(events, block)
    again = process_corrections(message, place_of(block), catalog, NOTHING_KNOWN, earlier.before(block))
    return {**rows_of(again), EVENTS: events}


def message_from(events: pa.Table, block: Block) -> Readable:
    """The corrections of a block as their message had them, as far as their rows tell: all that they decided."""
    batch = pa.RecordBatch.from_arrays(
        [events.column(field.name).combine_chunks() for field in CORRECTION_SCHEMA], schema=CORRECTION_SCHEMA
    )
    return Readable(block.first_offset, Envelope(NOBODY, 0, batch))


def fill_again(asked: FillAsked, block: Block, catalog: Compiled, earlier: Earlier) -> Rows:
    """The windows that a fill said anew."""
    message = Readable(block.first_offset, Envelope(NOBODY, 0, build_fill(asked, block.intended_at)))
    return rows_of(process_fill(message, place_of(block), catalog, NOTHING_KNOWN, earlier.before(block)))


def rows_of(result: BlockResult) -> Rows:
    """A block's rows by table."""
    return {EVENTS: result.events, WINDOWS: result.windows, UNIQUES: result.uniques}


def place_of(block: Block) -> BlockPlace:
    """What every row of a block carries."""
    return BlockPlace(block.intended_at, block.incarnation, block.partition, block.first_offset)
