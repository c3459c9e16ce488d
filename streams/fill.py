"""A block that fills a meter: its windows of a span, said anew from the partition's earlier events."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

import polars as pl

from ingest.correction import FillAsked, read_fill
from streams.block import BlockResult, Known
from streams.compiled import Compiled
from streams.contribution import LABELS, contributions
from streams.correct import was_sealed, without_rows
from streams.decode import Readable
from streams.digest import digest_of
from streams.fills import Fill
from streams.history import EventSpan, WindowSpan
from streams.pair_up import METER
from streams.past import Past
from streams.restate import TOTALS, VALUES, as_rows, emptied, totals, values
from streams.rows import EVENTS_SCHEMA
from streams.rules import BEGINNING
from streams.window import BlockPlace

# So many events are measured at once, unless a single minute has more.
EVENTS_AT_ONCE = 200_000


def process_fill(message: Readable, place: BlockPlace, catalog: Compiled, known: Known, past: Past) -> BlockResult:
    """Restate every window of the meter that the partition has rows or events for. Arguments as for corrections.

    Events are measured by the block's own catalog. A meter that it does not have is left without usage. Filling again
    says the same again. The block counts no events, and leaves a line in the ledger by which rules are found.
    """
    if was_sealed(message, known):
        return without_rows()
    asked = read_fill(message.envelope.events)
    windows, uniques = [pl.DataFrame(schema=TOTALS)], [pl.DataFrame(schema=VALUES)]
    for span in slices(asked, catalog, past):
        found = contributions(past.counted_between(span), catalog).filter(pl.col("meter_id") == asked.meter_id)
        windows.append(totals(found, restates=True))
        uniques.append(values(found))
    there = past.windows_between(WindowSpan(asked.merchant_id, asked.meter_id, asked.starts_at, asked.ends_at))
    labels = there.with_columns(merchant_id=pl.lit(asked.merchant_id), meter_id=pl.lit(asked.meter_id)).select(LABELS)
    counted = pl.concat(windows)
    rows = EVENTS_SCHEMA.empty_table()
    window_rows, unique_rows = as_rows(pl.concat([counted, emptied(labels, counted)]), pl.concat(uniques), place)
    nothing = without_rows()
    return BlockResult(
        events=rows,
        windows=window_rows,
        uniques=unique_rows,
        dead_letters=(),
        counts=nothing.counts,
        digest=digest_of([rows, window_rows, unique_rows]),
        watermark=None,
        claimed=nothing.claimed,
        sequences=((message.envelope.producer, message.envelope.sequence),),
        unreadable_run=0,
        fills=(fill_of(asked, place, catalog),),
    )


def fill_of(asked: FillAsked, place: BlockPlace, catalog: Compiled) -> Fill:
    """What the ledger keeps of it."""
    return Fill(
        fill_id=asked.fill_id,
        merchant_id=asked.merchant_id,
        meter_id=asked.meter_id,
        starts_at=asked.starts_at,
        ends_at=asked.ends_at,
        catalog_version=catalog.version,
        filled_at=place.stored_at,
    )


def slices(asked: FillAsked, catalog: Compiled, past: Past) -> Iterator[EventSpan]:
    """The span in parts of whole minutes with few enough events each; none if the catalog has no such meter."""
    event_type = type_of(asked, catalog)
    if event_type is None:
        return
    busy = past.busy_minutes(EventSpan(asked.merchant_id, event_type, asked.starts_at, asked.ends_at))
    starts_at, events = asked.starts_at, 0
    for minute, count in busy.sort("minute").iter_rows():
        if events and events + count > EVENTS_AT_ONCE:
            ends_at: datetime = BEGINNING + timedelta(minutes=minute)
            yield EventSpan(asked.merchant_id, event_type, starts_at, ends_at)
            starts_at, events = ends_at, 0
        events += count
    if events:
        yield EventSpan(asked.merchant_id, event_type, starts_at, asked.ends_at)


def type_of(asked: FillAsked, catalog: Compiled) -> str | None:
    """The type of the events that the meter counts."""
    mine = (catalog.meters["meter_id"] == asked.meter_id) & (catalog.meters["merchant_id"] == asked.merchant_id)
    for meter in mine.arg_true().to_list():
        at = catalog.rules.members[:, METER].tolist().index(meter)
        return catalog.kind_types[int((catalog.rules.kind_bounds <= at).sum()) - 1]
    return None
