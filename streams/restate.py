"""Contributions to the rows of windows: deltas that add to earlier rows, and windows restated in their place."""

from __future__ import annotations

import polars as pl
import pyarrow as pa

from streams.arrow import to_schema
from streams.contribution import LABELS
from streams.numbers import QUANTITY
from streams.rows import UNIQUES_SCHEMA, WINDOWS_SCHEMA
from streams.window import NO_KEY, BlockPlace

TOTALS = {
    **dict.fromkeys(LABELS, pl.String()),
    "minute": pl.Int64(),
    "events": pl.UInt64(),
    "sum": QUANTITY,
    "min": QUANTITY,
    "max": QUANTITY,
    "last_at_us": pl.Int64(),
    "last_key": pl.Binary(),
    "last": QUANTITY,
    "restates": pl.UInt8(),
}
VALUES = {**dict.fromkeys(LABELS, pl.String()), "minute": pl.Int64(), "value": pl.String()}


def totals(found: pl.DataFrame, *, restates: bool) -> pl.DataFrame:
    """What contributions add up to in each window (TOTALS); what a meter does not use is zero."""
    zero = pl.lit(0).cast(QUANTITY)
    latest = pl.col("aggregation").first() == "latest"
    return (
        found.sort("at_us", "high", "low")
        .group_by(LABELS, maintain_order=True)
        .agg(
            events=pl.len().cast(pl.UInt64),
            sum=pl.when(pl.col("aggregation").first() == "count")
            .then(pl.len().cast(QUANTITY))
            .otherwise(pl.col("value").sum()),
            min=pl.col("value").min().fill_null(zero),
            max=pl.col("value").max().fill_null(zero),
            last_at_us=pl.col("at_us").max(),
            # The youngest event of the window; the larger key wins a tie.
            last_key=pl.when(latest).then(pl.col("key").last()).otherwise(pl.lit(NO_KEY)),
            last=pl.when(latest).then(pl.col("value").last()).otherwise(zero),
        )
        .with_columns(restates=pl.lit(int(restates)))
        .select(pl.col(name).cast(kind) for name, kind in TOTALS.items())
    )


def emptied(labels: pl.DataFrame, left: pl.DataFrame) -> pl.DataFrame:
    """Rows (TOTALS) without events for the windows that were there (LABELS) and are not any more."""
    gone = labels.select(LABELS).unique().join(left.select(LABELS), on=LABELS, how="anti")
    zero = pl.lit(0).cast(QUANTITY)
    return gone.with_columns(
        events=pl.lit(0),
        sum=zero,
        min=zero,
        max=zero,
        last_at_us=pl.lit(0),
        last_key=pl.lit(NO_KEY),
        last=zero,
        restates=pl.lit(1),
    ).select(pl.col(name).cast(kind) for name, kind in TOTALS.items())


def values(found: pl.DataFrame) -> pl.DataFrame:
    """The distinct values (VALUES) that contributions bring to the windows of unique meters."""
    listed = found.filter(pl.col("aggregation") == "unique").select(*LABELS, value="text")
    return listed.unique().select(pl.col(name).cast(kind) for name, kind in VALUES.items())


def as_rows(windows: pl.DataFrame, uniques: pl.DataFrame, place: BlockPlace) -> tuple[pa.Table, pa.Table]:
    """TOTALS and VALUES as WINDOWS_SCHEMA and UNIQUES_SCHEMA, in the order in which the audit reads a block."""
    placed = {
        "stored_at": pl.lit(place.stored_at, dtype=pl.Datetime("us", "UTC")),
        "incarnation": pl.lit(place.incarnation, dtype=pl.UInt32),
        "partition": pl.lit(place.partition, dtype=pl.UInt16),
        "block_first": pl.lit(place.first_offset, dtype=pl.UInt64),
        "window_start": pl.from_epoch(pl.col("minute") * 60, time_unit="s").dt.replace_time_zone("UTC"),
    }
    last_at = pl.from_epoch("last_at_us", time_unit="us").dt.replace_time_zone("UTC")
    value_order = [*LABELS[:5], "value", *LABELS[6:]]
    return (
        to_schema(windows.sort(LABELS).with_columns(last_at=last_at, **placed), WINDOWS_SCHEMA),
        to_schema(uniques.sort(value_order).with_columns(**placed), UNIQUES_SCHEMA),
    )
