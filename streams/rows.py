"""The rows that a block leaves in ClickHouse: their columns, in the tables' own order."""

from __future__ import annotations

import pyarrow as pa

from ingest.event import CORRECTIONS, INSTANT

EVENTS = "usage_events"
WINDOWS = "usage_windows"
UNIQUES = "usage_uniques"
TABLES = (EVENTS, WINDOWS, UNIQUES)

# A row of ``usage_events`` is an event, or a correction of an earlier row of the same key.
ACTIONS = ("event", *CORRECTIONS)
EVENT = 0

SECOND = pa.timestamp("s", tz="UTC")
QUANTITY = pa.decimal128(38, 12)
KEY = pa.binary(16)

FATES = ("", "stored", "duplicate", "conflict", "held", "rejected", "retraction")
STORED, DUPLICATE, CONFLICT, HELD, REJECTED, RETRACTION = 1, 2, 3, 4, 5, 6

BLOCK_COLUMNS = [("incarnation", pa.uint32()), ("partition", pa.uint16()), ("block_first", pa.uint64())]

# What a block starts from: the envelope's columns and where each event lay in the log.
DELIVERED_COLUMNS = [("kafka_offset", pa.uint64()), ("position", pa.uint32())]


def filled(columns: list[tuple[str, pa.DataType]]) -> pa.Schema:
    """A schema whose columns all are without nulls."""
    return pa.schema([pa.field(name, kind, nullable=False) for name, kind in columns])


EVENTS_SCHEMA = filled(
    [
        ("merchant_id", pa.string()),
        ("event_id", pa.string()),
        ("source", pa.string()),
        ("type", pa.string()),
        ("subject", pa.string()),
        ("customer_id", pa.string()),
        ("occurred_at", INSTANT),
        ("received_at", INSTANT),
        ("stored_at", INSTANT),
        ("properties", pa.map_(pa.string(), pa.string())),
        ("fate", pa.int8()),
        ("reason", pa.string()),
        ("key", KEY),
        ("body_hash", pa.uint64()),
        *BLOCK_COLUMNS,
        *DELIVERED_COLUMNS,
        # ACTIONS by number; whose correction it is by the sender's or the backfill's id, empty for events.
        ("action", pa.int8()),
        ("correction_id", pa.string()),
    ]
)

WINDOWS_SCHEMA = filled(
    [
        ("merchant_id", pa.string()),
        ("customer_id", pa.string()),
        ("subject", pa.string()),
        ("meter_id", pa.string()),
        ("meter", pa.string()),
        ("aggregation", pa.string()),
        ("window_start", SECOND),
        ("group_key", pa.string()),
        ("stored_at", INSTANT),
        *BLOCK_COLUMNS,
        ("events", pa.uint64()),
        ("sum", QUANTITY),
        ("min", QUANTITY),
        ("max", QUANTITY),
        ("last_at", INSTANT),
        ("last_key", KEY),
        ("last", QUANTITY),
        # 1: says all that its partition knows of the window, in the place of the partition's earlier rows.
        ("restates", pa.uint8()),
    ]
)

UNIQUES_SCHEMA = filled(
    [
        ("merchant_id", pa.string()),
        ("customer_id", pa.string()),
        ("subject", pa.string()),
        ("meter_id", pa.string()),
        ("meter", pa.string()),
        ("window_start", SECOND),
        ("group_key", pa.string()),
        ("value", pa.string()),
        ("stored_at", INSTANT),
        *BLOCK_COLUMNS,
    ]
)

SCHEMAS = dict(zip(TABLES, (EVENTS_SCHEMA, WINDOWS_SCHEMA, UNIQUES_SCHEMA), strict=True))
