"""Measured events to one-minute deltas for each meter, customer and group."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from core.limits import BLOCK_EVENTS_MAX, ENVELOPE_EVENTS_MAX, QUANTITY_DIGITS_MAX
from streams.arrow import one_chunk, to_schema
from streams.compiled import LATEST, UNIQUE, Compiled
from streams.dedupe import split_keys
from streams.measure import Measured, Pairs
from streams.numbers import QUANTITY
from streams.properties import PropertyTable
from streams.rows import UNIQUES_SCHEMA, WINDOWS_SCHEMA

Flags = npt.NDArray[np.bool_]

MINUTE_US = 60_000_000
NO_KEY = bytes(16)
WINDOW = ["meter_number", "customer_number", "minute", "group_key"]

# Grouped sums of decimals wrap silently. An event feeds a window once at most, so these bounds leave no way to.
assert (BLOCK_EVENTS_MAX + ENVELOPE_EVENTS_MAX) * 10**QUANTITY_DIGITS_MAX < 10**26, "a window could overflow"

# Characters that JSON writes otherwise than they are.
ESCAPED = r'["\\\x00-\x1f]'
SHORT = {"\b": "\\b", "\t": "\\t", "\n": "\\n", "\f": "\\f", "\r": "\\r", '"': '\\"', "\\": "\\\\"}
ESCAPES = {**{chr(code): f"\\u{code:04x}" for code in range(32)}, **SHORT}


@dataclass(frozen=True, slots=True)
class BlockPlace:
    """What every row of a block carries: when it was stored, and where it came from."""

    stored_at: datetime
    incarnation: int
    partition: int
    first_offset: int


def window_deltas(
    events: pa.Table, measured: Measured, counted: Flags, catalog: Compiled, place: BlockPlace
) -> tuple[pa.Table, pa.Table]:
    """The windows (WINDOWS_SCHEMA) and distinct values (UNIQUES_SCHEMA) of the events for which ``counted`` holds.

    Both are sorted by merchant, meter, customer, minute and group, so that the same events give the same rows in
    whatever order they came.
    """
    pairs = measured.pairs.of(counted[measured.pairs.row])
    occurred_us = np.asarray(one_chunk(events, "occurred_at").cast(pa.int64()))[pairs.row]
    frame = pl.DataFrame(
        {
            "meter_number": pairs.meter,
            "customer_number": measured.customer[pairs.row],
            "minute": occurred_us // MINUTE_US,
            "group_key": group_keys(pairs, measured.properties, catalog),
            "value": pairs.value,
            "text": pairs.text,
            "at_us": occurred_us,
            "row": pairs.row,
        }
    )
    windows = frame.group_by(WINDOW).agg(
        events=pl.len().cast(pl.UInt64),
        sum=pl.col("value").sum(),
        min=pl.col("value").min(),
        max=pl.col("value").max(),
        last_at_us=pl.col("at_us").max(),
    )
    aggregation = catalog.aggregation[pairs.meter]
    windows = with_latest(windows, frame.filter(pl.Series(aggregation == LATEST)), events)
    uniques = frame.filter(pl.Series(aggregation == UNIQUE)).select(*WINDOW, value="text").unique()
    return (
        to_schema(named(windows.sort(WINDOW), catalog, place), WINDOWS_SCHEMA),
        to_schema(named(uniques.sort(*WINDOW, "value"), catalog, place), UNIQUES_SCHEMA),
    )


def with_latest(windows: pl.DataFrame, latest: pl.DataFrame, events: pa.Table) -> pl.DataFrame:
    """Add what the youngest event of each window said, for the meters that ask; the larger key wins a tie.

    Counting meters sum up their events; what a meter does not use is zero.
    """
    rows = latest["row"].to_numpy()
    high, low = split_keys(one_chunk(events, "key").take(pa.array(rows)))
    youngest = (
        latest.with_columns(high=high, low=low)
        .sort("at_us", "high", "low")
        .group_by(WINDOW, maintain_order=True)
        .agg(last=pl.col("value").last(), row=pl.col("row").last())
    )
    keys = pl.Series(one_chunk(events, "key").take(pa.array(youngest["row"].to_numpy())).to_pylist(), dtype=pl.Binary)
    zero = pl.lit(0).cast(QUANTITY)
    return windows.join(youngest.with_columns(last_key=keys), on=WINDOW, how="left", nulls_equal=True).with_columns(
        pl.col("min", "max", "last").fill_null(zero), pl.col("last_key").fill_null(NO_KEY)
    )


def named(frame: pl.DataFrame, catalog: Compiled, place: BlockPlace) -> pl.DataFrame:
    """Put names in the places of numbers, and say where the rows came from."""
    meters = catalog.meters[frame["meter_number"]]
    customers = catalog.customers[frame["customer_number"]].select("customer_id", "subject")
    counting = pl.col("aggregation") == "count"
    result = pl.concat([frame, meters, customers], how="horizontal").with_columns(
        window_start=pl.from_epoch(pl.col("minute") * 60, time_unit="s").dt.replace_time_zone("UTC"),
        stored_at=pl.lit(place.stored_at, dtype=pl.Datetime("us", "UTC")),
        incarnation=pl.lit(place.incarnation, dtype=pl.UInt32),
        partition=pl.lit(place.partition, dtype=pl.UInt16),
        block_first=pl.lit(place.first_offset, dtype=pl.UInt64),
        restates=pl.lit(0, dtype=pl.UInt8),
    )
    if "last_at_us" not in frame.columns:
        return result
    return result.with_columns(
        sum=pl.when(counting).then(pl.col("events").cast(QUANTITY)).otherwise("sum"),
        last_at=pl.from_epoch("last_at_us", time_unit="us").dt.replace_time_zone("UTC"),
    )


def group_keys(pairs: Pairs, properties: PropertyTable, catalog: Compiled) -> pl.Series:
    """The group of each pair: '' for a meter without groups, else a JSON object of texts in the meter's order.

    A property that the event does not have is ``null`` in it, so that all keys of a meter have the same members.
    """
    parts: list[pl.Series] = []
    for wanted, prefixes in zip(catalog.group_properties, catalog.group_prefixes, strict=True):
        asked = wanted[pairs.meter]
        if not (asked >= 0).any():
            break
        texts = properties.fetch(pairs.row, asked)
        parts += [prefixes.gather(pairs.meter), json_texts(texts).zip_with(pl.Series(asked >= 0), blank(len(asked)))]
    if not parts:
        return blank(len(pairs.row))
    grouped = catalog.group_properties[0][pairs.meter] >= 0
    end = pl.Series(["", "}"], dtype=pl.String).gather(grouped.astype(np.int64))
    columns = [part.alias(str(place)) for place, part in enumerate([*parts, end])]
    return pl.DataFrame(columns).select(pl.concat_str(pl.all())).to_series()


def json_texts(texts: pl.Series) -> pl.Series:
    """Each text as JSON writes it, ``null`` where there is none."""
    special = texts.str.contains(ESCAPED).fill_null(value=False)
    if special.any():
        places = special.arg_true()
        escaped = texts.gather(places).str.replace_many(list(ESCAPES), list(ESCAPES.values()))
        texts = texts.scatter(places, escaped)
    return texts.to_frame("text").select(('"' + pl.col("text") + '"').fill_null("null")).to_series()


def blank(length: int) -> pl.Series:
    """Empty texts."""
    return pl.Series([""], dtype=pl.String).new_from_index(0, length)
