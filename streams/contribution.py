"""What single events add to which windows, by name: for the few events that corrections and fills touch.

The same as ``window_deltas`` groups by number; the names hold across catalog versions, the numbers do not.
"""

from __future__ import annotations

import polars as pl
import pyarrow as pa

from streams.arrow import column_of, instants_of, one_chunk, series_of
from streams.compiled import COUNT, UNIQUE, Compiled
from streams.dedupe import split_keys
from streams.group_key import group_keys
from streams.measure import Pairs, measure
from streams.numbers import QUANTITY
from streams.pair_up import Flags, Properties
from streams.plain_number import decimals
from streams.texts import column_of_texts
from streams.window import MINUTE_US

# What a reader tells a partition's windows apart by.
WINDOW = ["merchant_id", "customer_id", "meter_id", "minute", "group_key"]
# What a row of ``usage_windows`` is named by; in the order in which a block's rows are sorted.
LABELS = ["merchant_id", "meter", "subject", "minute", "group_key", "aggregation", "meter_id", "customer_id"]
CONTRIBUTIONS = {
    "row": pl.Int64(),
    **dict.fromkeys(LABELS, pl.String()),
    "minute": pl.Int64(),
    "value": QUANTITY,
    "text": pl.String(),
    "at_us": pl.Int64(),
    "high": pl.UInt64(),
    "low": pl.UInt64(),
    "key": pl.Binary(),
}


def contributions(events: pa.Table, catalog: Compiled) -> pl.DataFrame:
    """What stored events (EVENTS_SCHEMA) add by the rules of a catalog: CONTRIBUTIONS, ``row`` by place.

    An event of which a meter cannot use the value adds nothing to that meter. That cannot be under the rules by which
    it was stored; a fill may meet it. Whose an event is was settled when it was stored.
    """
    measured = measure(events, catalog)
    pairs = measured.pairs.of(usable(measured.pairs, catalog))
    rows, places = pl.Series(pairs.row, dtype=pl.Int64), pa.array(pairs.row)
    at_us = instants_of(events, "occurred_at")[pairs.row]
    keys = one_chunk(events, "key").take(places)
    high, low = split_keys(keys)
    meters = catalog.meters[pairs.meter]
    group, texts = group_keys(pairs, measured.properties, catalog)
    return pl.DataFrame(
        {
            "row": rows,
            "merchant_id": meters["merchant_id"],
            "meter": meters["meter"],
            "subject": column_of(events, "subject").gather(rows),
            "minute": at_us // MINUTE_US,
            "group_key": series_of(texts.take(pa.array(group))),
            "aggregation": meters["aggregation"],
            "meter_id": meters["meter_id"],
            "customer_id": column_of(events, "customer_id").gather(rows),
            "value": decimals(pairs.words, pairs.there),
            "text": listed_texts(pairs, measured.properties, catalog),
            "at_us": at_us,
            "high": high,
            "low": low,
            "key": pl.Series(keys.to_pylist(), dtype=pl.Binary),
        },
        schema=CONTRIBUTIONS,
    )


def usable(pairs: Pairs, catalog: Compiled) -> Flags:
    """For which pairs the meter found what it needs."""
    aggregation = catalog.aggregation[pairs.meter]
    result: Flags = pairs.there | ((aggregation == UNIQUE) & (pairs.said >= 0)) | (aggregation == COUNT)
    return result


def listed_texts(pairs: Pairs, properties: Properties, catalog: Compiled) -> pl.Series:
    """What each pair lists; null for those that do not."""
    lists = (catalog.aggregation[pairs.meter] == UNIQUE) & (pairs.said >= 0)
    return series_of(column_of_texts(properties.texts).take(pa.array(pairs.said, mask=~lists)))
