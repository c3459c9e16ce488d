"""Usage by group, by bucket and event by event, from windows and from events, held against plain Python."""

from __future__ import annotations

import random
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import polars as pl
import pytest
from sqlalchemy import Engine

from clickhouse.client import UsageStore
from clickhouse.finer_usage import Part, by_bucket, by_group, event_values, exact_usage_by_part, usage_by_part
from clickhouse.recompute import Rule
from streams.rows import EVENTS
from tests.clickhouse.naive import average
from tests.clickhouse.test_exact import SCOPE
from tests.rating.blocks import block_of, merchant_of, put_block
from tests.rating.month import AFTER, NOON, Month
from tests.streams.builders import Said

START, END = datetime(2023, 11, 1, tzinfo=UTC), datetime(2023, 12, 1, tzinfo=UTC)
AGGREGATIONS = ("count", "sum", "min", "max", "latest", "unique", "avg")
CATALOG = """
merchant: {code: acme, name: Acme}
meters:
  - {code: count, event_type: call, aggregation: count, group_by: [size, region]}
  - {code: sum, event_type: call, aggregation: sum, value: n, group_by: [size, region]}
  - {code: min, event_type: call, aggregation: min, value: n, group_by: [size, region]}
  - {code: max, event_type: call, aggregation: max, value: n, group_by: [size, region]}
  - {code: latest, event_type: call, aggregation: latest, value: n, group_by: [size, region]}
  - {code: unique, event_type: call, aggregation: unique, value: n, group_by: [size, region]}
  - {code: avg, event_type: call, aggregation: avg, value: n, group_by: [size, region]}
plans:
  - code: payg
    currency: USD
    prices:
      - {meter: count, model: dynamic}
      - {meter: sum, model: dynamic}
      - {meter: min, model: dynamic}
      - {meter: max, model: dynamic}
      - {meter: latest, model: dynamic}
      - {meter: unique, model: dynamic}
      - {meter: avg, model: dynamic}
customers:
  - {key: a-1, zone: UTC, currency: USD}
  - {key: a-2, zone: UTC, currency: USD}
subscriptions:
  - {customer: a-1, plan: payg, start: 2023-11-01}
  - {customer: a-2, plan: payg, start: 2023-11-01}
"""


@pytest.fixture
def month(books: Engine, usage_store: UsageStore) -> Month:
    """A merchant with a meter of every aggregation, by two properties."""
    made = Month(books, usage_store)
    made.sell(CATALOG)
    return made


def said(month: Month, rng: random.Random, count: int) -> list[Said]:
    """Random events of two customers; some lack a property, some values must be escaped."""
    merchant = merchant_of(month, "a-1")
    found = []
    for number in range(count):
        properties = {"n": str(rng.randint(-9, 9)), "size": rng.choice(["s", 'l "x"\\', "ü\n"])}
        if rng.random() < 0.7:
            properties["region"] = rng.choice(["eu", "us", ""])
        at = NOON + timedelta(minutes=rng.randint(-9_000, 9_000), seconds=number)
        found.append(Said(f"e{number}", properties, subject=rng.choice(["a-1", "a-2"]), merchant=merchant, at=at))
    return found


def scopes(month: Month) -> pl.DataFrame:
    """November of every meter of both customers."""
    return (
        month.priced()
        .with_columns(
            period_start=pl.lit(START, pl.Datetime("us", "UTC")), period_end=pl.lit(END, pl.Datetime("us", "UTC"))
        )
        .select("subject", *SCOPE)
    )


def folded(values: list[tuple[datetime, Decimal]], aggregation: str) -> Decimal:
    """What a meter says of some values, which come with their times."""
    numbers = [value for _, value in values]
    by_name: dict[str, Any] = {
        "count": len(numbers),
        "sum": sum(numbers),
        "min": min(numbers),
        "max": max(numbers),
        "latest": max(values)[1],
        "avg": average(sum(numbers, Decimal(0)), len(numbers)),
        "unique": len(set(numbers)),
    }
    return Decimal(by_name[aggregation])


def rule_of(aggregation: str) -> Rule:
    """What the meter of an aggregation counts."""
    return Rule("call", None if aggregation == "count" else "n")


def from_events(month: Month, asked: pl.DataFrame, part: Part) -> pl.DataFrame:
    """The answer from the events, meter by meter."""
    return pl.concat(
        exact_usage_by_part(month.store, asked.filter(pl.col("aggregation") == name), [rule_of(name)], part, AFTER)
        for name in AGGREGATIONS
    )


def told(answer: pl.DataFrame, part: Part) -> set[tuple[Any, ...]]:
    """An answer as a set."""
    rows = answer.select("subject", "aggregation", "part", "quantity").iter_rows()
    return {(who, how, tuple(which) if part.kind == pl.List(pl.String()) else which, n) for who, how, which, n in rows}


@pytest.mark.parametrize("keys", [["region"], ["region", "size"], ["nothing"]])
def test_usage_by_group_is_what_the_events_of_the_group_come_to(month: Month, keys: list[str]) -> None:
    """In every aggregation, whatever the order of the keys; a property that is not there is null."""
    events = said(month, random.Random(1), 200)
    put_block(month, block_of(month, events))
    part, asked = by_group(keys), scopes(month)

    expected = by_hand(events, lambda one: tuple(one.properties.get(key) for key in keys))

    assert told(usage_by_part(month.store, asked, part, AFTER), part) == expected
    assert told(from_events(month, asked, part), part) == expected


def test_usage_by_bucket_is_what_the_events_between_two_starts_come_to(month: Month) -> None:
    """An event on a start belongs to the bucket that begins there."""
    events = said(month, random.Random(2), 300)
    put_block(month, block_of(month, events))
    starts = [START + timedelta(hours=7 * step) for step in range(103)]
    part, asked = by_bucket(starts), scopes(month)

    def bucket(one: Said) -> int:
        return round(max(start for start in starts if start <= one.at).timestamp())

    expected = by_hand(events, bucket)

    assert told(usage_by_part(month.store, asked, part, AFTER), part) == expected
    assert told(from_events(month, asked, part), part) == expected


def by_hand(events: list[Said], part: Any) -> set[tuple[Any, ...]]:
    """The same from the events alone."""
    values: dict[tuple[str, Any], list[tuple[datetime, Decimal]]] = defaultdict(list)
    for one in events:
        values[one.subject, part(one)].append((one.at, Decimal(one.properties["n"])))
    return {(who, how, which, folded(found, how)) for (who, which), found in values.items() for how in AGGREGATIONS}


def test_events_come_in_order_of_time_and_each_once(month: Month) -> None:
    """Stored twice and in any order, every event that counts is there once."""
    events = said(month, random.Random(3), 100)
    block = block_of(month, events)
    put_block(month, block)
    put_block(month, block, EVENTS)
    asked = scopes(month).filter(pl.col("aggregation") == "sum")

    found = event_values(month.store, asked, [rule_of("sum")], AFTER)

    for subject in ("a-1", "a-2"):
        in_order = sorted((one.at, Decimal(one.properties["n"])) for one in events if one.subject == subject)
        assert found.filter(pl.col("subject") == subject).select("occurred_at", "value").rows() == in_order
