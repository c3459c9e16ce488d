"""What was stored after a cut-off into periods that were closed by it."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

import polars as pl

from clickhouse.client import UsageStore
from clickhouse.exact import MERCHANTS_NAMED_MAX
from clickhouse.schema import INSTANT, USAGE_SCOPES
from core.frames import Schema, checked
from core.ids import new_id

LATE_USAGE: Schema = {
    "events": pl.UInt64(),
    "first_window": INSTANT,
    "last_window": INSTANT,
    "last_stored_at": INSTANT,
}
OWNER = ("merchant_id", "customer_id", "meter_id")

_LATE = """stored_at > {cutoff:DateTime64(6, 'UTC')}
    AND window_start >= {first:DateTime64(6, 'UTC')} AND window_start < {last:DateTime64(6, 'UTC')}"""
_OWNERS = f"""
    SELECT DISTINCT toString(merchant_id) AS merchant_id, customer_id, toString(meter_id) AS meter_id
    FROM usage_windows WHERE {_LATE} AND [merchants]
"""
_BY_SCOPE = f"""
    SELECT s.row AS row, toUInt64(sum(d.events)) AS events,
        toDateTime64(min(d.window_start), 6, 'UTC') AS first_window,
        toDateTime64(max(d.window_start), 6, 'UTC') AS last_window, max(d.stored_at) AS last_stored_at
    FROM (
        SELECT merchant_id, customer_id, meter_id, window_start, stored_at, events FROM usage_windows
        WHERE {_LATE} AND merchant_id IN (SELECT merchant_id FROM usage_scopes WHERE question = {{question:String}})
    ) AS d
    INNER JOIN (SELECT * FROM usage_scopes WHERE question = {{question:String}}) AS s
        ON d.merchant_id = s.merchant_id AND d.customer_id = s.customer_id AND d.meter_id = s.meter_id
    WHERE d.window_start >= s.period_start AND d.window_start < s.period_end
    GROUP BY row
"""


def late_owners(
    store: UsageStore, *, start: datetime, end: datetime, cutoff: datetime, merchant_ids: Collection[str]
) -> pl.DataFrame:
    """Whose windows of ``[start, end)`` were added to after ``cutoff``: merchant_id, customer_id, meter_id.

    Of the merchants given, and of all when they are many.
    """
    bound: dict[str, object] = {"first": start, "last": end, "cutoff": cutoff}
    if len(merchant_ids) > MERCHANTS_NAMED_MAX:
        return store.query_frame(_OWNERS.replace("[merchants]", "1"), bound)
    named = _OWNERS.replace("[merchants]", "merchant_id IN {merchants:Array(String)}")
    return store.query_frame(named, bound | {"merchants": list(merchant_ids)})


def late_usage(store: UsageStore, scopes: pl.DataFrame, cutoff: datetime) -> pl.DataFrame:
    """Those of ``scopes`` (as for ``usage_for_period``) that were added to after ``cutoff``, with LATE_USAGE."""
    if scopes.is_empty():
        return scopes.with_columns(pl.lit(None, kind).alias(name) for name, kind in LATE_USAGE.items())
    question = new_id("question")
    asked = scopes.with_row_index("row").with_columns(pl.lit(question).alias("question"))
    store.insert_frame("usage_scopes", checked(asked, USAGE_SCOPES), token=question)
    bound = {"first": scopes["period_start"].min(), "last": scopes["period_end"].max()}
    found = store.query_frame(_BY_SCOPE, {"question": question, "cutoff": cutoff, **bound})
    typed = found.with_columns(pl.col(name).cast(kind) for name, kind in LATE_USAGE.items())
    return asked.drop("question").join(typed, on="row", how="inner", maintain_order="left").drop("row")
