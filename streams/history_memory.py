"""``History`` on rows in memory: for simulations and tests, held to the same contract as ClickHouse."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from streams.arrow import column_of
from streams.history import DECIDERS, MINUTE_US, WINDOW_LABELS, Before, EventSpan, WindowSpan, counting
from streams.plan import Intent
from streams.rows import EVENT, EVENTS, RETRACTION, STORED, WINDOWS


class MemoryHistory:
    """Looks at the tables as they are when it is asked."""

    def __init__(self, tables: Callable[[str], pa.Table]) -> None:
        self._tables = tables

    def rows_of(self, before: Before, merchant_ids: Sequence[str], keys: Sequence[bytes]) -> pa.Table:
        """See ``History.rows_of``."""
        rows = self._before(EVENTS, before)
        wanted = pc.is_in(rows["key"].cast(pa.binary()), pa.array(keys, pa.binary()))
        return rows.filter(pc.and_(wanted, pc.is_in(rows["merchant_id"], pa.array(merchant_ids, pa.string()))))

    def counted_at(self, before: Before, places: pl.DataFrame) -> pa.Table:
        """See ``History.counted_at``."""
        rows = self._before(EVENTS, before)
        asked = pl.DataFrame(
            {name: column_of(rows, name) for name in ("merchant_id", "subject")} | {"minute": minutes_of(rows)}
        ).with_row_index("row")
        found = asked.join(places, on=["merchant_id", "subject", "minute"], how="semi")["row"].sort()
        return self._counting(rows, rows.take(pa.array(found.to_numpy())))

    def counted_between(self, before: Before, span: EventSpan) -> pa.Table:
        """See ``History.counted_between``."""
        rows = self._before(EVENTS, before)
        return self._counting(rows, rows.filter(in_span(rows, span)))

    def busy_minutes(self, before: Before, span: EventSpan) -> pl.DataFrame:
        """See ``History.busy_minutes``."""
        rows = self._before(EVENTS, before)
        rows = rows.filter(pc.and_(in_span(rows, span), pc.equal(rows["fate"], STORED)))
        minutes = pl.DataFrame({"minute": minutes_of(rows)})
        return minutes.group_by("minute").agg(events=pl.len().cast(pl.UInt64))

    def windows_between(self, before: Before, span: WindowSpan) -> pl.DataFrame:
        """See ``History.windows_between``."""
        rows = self._before(WINDOWS, before)
        kept = pc.and_(pc.equal(rows["merchant_id"], span.merchant_id), pc.equal(rows["meter_id"], span.meter_id))
        starts = rows["window_start"]
        kept = pc.and_(kept, pc.greater_equal(starts, pa.scalar(span.starts_at, starts.type)))
        kept = pc.and_(kept, pc.less(starts, pa.scalar(span.ends_at, starts.type)))
        rows = rows.filter(kept)
        names = [name for name in WINDOW_LABELS if name != "minute"]
        minutes = column_of(rows, "window_start").dt.epoch("s").cast(pl.Int64) // 60
        frame = pl.DataFrame({name: column_of(rows, name) for name in names} | {"minute": minutes})
        return frame.select(list(WINDOW_LABELS)).unique()

    def _before(self, table: str, before: Before) -> pa.Table:
        rows = self._tables(table)
        instant = pa.scalar(before.stored_before, rows["stored_at"].type)
        kept = pc.and_(pc.equal(rows["partition"], before.partition), pc.less(rows["stored_at"], instant))
        for intent in before.leaving_out:
            kept = pc.and_not(kept, of_block(rows, intent))
        return rows.filter(kept).combine_chunks()

    def _counting(self, rows: pa.Table, found: pa.Table) -> pa.Table:
        fates = pc.is_in(rows["fate"], pa.array([STORED, RETRACTION], pa.int8()))
        corrections = rows.filter(pc.and_(pc.not_equal(rows["action"], EVENT), fates))
        deciders = pl.DataFrame(
            {
                "key": pl.Series(corrections["key"].to_pylist(), dtype=pl.Binary),
                "stored_us": corrections["stored_at"].cast(pa.int64()).to_numpy(),
                "kafka_offset": corrections["kafka_offset"].to_numpy(),
                "position": corrections["position"].to_numpy(),
            },
            schema=DECIDERS,
        )
        last = deciders.sort("stored_us", "kafka_offset", "position").unique("key", keep="last", maintain_order=True)
        return counting(found.filter(pc.equal(found["fate"], STORED)).combine_chunks(), last)


def in_span(rows: pa.Table, span: EventSpan) -> pa.ChunkedArray:
    """Which events lie in a span."""
    at = rows["occurred_at"]
    mine = pc.and_(pc.equal(rows["merchant_id"], span.merchant_id), pc.equal(rows["type"], span.event_type))
    late = pc.greater_equal(at, pa.scalar(span.starts_at, at.type))
    return pc.and_(mine, pc.and_(late, pc.less(at, pa.scalar(span.ends_at, at.type))))


def minutes_of(rows: pa.Table) -> pl.Series:
    """The minute of each event, counted from 1970."""
    at_us = pl.Series(rows["occurred_at"].cast(pa.int64()).to_numpy(), dtype=pl.Int64)
    return at_us // MINUTE_US


def of_block(rows: pa.Table, intent: Intent) -> pa.ChunkedArray:
    """Which of a partition's rows belong to a block."""
    same_log = pc.equal(rows["incarnation"], intent.incarnation)
    return pc.and_(same_log, pc.equal(rows["block_first"], intent.first_offset))
