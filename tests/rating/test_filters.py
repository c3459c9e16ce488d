"""Filters through the whole path: judged by the stream, and once more by ClickHouse where events are counted anew."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from random import Random
from typing import Any

import orjson
import polars as pl
import pytest
from sqlalchemy import Engine

from clickhouse.client import UsageStore
from tests.rating.blocks import block_of, merchant_of, put_block
from tests.rating.month import NOON, Month
from tests.rating.oracle.conditions import condition
from tests.streams.builders import Said

METERS, EVENTS = 40, 400
TEXTS = ("eu", "eu-west", "EU", "us", "w", "10", "9", "-9.5", "1e1", "10.0", "010", "0.1e2", "1e-13", "1e30", "", "é-é")
NUMBERS = ("10", "9", "-9.5", "0", "0.000000000001", "9999999999999999999")
NAMES = ("p", "q")


def random_filter(rng: Random, depth: int = 0) -> dict[str, Any]:
    """A condition, or some inside each other."""
    kind = rng.choice(["any", "all", "not"]) if depth < 3 and rng.random() < 0.4 else ""
    if kind == "not":
        return {"not": random_filter(rng, depth + 1)}
    if kind:
        return {kind: [random_filter(rng, depth + 1) for _ in range(rng.randint(1, 2))]}
    op = rng.choice(["eq", "ne", "in", "not_in", "exists", "contains", "prefix", "lt", "lte", "gt", "gte"])
    pool = NUMBERS if op in {"lt", "lte", "gt", "gte"} else tuple(filter(None, TEXTS))
    count = {"exists": 0, "in": 2, "not_in": 2, "contains": 2, "prefix": 2}.get(op, 1)
    return {"property": rng.choice(NAMES), "op": op, "values": rng.sample(pool, count)}


def catalog(filters: list[list[dict[str, Any]]]) -> str:
    """A meter for each list of filters, all of them sold."""
    meters = [
        {"code": f"m{place:02}", "event_type": "call", "aggregation": "sum", "value": "n", "filters": said}
        for place, said in enumerate(filters)
    ]
    prices = [{"meter": meter["code"], "model": "per_unit", "unit_price": "1"} for meter in meters]
    return orjson.dumps(
        {
            "merchant": {"code": "acme"},
            "meters": meters,
            "plans": [{"code": "payg", "currency": "USD", "prices": prices}],
            "customers": [{"key": "a-1", "currency": "USD"}],
            "subscriptions": [{"customer": "a-1", "plan": "payg", "start": "2023-11-01"}],
        }
    ).decode()


def random_events(rng: Random, merchant: str) -> list[Said]:
    """Events with texts of all sorts, some without."""
    found = []
    for number in range(EVENTS):
        properties = {name: rng.choice(TEXTS) for name in NAMES if rng.random() < 0.8} | {"n": f"{number}.5"}
        at = NOON + timedelta(minutes=number % 50)
        found.append(Said(f"e-{number}", properties, subject="a-1", merchant=merchant, at=at))
    return found


@pytest.mark.parametrize("times", [1, 2])
def test_random_filters_bill_what_their_definition_says(books: Engine, usage_store: UsageStore, times: int) -> None:
    """By windows, and, where a block was stored twice, by the events themselves."""
    rng = Random(times)
    filters = [[random_filter(rng) for _ in range(rng.randint(1, 2))] for _ in range(METERS)]
    month = Month(books, usage_store)
    month.sell(catalog(filters))
    events = random_events(rng, merchant_of(month, "a-1"))
    block = block_of(month, events)
    for _ in range(times):
        put_block(month, block)

    lines = month.close().closing.lines

    asked = {f"m{place:02}": [condition(entry) for entry in said] for place, said in enumerate(filters)}
    expected = {
        meter: sum(
            (Decimal(one.properties["n"]) for one in events if all(holds(one.properties) for holds in conditions)),
            Decimal(0),
        )
        for meter, conditions in asked.items()
    }
    assert dict(lines.select("meter", "quantity").iter_rows()) == expected
    # Neither everything nor nothing would prove much.
    everything = sum(Decimal(one.properties["n"]) for one in events)
    assert sum(0 < quantity < everything for quantity in expected.values()) > METERS // 2
    assert (lines.filter(pl.col("corrected_from").is_not_null()).height > METERS // 2) == (times == 2)
