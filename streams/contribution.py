"""What single events add to which windows, by name: for the few events that corrections and fills touch.

The same as ``window_deltas`` groups by number; the names hold across catalog versions, the numbers do not.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from streams.arrow import column_of, one_chunk
from streams.compiled import COUNT, UNIQUE, Compiled
from streams.dedupe import split_keys
from streams.measure import Pairs, measure
from streams.numbers import QUANTITY
from streams.window import MINUTE_US, group_keys

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
    at_us = np.asarray(one_chunk(events, "occurred_at").cast(pa.int64()))[pairs.row]
    keys = one_chunk(events, "key").take(places)
    high, low = split_keys(keys)
    meters = catalog.meters[pairs.meter]
    return pl.DataFrame(
        {
            "row": rows,
            "merchant_id": meters["merchant_id"],
            "meter": meters["meter"],
            "subject": column_of(events, "subject").gather(rows),
            "minute": at_us // MINUTE_US,
            "group_key": group_keys(pairs, measured.properties, catalog),
            "aggregation": meters["aggregation"],
            "meter_id": meters["meter_id"],
            "customer_id": column_of(events, "customer_id").gather(rows),
            "value": pairs.value,
            "text": pairs.text,
            "at_us": at_us,
            "high": high,
            "low": low,
            "key": pl.Series(keys.to_pylist(), dtype=pl.Binary),
        },
        schema=CONTRIBUTIONS,
    )


def usable(pairs: Pairs, catalog: Compiled) -> npt.NDArray[np.bool_]:
    """For which pairs the meter found what it needs."""
    aggregation = catalog.aggregation[pairs.meter]
    there = pairs.value.is_not_null().to_numpy() | ((aggregation == UNIQUE) & pairs.text.is_not_null().to_numpy())
    result: npt.NDArray[np.bool_] = there | (aggregation == COUNT)
    return result
