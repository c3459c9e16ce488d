"""What was used, as of a cut-off: for rating all periods at once, for people the windows and events behind a line."""

from __future__ import annotations

from datetime import datetime

import polars as pl

from clickhouse.client import UsageStore
from clickhouse.few_scopes import plain_usage
from clickhouse.quantity import quantity_sql
from clickhouse.schema import INSTANT, PERIOD_USAGE, QUANTITY
from clickhouse.scopes import ask_about

EVENTS_BEHIND_MAX = 10_000
# Up to here, looking the scopes' customers up in the primary key costs less than reading everybody's windows.
SCOPES_LOOKED_UP_MAX = 5_000
# Up to here, scopes travel with a plain question: writing them down first takes longer than the answer.
SCOPES_PLAIN_MAX = 64

# Periods begin and end on whole minutes in every zone of today, so a window never straddles one.
_PERIOD_USAGE = f"""
    SELECT
        s.row AS row,
        sum(d.events) AS events,
        uniqExactIf(cityHash64(d.window_start, d.group_key), NOT d.is_value) AS windows,
        toDateTime64(min(d.window_start), 6, 'UTC') AS first_window,
        toDateTime64(max(d.window_start), 6, 'UTC') AS last_window,
        {quantity_sql("any(s.aggregation)", "d")} AS quantity
    FROM usage_deltas_at(cutoff = {{cutoff:DateTime64(6, 'UTC')}}) AS d
    INNER JOIN (SELECT * FROM usage_scopes WHERE question = {{question:String}}) AS s
        ON d.merchant_id = s.merchant_id AND d.customer_id = s.customer_id AND d.meter_id = s.meter_id
    WHERE d.window_start >= {{first:DateTime64(6, 'UTC')}} AND d.window_start < {{last:DateTime64(6, 'UTC')}}
        AND d.window_start >= s.period_start AND d.window_start < s.period_end
        AND {{narrow}}
    GROUP BY row
"""
_EVERYBODY = "1"
_THESE_ONLY = """(d.merchant_id, d.customer_id, d.meter_id) IN
    (SELECT merchant_id, customer_id, meter_id FROM usage_scopes WHERE question = {question:String})"""

_WINDOWS_BEHIND = f"""
    SELECT
        toDateTime64(d.window_start, 6, 'UTC') AS window_start,
        toString(d.group_key) AS group_key,
        toString(d.aggregation) AS aggregation,
        sum(d.events) AS events,
        {quantity_sql("aggregation", "d")} AS quantity,
        countIf(NOT d.is_value) AS deltas,
        max(d.stored_at) AS last_stored_at
    FROM usage_deltas_at(cutoff = {{cutoff:DateTime64(6, 'UTC')}}) AS d
    WHERE d.merchant_id = {{merchant_id:String}} AND d.customer_id = {{customer_id:String}}
        AND d.meter_id = {{meter_id:String}}
        AND d.window_start >= {{start:DateTime64(6, 'UTC')}} AND d.window_start < {{end:DateTime64(6, 'UTC')}}
    GROUP BY window_start, group_key, aggregation
    ORDER BY window_start, group_key
"""

_EVENTS_BEHIND = """
    SELECT
        event_id, toString(source) AS source, toString(type) AS type, subject, occurred_at, received_at, stored_at,
        properties, incarnation, partition, kafka_offset, position
    FROM usage_counted_at(cutoff = {cutoff:DateTime64(6, 'UTC')})
    WHERE merchant_id = {merchant_id:String} AND subject = {subject:String} AND type = {event_type:String}
        AND occurred_at >= {start:DateTime64(6, 'UTC')} AND occurred_at < {end:DateTime64(6, 'UTC')}
    ORDER BY occurred_at, key
    LIMIT {limit:UInt32}
"""


def usage_for_period(store: UsageStore, scopes: pl.DataFrame, cutoff: datetime) -> pl.DataFrame:
    """The exact usage of every scope, from what was stored at or before the cut-off; later corrections change nothing.

    ``scopes`` has merchant_id, customer_id, meter_id, aggregation, period_start and period_end (UTC, half-open, on
    whole minutes) and any further columns of the caller's. Returns the same rows in the same order with the columns
    of ``PERIOD_USAGE`` added; a scope without usage has zeros and no windows. The scope's aggregation counts, not
    the one that the windows were written under.
    """
    if scopes.is_empty():
        return scopes.with_columns(pl.lit(None, kind).alias(name) for name, kind in PERIOD_USAGE.items())
    if scopes.height <= SCOPES_PLAIN_MAX and (plainly := plain_usage(store, scopes, cutoff)) is not None:
        return scopes.hstack(plainly)
    question, asked = ask_about(store, scopes)
    bounds = {"first": scopes["period_start"].min(), "last": scopes["period_end"].max()}
    narrow = _THESE_ONLY if scopes.height <= SCOPES_LOOKED_UP_MAX else _EVERYBODY
    found = store.query_frame(
        _PERIOD_USAGE.replace("{narrow}", narrow), {"question": question, "cutoff": cutoff, **bounds}
    )
    answered = asked.join(found, on="row", how="left", maintain_order="left")
    zero = pl.lit(0).cast(QUANTITY)
    return answered.drop("row").with_columns(
        pl.col("events", "windows").fill_null(0).cast(pl.UInt64),
        pl.col("first_window", "last_window").cast(INSTANT),
        pl.col("quantity").fill_null(zero).cast(QUANTITY),
    )


def windows_behind(
    store: UsageStore,
    *,
    merchant_id: str,
    customer_id: str,
    meter_id: str,
    start: datetime,
    end: datetime,
    cutoff: datetime,
) -> pl.DataFrame:
    """Every minute window behind a line, in order of time.

    Columns: window_start, group_key, aggregation, events, quantity, deltas (how many rows of blocks count in it) and
    last_stored_at. ``start`` and ``end`` are half-open; what was stored after ``cutoff`` is left out.
    """
    return store.query_frame(
        _WINDOWS_BEHIND,
        {
            "merchant_id": merchant_id,
            "customer_id": customer_id,
            "meter_id": meter_id,
            "start": start,
            "end": end,
            "cutoff": cutoff,
        },
    )


def events_behind(
    store: UsageStore,
    *,
    merchant_id: str,
    subject: str,
    event_type: str,
    start: datetime,
    end: datetime,
    cutoff: datetime,
    limit: int = EVENTS_BEHIND_MAX,
) -> pl.DataFrame:
    """The events of a subject and type that count at the cut-off, in order of time, before the meter's own filters.

    An amended event shows as amended, one that was taken back not at all.

    Columns: event_id, source, type, subject, the three times, properties, and the place in the log.
    """
    return store.query_frame(
        _EVENTS_BEHIND,
        {
            "merchant_id": merchant_id,
            "subject": subject,
            "event_type": event_type,
            "start": start,
            "end": end,
            "cutoff": cutoff,
            "limit": limit,
        },
    )
