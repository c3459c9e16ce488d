"""The rows that the tables hold, as frames. Streams and rating check what they hand over against these."""

from __future__ import annotations

import polars as pl

from core.frames import Schema
from core.limits import DECIMAL_PRECISION, QUANTITY_SCALE

INSTANT = pl.Datetime("us", "UTC")
QUANTITY = pl.Decimal(DECIMAL_PRECISION, QUANTITY_SCALE)

# Every accepted event with its fate: the evidence behind every number.
USAGE_EVENTS: Schema = {
    "merchant_id": pl.String(),
    "event_id": pl.String(),
    "source": pl.String(),
    "type": pl.String(),
    "subject": pl.String(),
    "customer_id": pl.String(),
    "occurred_at": INSTANT,
    "received_at": INSTANT,
    "stored_at": INSTANT,
    "properties": pl.Map(pl.String(), pl.String()),
    "fate": pl.String(),
    "reason": pl.String(),
    "key": pl.Binary(),
    "body_hash": pl.UInt64(),
    "incarnation": pl.UInt32(),
    "partition": pl.UInt16(),
    "block_first": pl.UInt64(),
    "kafka_offset": pl.UInt64(),
    "position": pl.UInt32(),
    "action": pl.String(),
    "correction_id": pl.String(),
}

# One row a block, meter, customer, minute and group: a delta, added to others when it is read.
USAGE_WINDOWS: Schema = {
    "merchant_id": pl.String(),
    "customer_id": pl.String(),
    "subject": pl.String(),
    "meter_id": pl.String(),
    "meter": pl.String(),
    "aggregation": pl.String(),
    "window_start": INSTANT,
    "group_key": pl.String(),
    "stored_at": INSTANT,
    "incarnation": pl.UInt32(),
    "partition": pl.UInt16(),
    "block_first": pl.UInt64(),
    "events": pl.UInt64(),
    "sum": QUANTITY,
    "min": QUANTITY,
    "max": QUANTITY,
    "last_at": INSTANT,
    "last_key": pl.Binary(),
    "last": QUANTITY,
    "restates": pl.UInt8(),
}

# The distinct values of a block's window, for meters that count them.
USAGE_UNIQUES: Schema = {
    "merchant_id": pl.String(),
    "customer_id": pl.String(),
    "subject": pl.String(),
    "meter_id": pl.String(),
    "meter": pl.String(),
    "window_start": INSTANT,
    "group_key": pl.String(),
    "value": pl.String(),
    "stored_at": INSTANT,
    "incarnation": pl.UInt32(),
    "partition": pl.UInt16(),
    "block_first": pl.UInt64(),
}

# The mirror of the catalog's customers, for the views alone. ``version`` is the catalog's; the highest wins.
CUSTOMERS: Schema = {
    "merchant_id": pl.String(),
    "customer_id": pl.String(),
    "subject": pl.String(),
    "name": pl.String(),
    "zone": pl.String(),
    "currency": pl.String(),
    "version": pl.UInt64(),
}

# The periods whose usage rating asks for in one question; ``row`` ties an answer to its place in the frame.
USAGE_SCOPES: Schema = {
    "question": pl.String(),
    "row": pl.UInt32(),
    "merchant_id": pl.String(),
    "customer_id": pl.String(),
    "meter_id": pl.String(),
    "aggregation": pl.String(),
    "period_start": INSTANT,
    "period_end": INSTANT,
}

# What is known of each scope: ``quantity`` by its aggregation, of how many windows, their span (null without any).
PERIOD_USAGE: Schema = {
    "events": pl.UInt64(),
    "windows": pl.UInt64(),
    "first_window": INSTANT,
    "last_window": INSTANT,
    "quantity": QUANTITY,
}

TABLES: dict[str, Schema] = {
    "usage_events": USAGE_EVENTS,
    "usage_windows": USAGE_WINDOWS,
    "usage_uniques": USAGE_UNIQUES,
    "customers": CUSTOMERS,
    "usage_scopes": USAGE_SCOPES,
}
