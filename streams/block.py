"""One block, from messages to rows: the whole of what the stream computes, as a function of its arguments alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import numpy as np
import pyarrow as pa

from core.limits import DEDUPE_HORIZON_DAYS
from streams.arrow import one_chunk, repeated
from streams.compiled import Compiled
from streams.dead_letter import DeadLetter, of_events, of_messages
from streams.decode import Message, gather
from streams.dedupe import FateCodes, judge_copies, split_keys
from streams.digest import digest_of
from streams.fills import Fill
from streams.key_index import KeyIndex, KeyRun
from streams.measure import REASONS, Measured, measure
from streams.rows import CONFLICT, DUPLICATE, EVENTS_SCHEMA, HELD, REJECTED, RETRACTION, STORED
from streams.sequences import SealedSequences
from streams.window import BlockPlace, window_deltas

HORIZON_S = int(timedelta(days=DEDUPE_HORIZON_DAYS).total_seconds())


@dataclass(frozen=True, slots=True)
class Counts:
    """received = stored + duplicates + conflicts + held + rejected + retractions; redelivered events stand outside.

    An unreadable message counts as one event received and one rejected.
    """

    received: int = 0
    stored: int = 0
    duplicates: int = 0
    conflicts: int = 0
    held: int = 0
    rejected: int = 0
    retractions: int = 0
    redelivered: int = 0


@dataclass(frozen=True, slots=True)
class Known:
    """What the sealed blocks of a partition left behind; the other half of a block's input."""

    index: KeyIndex
    sequences: SealedSequences
    unreadable_run: int = 0


@dataclass(frozen=True, slots=True)
class BlockResult:
    """Everything that a block leaves: rows for three tables, the ledger's line, and what the next block must know.

    ``watermark`` is the youngest receipt among the block's events; None for a block without any.
    """

    events: pa.Table
    windows: pa.Table
    uniques: pa.Table
    dead_letters: tuple[DeadLetter, ...]
    counts: Counts
    digest: str
    watermark: datetime | None
    claimed: KeyRun
    sequences: tuple[tuple[UUID, int], ...]
    unreadable_run: int
    fills: tuple[Fill, ...] = ()


def process_block(messages: Sequence[Message], place: BlockPlace, catalog: Compiled, known: Known) -> BlockResult:
    """Compute a block. The same arguments give the same bytes; nothing is read, written or remembered.

    ``known`` must hold the blocks before this one and no other. Raises ``Stop`` when too many messages in a row are
    unreadable.
    """
    delivery = gather(messages, known.sequences, known.unreadable_run)
    events = delivery.events
    measured = measure(events, catalog)
    high, low = split_keys(one_chunk(events, "key"))
    stored_s = int(place.stored_at.timestamp())
    verdicts = judge_copies(
        high,
        low,
        one_chunk(events, "body_hash").to_numpy(),
        measured.bad,
        known.index,
        since_s=stored_s - HORIZON_S,
        stored_s=stored_s,
    )
    fates = np.where((verdicts.fates == STORED) & (measured.reason > 0), HELD, verdicts.fates).astype(np.int8)
    rows = event_rows(events, measured, fates, catalog, place)
    windows, uniques = window_deltas(events, measured, fates == STORED, catalog, place)
    return BlockResult(
        events=rows,
        windows=windows,
        uniques=uniques,
        dead_letters=(
            *of_messages(delivery.unreadable),
            *of_events(events, np.flatnonzero(fates == REJECTED), measured, catalog),
        ),
        counts=count_fates(fates, len(delivery.unreadable), delivery.redelivered),
        digest=digest_of([rows, windows, uniques]),
        watermark=youngest(events),
        claimed=verdicts.claimed,
        sequences=delivery.sequences,
        unreadable_run=delivery.unreadable_run,
    )


def event_rows(
    events: pa.Table, measured: Measured, fates: FateCodes, catalog: Compiled, place: BlockPlace
) -> pa.Table:
    """The block's events as they are kept, in the order of the log (EVENTS_SCHEMA)."""
    count = events.num_rows
    # A copy has no reason of its own, whatever its first copy met.
    reason = np.where((fates == HELD) | (fates == REJECTED), measured.reason, 0)
    texts = catalog.customer_texts["customer_id"]
    customer = np.where(measured.customer < 0, len(texts) - 1, measured.customer)
    added = {
        "customer_id": texts.take(pa.array(customer)),
        "stored_at": repeated(place.stored_at, count, EVENTS_SCHEMA.field("stored_at").type),
        "fate": pa.array(fates),
        "reason": pa.array(REASONS).take(pa.array(reason)),
        "incarnation": repeated(place.incarnation, count, pa.uint32()),
        "partition": repeated(place.partition, count, pa.uint16()),
        "block_first": repeated(place.first_offset, count, pa.uint64()),
        "action": repeated(0, count, pa.int8()),
        "correction_id": repeated("", count, pa.string()),
    }
    columns = [
        added[field.name].cast(field.type) if field.name in added else one_chunk(events, field.name)
        for field in EVENTS_SCHEMA
    ]
    return pa.Table.from_arrays(columns, schema=EVENTS_SCHEMA)


def count_fates(fates: FateCodes, unreadable: int, redelivered: int) -> Counts:
    """The block's line of the ledger."""
    tally = np.bincount(fates, minlength=RETRACTION + 1).tolist()
    return Counts(
        received=len(fates) + unreadable,
        stored=tally[STORED],
        duplicates=tally[DUPLICATE],
        conflicts=tally[CONFLICT],
        held=tally[HELD],
        rejected=tally[REJECTED] + unreadable,
        retractions=tally[RETRACTION],
        redelivered=redelivered,
    )


def youngest(events: pa.Table) -> datetime | None:
    """The latest ``received_at``."""
    received = one_chunk(events, "received_at")
    if not len(received):
        return None
    latest = int(np.asarray(received.cast(pa.int64())).max())
    result: datetime = pa.scalar(latest, received.type).as_py()
    return result
