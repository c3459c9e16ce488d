"""Usage of a few periods by one plain question, which checks itself as those of ``bucket_sql`` do.

Planning the question to the views, with its four branches and three joins, costs many times what reading a customer's
month does. This one reads the windows alone, joins nothing, and has no formula but those that its scopes need. Whether
a row restates others is told beside the answer, from the very rows that were read: if one does, it is thrown away.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Final

import polars as pl

from clickhouse.client import UsageStore
from clickhouse.errors import UsageStoreError
from clickhouse.quantity import average_sql

# In 256 bits, as ``quantity_sql`` says. Distinct values lie in another table.
_QUANTITIES: Final[Mapping[str, str]] = {
    "count": "toDecimal256(sum(d.events), 12)",
    "sum": "sum(toDecimal256(d.sum, 12))",
    "min": "toDecimal256(min(d.min), 12)",
    "max": "toDecimal256(max(d.max), 12)",
    "latest": "toDecimal256(argMax(d.last, (d.last_at, d.last_key)), 12)",
    "avg": average_sql("sum(toDecimal256(d.sum, 12))", "sum(d.events)"),
}
# A window counts in every scope that it lies in.
_USAGE: Final = """
    SELECT arrayJoin(arrayFilter(
            (row, merchant, customer, meter, since, until) -> merchant = toString(d.merchant_id)
                AND customer = d.customer_id AND meter = toString(d.meter_id)
                AND since <= toUnixTimestamp(d.window_start) AND toUnixTimestamp(d.window_start) < until,
            {row:Array(UInt32)}, {merchant_id:Array(String)}, {customer_id:Array(String)}, {meter_id:Array(String)},
            {period_start:Array(Int64)}, {period_end:Array(Int64)}
        )) AS row,
        sum(d.events) AS events, uniqExact(d.window_start, d.group_key) AS windows,
        toDateTime64(min(d.window_start), 6, 'UTC') AS first_window,
        toDateTime64(max(d.window_start), 6, 'UTC') AS last_window,
        toDecimal128([quantity], 12) AS quantity, max(d.restates) AS restated
    FROM usage_windows AS d
    WHERE d.merchant_id IN {merchant_id:Array(String)} AND d.customer_id IN {customer_id:Array(String)}
        AND d.meter_id IN {meter_id:Array(String)} AND d.stored_at <= {cutoff:DateTime64(6, 'UTC')}
        AND d.window_start >= {first:DateTime64(6, 'UTC')} AND d.window_start < {last:DateTime64(6, 'UTC')}
    GROUP BY row
"""


def plain_usage(store: UsageStore, asked: pl.DataFrame, cutoff: datetime) -> pl.DataFrame | None:
    """The columns of PERIOD_USAGE by the ``row`` of scopes that have usage; None where windows alone do not tell it."""
    aggregations = asked["aggregation"].str.split(" ").list.first()
    if not set(aggregations) <= _QUANTITIES.keys():
        return None
    lists = asked.select(
        *("row", "merchant_id", "customer_id", "meter_id"), pl.col("period_start", "period_end").dt.epoch("s")
    ).to_dict(as_series=False)
    bounds: dict[str, object] = {
        "cutoff": cutoff,
        "first": asked["period_start"].min(),
        "last": asked["period_end"].max(),
    }
    if aggregations.n_unique() > 1:
        bounds["aggregation"] = aggregations.to_list()
    try:
        found = store.query_frame(_USAGE.replace("[quantity]", quantity(aggregations)), bounds | lists)
    except UsageStoreError as error:
        # Of rows, perhaps, that count no longer.
        if error.name != "DECIMAL_OVERFLOW":
            raise
        return None
    return None if found["restated"].max() else found.drop("restated")


def quantity(aggregations: Iterable[str]) -> str:
    """The SQL of a scope's quantity, by its own aggregation where there are several."""
    first, *others = sorted(set(aggregations))
    branches = [f"{{aggregation:Array(String)}}[row + 1] = '{name}', {_QUANTITIES[name]}" for name in others]
    return f"multiIf({', '.join([*branches, _QUANTITIES[first]])})" if others else _QUANTITIES[first]
