"""Seeded usage for tests: window deltas, distinct values and events, with everything not asked for set to something."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import polars as pl

from clickhouse.schema import USAGE_EVENTS, USAGE_UNIQUES, USAGE_WINDOWS

AGGREGATIONS = ("count", "sum", "min", "max", "latest", "unique", "avg")
GROUPS = ("", '{"model":"large"}', '{"model":"small"}')

Row = dict[str, object]


def at(text: str) -> datetime:
    """An instant from ISO text, UTC unless it says otherwise."""
    instant = datetime.fromisoformat(text)
    return instant if instant.tzinfo else instant.replace(tzinfo=UTC)


def window(**given: object) -> Row:
    """One delta of a sum meter; keywords change what a test is about."""
    row: Row = {
        "merchant_id": "mer_1",
        "customer_id": "cus_1",
        "subject": "c-1",
        "meter_id": "mtr_sum",
        "meter": "sum_meter",
        "aggregation": "sum",
        "window_start": at("2023-11-20T12:00:00"),
        "group_key": "",
        "stored_at": at("2023-11-20T12:05:00"),
        "incarnation": 1,
        "partition": 0,
        "block_first": 0,
        "events": 1,
        "sum": Decimal(1),
        "min": Decimal(1),
        "max": Decimal(1),
        "last_at": at("2023-11-20T12:00:30"),
        "last_key": bytes(16),
        "last": Decimal(1),
        "restates": 0,
    }
    return row | given


def unique(value: str, **given: object) -> Row:
    """One distinct value of a unique meter's window."""
    kept = window(meter_id="mtr_unique", meter="unique_meter") | given
    return {name: kept.get(name, value) for name in USAGE_UNIQUES}


def event(event_id: str, **given: object) -> Row:
    """One counted event."""
    row: Row = {
        "merchant_id": "mer_1",
        "event_id": event_id,
        "source": "",
        "type": "llm.request",
        "subject": "c-1",
        "customer_id": "cus_1",
        "occurred_at": at("2023-11-20T12:00:30.123456"),
        "received_at": at("2023-11-20T12:00:31"),
        "stored_at": at("2023-11-20T12:05:00"),
        "properties": [{"key": "model", "value": "large"}],
        "fate": "stored",
        "reason": "",
        "key": event_id.encode().ljust(16, b"\0"),
        "body_hash": 2**64 - 1,
        "incarnation": 1,
        "partition": 3,
        "block_first": 0,
        "kafka_offset": 2**63,
        "position": 7,
        "action": "event",
        "correction_id": "",
    }
    return row | given


def windows_frame(rows: list[Row]) -> pl.DataFrame:
    """Rows of ``window`` as the frame that streams hand over."""
    return pl.DataFrame(rows, schema=USAGE_WINDOWS)


def uniques_frame(rows: list[Row]) -> pl.DataFrame:
    """Rows of ``unique`` as the frame that streams hand over."""
    return pl.DataFrame(rows, schema=USAGE_UNIQUES)


def events_frame(rows: list[Row]) -> pl.DataFrame:
    """Rows of ``event`` as a frame; its properties are lists of (key, value) pairs."""
    pairs = pl.List(pl.Struct({"key": pl.String(), "value": pl.String()}))
    return pl.DataFrame(rows, schema=USAGE_EVENTS | {"properties": pairs})


def random_usage(
    seed: int, rows: int, *, start: datetime, minutes: int, customers: int = 3
) -> tuple[list[Row], list[Row]]:
    """Deltas and distinct values of one meter of each aggregation, scattered over ``minutes`` from ``start``."""
    chance = random.Random(seed)
    windows: list[Row] = []
    uniques: list[Row] = []
    for _ in range(rows):
        row = random_window(chance, start + timedelta(minutes=chance.randrange(minutes)), customers)
        windows.append(row)
        if row["aggregation"] == "unique":
            for _ in range(chance.randint(1, 3)):
                named = {name: row[name] for name in USAGE_UNIQUES if name != "value"}
                uniques.append(unique(f"v{chance.randrange(12)}", **named))
    return windows, uniques


def random_window(chance: random.Random, minute: datetime, customers: int) -> Row:
    """One delta with values of every sign and up to twelve places."""
    aggregation = chance.choice(AGGREGATIONS)
    number = chance.randrange(customers)
    values = sorted(Decimal(chance.randrange(-(10**15), 10**15)).scaleb(-chance.choice([0, 3, 12])) for _ in range(3))
    return window(
        merchant_id=f"mer_{number % 2}",
        customer_id=f"cus_{number}",
        subject=f"c-{number}",
        meter_id=f"mtr_{aggregation}",
        meter=f"{aggregation}_meter",
        aggregation=aggregation,
        window_start=minute,
        group_key=chance.choice(GROUPS),
        stored_at=minute + timedelta(seconds=chance.randrange(60, 10**6)),
        block_first=chance.randrange(10**6),
        events=chance.randint(1, 100),
        sum=sum(values, Decimal(0)),
        min=values[0],
        max=values[2],
        last_at=minute + timedelta(seconds=chance.randrange(60)),
        last_key=chance.randbytes(16),
        last=values[1],
    )
