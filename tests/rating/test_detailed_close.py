"""Months whose prices go by group, by single events and by bucket, closed on the real stores and held to the oracle."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, localcontext
from typing import Any

import orjson
import polars as pl
import pytest
from sqlalchemy import Engine

from clickhouse.client import UsageStore
from core.period import day_start
from core.quantity import EXACT
from invoicing.explain import explain, hash_inputs
from streams.rows import EVENTS
from tests.rating.blocks import block_of, merchant_of, put_block
from tests.rating.late_month import close_month, invoices, now_of_books
from tests.rating.month import PERIOD, Month
from tests.rating.oracle.charges import charge
from tests.streams.builders import Said

Price = dict[str, Any]

ZONE = "Asia/Kolkata"
SIZES = ("l", 's "x"')
MATRIX: Price = {
    "model": "matrix",
    "group_by": ["size", "region"],
    "prices": [
        {"group": {"size": size, "region": region}, "unit_price": price}
        for size, region, price in (("l", "eu", "0.013"), ('s "x"', "eu", "0.7"), ("l", "us", "2"))
    ],
    "default": {"unit_price": "3.000000000001"},
}
FEES: Price = {
    "model": "percentage",
    "rate_percent": "2.9",
    "fixed_fee_per_event": "0.30",
    "per_event_max": "0.5",
    "free_events": "4",
    "free_amount": "25",
}
HOURLY: Price = {
    "model": "graduated",
    "tiers": [{"up_to": "10", "unit_price": "0.1"}, {"up_to": None, "unit_price": "0.07", "flat_price": "1"}],
    "bucket": "hour",
    "free_units": "2",
}
DAILY: Price = {
    "model": "per_unit",
    "unit_price": "1.5",
    "bucket": "day",
    "commitment": {"amount": "6", "overage_factor": "1.25", "true_up": True, "per": "bucket"},
    "discount_percent": "7",
}
PRICES = {"by_group": MATRIX, "groups_most": MATRIX, "fees": FEES, "hourly": HOURLY, "daily": DAILY, "peaks": DAILY}
AGGREGATIONS = {"groups_most": "max", "peaks": "max"}


def catalog(prices: Mapping[str, Price] = PRICES) -> str:
    """A merchant with a meter for each price, and two customers in a zone half an hour off."""
    meters = "\n".join(
        f"  - {{code: {code}, event_type: call, aggregation: {AGGREGATIONS.get(code, 'sum')}, value: n,"
        " group_by: [region, size]}"
        for code in prices
    )
    sold = "\n".join(f"      - {orjson.dumps({'meter': code} | price).decode()}" for code, price in prices.items())
    return f"""
merchant: {{code: acme, name: Acme}}
meters:
{meters}
plans:
  - code: payg
    currency: USD
    prices:
{sold}
customers:
  - {{key: a-1, zone: {ZONE}, currency: USD}}
  - {{key: a-2, zone: {ZONE}, currency: USD}}
subscriptions:
  - {{customer: a-1, plan: payg, start: 2023-11-01}}
  - {{customer: a-2, plan: payg, start: 2023-11-01}}
"""


@pytest.fixture
def month(books: Engine, usage_store: UsageStore) -> Month:
    """A merchant with all of these prices."""
    made = Month(books, usage_store)
    made.sell(catalog())
    return made


FIRST, LAST = (day_start(day, ZONE) for day in (date(2023, 11, 1), date(2023, 12, 1)))


def random_events(month: Month, seed: int, count: int) -> list[Said]:
    """Events all over the period of one customer, some on its first and last instants, in no order of time."""
    rng, merchant = random.Random(seed), merchant_of(month, "a-1")
    found = []
    for number in range(count):
        at = FIRST + timedelta(seconds=rng.randrange(int((LAST - FIRST).total_seconds())))
        if number < 4:
            at = [FIRST, FIRST + timedelta(hours=1), LAST - timedelta(microseconds=1), LAST][number]
        properties = {"n": f"{rng.randint(0, 900)}.{rng.randint(0, 10**12):012}", "size": rng.choice(SIZES)}
        if rng.random() < 0.9:
            properties["region"] = rng.choice(["eu", "us", "ap"])
        found.append(Said(f"{seed}-{number}", properties, subject="a-1", merchant=merchant, at=at))
    return found


Folded = Callable[[list[Decimal]], Decimal]


def expected(events: list[Said], code: str, price: Mapping[str, Any]) -> Decimal:
    """What a price charges of these events, from them alone."""
    inside = sorted((one for one in events if FIRST <= one.at < LAST), key=lambda one: one.at)
    fold: Folded = max if AGGREGATIONS.get(code) == "max" else lambda numbers: sum(numbers, Decimal(0))
    values = [Decimal(one.properties["n"]) for one in inside]
    if price["model"] == "matrix":
        by_group: dict[tuple[Any, ...], list[Decimal]] = defaultdict(list)
        for one, value in zip(inside, values, strict=True):
            by_group[one.properties["size"], one.properties.get("region")].append(value)
        groups = [({"size": size, "region": region}, fold(found)) for (size, region), found in by_group.items()]
        return charge(price, Decimal(0), groups=groups).amount
    if price["model"] == "percentage":
        return charge(price, Decimal(0), events=values).amount
    length = timedelta(hours=1 if price["bucket"] == "hour" else 24)
    used: dict[int, list[Decimal]] = defaultdict(list)
    for one, value in zip(inside, values, strict=True):
        used[(one.at - FIRST) // length].append(value)
    buckets = [fold(used[place]) if place in used else Decimal(0) for place in range((LAST - FIRST) // length)]
    return charge(price, Decimal(0), buckets=buckets).amount


def amounts(month: Month, subject: str = "a-1") -> dict[str, Decimal | None]:
    """The exact amounts of a customer's lines, by meter, as a close rates them now."""
    lines = month.close(commit=False).closing.lines.filter(pl.col("subject") == subject)
    assert lines["parked_reason"].to_list() == [None] * len(PRICES)
    return dict(lines.select("meter", "amount").iter_rows())


def test_a_close_charges_groups_events_and_buckets_to_the_last_digit(month: Month) -> None:
    """Of random events on the real stores; and a customer who used nothing pays for empty buckets alone."""
    events = random_events(month, seed=1, count=400)
    put_block(month, block_of(month, events))

    assert amounts(month) == {code: expected(events, code, price) for code, price in PRICES.items()}
    assert amounts(month, "a-2") == {code: expected([], code, price) for code, price in PRICES.items()}


def test_what_was_stored_twice_is_charged_once_in_each_group_event_and_bucket(month: Month) -> None:
    """Windows and events twice: every part is counted anew from the events."""
    events = random_events(month, seed=2, count=60)
    block = block_of(month, events)
    put_block(month, block)
    put_block(month, block)

    assert amounts(month) == {code: expected(events, code, price) for code, price in PRICES.items()}


def test_late_usage_is_charged_by_what_the_whole_period_comes_to(month: Month) -> None:
    """A late event that comes first in time takes the free quota of another; the difference goes onto an invoice."""
    events = random_events(month, seed=3, count=80)
    late = random_events(month, seed=4, count=30)
    put_block(month, block_of(month, events))
    close_month(month, PERIOD)
    put_block(month, block_of(month, late, first_offset=1, stored_at=now_of_books(month)))

    close_month(month, "2023-12")

    both = {code: expected([*events, *late], code, price) for code, price in PRICES.items()}
    before = {code: expected(events, code, price) for code, price in PRICES.items()}
    adjusted = {
        line.meter: line.unrounded
        for invoice in invoices(month, "2023-12")
        for line in invoice.lines
        if line.kind == "adjustment"
    }
    with localcontext(EXACT):
        moved = {code: both[code] - before[code] for code in PRICES}
    assert adjusted == {code: difference for code, difference in moved.items() if difference}


def test_each_line_can_be_worked_out_again_with_its_hash(month: Month) -> None:
    """The explanation agrees with the engine on every unit, and the hash of events, groups and buckets is in it."""
    put_block(month, block_of(month, random_events(month, seed=5, count=50)))
    close_month(month, PERIOD)

    for invoice in invoices(month, PERIOD):
        for line in invoice.lines:
            assert explain(line).agrees, line
            assert hash_inputs(invoice, line) == line.input_hash, line


def test_usage_of_a_group_without_a_price_is_parked_with_its_reason(books: Engine, usage_store: UsageStore) -> None:
    """It is never billed at nothing, and the other customer is billed."""
    month = Month(books, usage_store)
    month.sell(catalog({"by_group": MATRIX | {"default": "hold"}}))
    merchant = merchant_of(month, "a-1")
    at = datetime(2023, 11, 20, tzinfo=UTC)
    known = Said("known", {"n": "5", "size": "l", "region": "eu"}, subject="a-2", merchant=merchant, at=at)
    unknown = Said("unknown", {"n": "5", "size": "l"}, subject="a-1", merchant=merchant, at=at)
    put_block(month, block_of(month, [known, unknown]))

    parked, billed = month.close().closing.lines.sort("subject").to_dicts()

    assert 'usage of the group {"size":"l","region":null} has no price and is held' in parked["parked_reason"]
    assert parked["amount"] is None
    assert billed["amount"] == Decimal("0.065")


def test_events_that_do_not_add_up_to_the_windows_are_not_charged(month: Month) -> None:
    """Evidence that was lost is an alarm, not a smaller bill."""
    block = block_of(month, random_events(month, seed=6, count=10))
    put_block(month, block, *({"usage_windows", "usage_uniques"} - {EVENTS}))

    lines = month.close(commit=False).closing.lines.filter(pl.col("meter") == "fees", pl.col("subject") == "a-1")

    assert "do not add up" in lines["parked_reason"][0]
