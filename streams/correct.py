"""A block of corrections: events taken back, replaced, counted at last, or held, and the windows that this changes.

The block is one message. Its rows are a function of the message, of the partition's rows in the blocks before it, and
of the catalogs and fills by which those were measured.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from ingest.event import BACKFILL
from streams.arrow import column_of, one_chunk
from streams.block import BlockResult, Counts, Known, count_fates, event_rows, youngest
from streams.compiled import Compiled
from streams.contribution import WINDOW, contributions
from streams.dead_letter import of_events
from streams.decode import Readable, joined
from streams.dedupe import FateCodes, split_keys
from streams.digest import digest_of
from streams.history import PLACES
from streams.judge_corrections import WHY, Fates, judge
from streams.key_index import KeyRun, sorted_run
from streams.key_state import COUNTED, States, states_of
from streams.measure import measure
from streams.past import Past
from streams.restate import as_rows, emptied, totals, values
from streams.rows import EVENTS_SCHEMA, HELD, REJECTED, RETRACTION, STORED, UNIQUES_SCHEMA, WINDOWS_SCHEMA
from streams.rules import contributions_by_rules
from streams.window import BlockPlace

# What a retraction repeats of the event that it takes back.
REPEATED = ("type", "subject", "customer_id", "occurred_at", "properties", "body_hash")


@dataclass(frozen=True, slots=True)
class Change:
    """What a block does to the events that count: rows (EVENTS_SCHEMA) that go, and rows that come."""

    removed: pa.Table
    added: pa.Table


def process_corrections(
    message: Readable, place: BlockPlace, catalog: Compiled, known: Known, past: Past
) -> BlockResult:
    """Compute a block of corrections. The same arguments give the same bytes; nothing is written or remembered.

    ``known`` and ``past`` must hold the blocks before this one and no other.
    """
    if was_sealed(message, known):
        return without_rows(redelivered=message.rows)
    events = joined([message])
    measured = measure(events, catalog)
    originals = past.rows_of(sorted(set(events.column("merchant_id").to_pylist())), events.column("key").to_pylist())
    states = states_of(one_chunk(events, "key"), originals)
    judged = judge(events, measured, states, originals)
    fates = judged.fates
    rows = with_corrections(event_rows(events, measured, fates, catalog, place), events, judged)
    rows = with_repeated(rows, fates, originals, states)
    gone = (states.state == COUNTED) & ((fates == STORED) | (fates == RETRACTION))
    removed = originals.take(pa.array(states.row[gone])).combine_chunks()
    windows, uniques = changed_windows(Change(removed, rows.filter(pa.array(fates == STORED))), place, catalog, past)
    return BlockResult(
        events=rows,
        windows=windows,
        uniques=uniques,
        dead_letters=tuple(of_events(events, np.flatnonzero(fates == REJECTED), measured, catalog)),
        counts=count_fates(fates, 0, 0),
        digest=digest_of([rows, windows, uniques]),
        watermark=youngest(events),
        claimed=claimed(events, fates, place),
        sequences=((message.envelope.producer, message.envelope.sequence),),
        unreadable_run=0,
    )


def was_sealed(message: Readable, known: Known) -> bool:
    """Whether the message is a second delivery."""
    return (message.envelope.producer, message.envelope.sequence) in known.sequences


def without_rows(*, redelivered: int = 0) -> BlockResult:
    """The block of a message that leaves no rows."""
    rows, windows, uniques = (schema.empty_table() for schema in (EVENTS_SCHEMA, WINDOWS_SCHEMA, UNIQUES_SCHEMA))
    return BlockResult(
        events=rows,
        windows=windows,
        uniques=uniques,
        dead_letters=(),
        counts=Counts(redelivered=redelivered),
        digest=digest_of([rows, windows, uniques]),
        watermark=None,
        claimed=no_keys(),
        sequences=(),
        unreadable_run=0,
    )


def with_corrections(rows: pa.Table, events: pa.Table, judged: Fates) -> pa.Table:
    """Event rows with what they do, by whose word, and why they wait."""
    given = {
        "action": one_chunk(events, "action"),
        "correction_id": one_chunk(events, "correction_id"),
        "reason": pa.array(WHY).take(pa.array(judged.why)),
    }
    return replaced(rows, given)


def with_repeated(rows: pa.Table, fates: FateCodes, originals: pa.Table, states: States) -> pa.Table:
    """Retractions with the content of what they take back, so that the row alone tells what no longer counts."""
    own = np.arange(rows.num_rows)
    source = pa.array(np.where(fates == RETRACTION, rows.num_rows + states.row, own))
    both = pa.concat_tables([rows.select(REPEATED), originals.select(REPEATED)]).combine_chunks().take(source)
    return replaced(rows, {name: one_chunk(both, name) for name in REPEATED})


def replaced(rows: pa.Table, given: dict[str, pa.Array]) -> pa.Table:
    """Rows with some columns exchanged."""
    columns = [
        given[field.name].cast(field.type) if field.name in given else rows.column(field.name)
        for field in EVENTS_SCHEMA
    ]
    return pa.Table.from_arrays(columns, schema=EVENTS_SCHEMA).combine_chunks()


def changed_windows(change: Change, place: BlockPlace, catalog: Compiled, past: Past) -> tuple[pa.Table, pa.Table]:
    """The rows of windows and distinct values that a change makes.

    A window that loses an event is restated whole, from the events that are left in the partition and those that are
    new: what an event added to a minimum or to distinct values cannot be subtracted. Others get a delta.
    """
    lost = contributions_by_rules(change.removed, past)
    new = contributions(change.added.combine_chunks(), catalog)
    left = surviving(change.removed, lost, past)
    restated = pl.concat([left, new.join(lost, on=WINDOW, how="semi")])
    deltas = new.join(lost, on=WINDOW, how="anti")
    whole = totals(restated, restates=True)
    windows = pl.concat([whole, emptied(lost, whole), totals(deltas, restates=False)])
    return as_rows(windows, pl.concat([values(restated), values(deltas)]), place)


def surviving(removed: pa.Table, lost: pl.DataFrame, past: Past) -> pl.DataFrame:
    """What the partition's other events add to the windows that lose one."""
    places = lost.select(list(PLACES)).unique()
    if places.is_empty():
        return lost.clear()
    others = past.counted_at(places)
    gone = pa.array(removed.column("key").to_pylist(), pa.binary())
    others = others.filter(pc.invert(pc.is_in(others.column("key").cast(pa.binary()), gone))).combine_chunks()
    return contributions_by_rules(others, past).join(lost, on=WINDOW, how="semi")


def claimed(events: pa.Table, fates: FateCodes, place: BlockPlace) -> KeyRun:
    """The keys of the events that a backfill brought: a copy of them is a duplicate from now on."""
    held = events.filter(pa.array((one_chunk(events, "action").to_numpy() == BACKFILL) & (fates == HELD)))
    high, low = split_keys(one_chunk(held.combine_chunks(), "key"))
    body = column_of(held, "body_hash").to_numpy()
    return sorted_run(high, low, body, np.full(len(high), int(place.stored_at.timestamp()), dtype=np.uint32))


def no_keys() -> KeyRun:
    """No keys at all."""
    nothing = np.zeros(0, dtype=np.uint64)
    return KeyRun(nothing, nothing, nothing, nothing.astype(np.uint32))
