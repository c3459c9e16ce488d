"""What was stored after a cut-off into periods that were closed by it: usage added, taken back or restated."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime

import polars as pl

from clickhouse.client import UsageStore
from clickhouse.exact import MERCHANTS_NAMED_MAX
from clickhouse.schema import INSTANT
from clickhouse.scopes import ask_about
from core.frames import Schema

LONG_AGO = pl.lit(datetime(1970, 1, 2, tzinfo=UTC), dtype=INSTANT)

LATE_USAGE: Schema = {
    "events": pl.UInt64(),
    "first_window": INSTANT,
    "last_window": INSTANT,
    "last_stored_at": INSTANT,
}
OWNER = ("merchant_id", "customer_id", "meter_id")

_LATE = """stored_at > {cutoff:DateTime64(6, 'UTC')}
    AND (window_start >= {first:DateTime64(6, 'UTC')}[or_before]) AND window_start < {last:DateTime64(6, 'UTC')}"""
# Meters whose values last: what happened before a period counts in it.
_OR_BEFORE = " OR meter_id IN {lasting:Array(String)}"
LASTING = " (held|carried):"
_OWNERS = f"""
    SELECT DISTINCT toString(merchant_id) AS merchant_id, customer_id, toString(meter_id) AS meter_id
    FROM usage_windows WHERE {_LATE} AND [merchants]
"""
_CELL = "merchant_id, customer_id, meter_id, window_start, group_key, partition"
_RESTATED = f"SELECT {_CELL} FROM usage_windows WHERE restates = 1 AND [late]"
# Late rows, each with the number of events that it is about. A restated window says all that its partition knows, so
# what was known at the cut-off is subtracted; where the number is the same as before, at least one event was amended.
# [late] is the condition of late rows, [seen] that of all rows to look at.
LATE_ROWS = f"""
    SELECT merchant_id, customer_id, meter_id, window_start, stored_at, events FROM usage_windows
    WHERE [late] AND ({_CELL}) NOT IN ({_RESTATED})
    UNION ALL
    SELECT merchant_id, customer_id, meter_id, window_start, last_at AS stored_at,
        toUInt64(greatest(1, abs(
            arraySum(arrayMap(row -> if(row.1 >= now_from, row.2, 0), rows))
            - arraySum(arrayMap(row -> if(row.1 >= then_from AND row.1 <= cutoff, row.2, 0), rows))))) AS events
    FROM (
        SELECT {_CELL}, {{cutoff:DateTime64(6, 'UTC')}} AS cutoff, max(w.stored_at) AS last_at,
            maxIf(w.stored_at, w.restates = 1) AS now_from,
            maxIf(w.stored_at, w.restates = 1 AND w.stored_at <= cutoff) AS then_from,
            groupArray((w.stored_at, toInt64(w.events))) AS rows
        FROM usage_windows AS w WHERE [seen] AND ({_CELL}) IN ({_RESTATED}) GROUP BY {_CELL}
    )
"""
_BY_SCOPE = """
    SELECT s.row AS row, toUInt64(sum(d.events)) AS events,
        toDateTime64(min(d.window_start), 6, 'UTC') AS first_window,
        toDateTime64(max(d.window_start), 6, 'UTC') AS last_window, max(d.stored_at) AS last_stored_at
    FROM ([rows]) AS d
    INNER JOIN (SELECT * FROM usage_scopes WHERE question = {question:String}) AS s
        ON d.merchant_id = s.merchant_id AND d.customer_id = s.customer_id AND d.meter_id = s.meter_id
    WHERE d.window_start >= s.period_start AND d.window_start < s.period_end
    GROUP BY row
"""


_ASKED = "merchant_id IN (SELECT merchant_id FROM usage_scopes WHERE question = {question:String})"


def late_sql(question: str, late: str, seen: str = "1") -> str:
    """A question about late rows (``[rows]``): which are late, and up to when rows are looked at."""
    return question.replace("[rows]", LATE_ROWS).replace("[late]", late).replace("[seen]", seen)


def late_owners(
    store: UsageStore,
    *,
    start: datetime,
    end: datetime,
    cutoff: datetime,
    merchant_ids: Collection[str],
    lasting: Collection[str] = (),
) -> pl.DataFrame:
    """Whose windows of ``[start, end)`` were added to or restated after ``cutoff``: the columns of OWNER.

    Of the merchants given, and of all when they are many. Of meters (by id) whose values are ``lasting``, windows
    before ``start`` as well.
    """
    bound: dict[str, object] = {"first": start, "last": end, "cutoff": cutoff}
    owners = _OWNERS.replace("[or_before]", _OR_BEFORE if lasting else "")
    if lasting:
        bound["lasting"] = list(lasting)
    if len(merchant_ids) > MERCHANTS_NAMED_MAX:
        return store.query_frame(owners.replace("[merchants]", "1"), bound)
    named = owners.replace("[merchants]", "merchant_id IN {merchants:Array(String)}")
    return store.query_frame(named, bound | {"merchants": list(merchant_ids)})


def late_usage(store: UsageStore, scopes: pl.DataFrame, cutoff: datetime) -> pl.DataFrame:
    """Those of ``scopes`` (as for ``usage_for_period``) that were changed after ``cutoff``, with LATE_USAGE.

    Of a quantity in which what happened before the period counts, what was changed there as well.
    ``events`` is how many events came, went or became others; usage that was taken back is late as well.
    """
    if scopes.is_empty():
        return scopes.with_columns(pl.lit(None, kind).alias(name) for name, kind in LATE_USAGE.items())
    since = pl.when(pl.col("aggregation").str.contains(LASTING)).then(LONG_AGO).otherwise("period_start")
    looked_at = scopes.with_columns(period_start=since)
    question, _ = ask_about(store, looked_at)
    asked = scopes.with_row_index("row")
    bound = {"first": looked_at["period_start"].min(), "last": scopes["period_end"].max()}
    late = _LATE.replace("[or_before]", "")
    found = store.query_frame(
        late_sql(_BY_SCOPE, f"{late} AND {_ASKED}"), {"question": question, "cutoff": cutoff, **bound}
    )
    typed = found.with_columns(pl.col(name).cast(kind) for name, kind in LATE_USAGE.items())
    return asked.join(typed, on="row", how="inner", maintain_order="left").drop("row")
