"""Mistakes that are known from the code of other systems, each shown not to be made here."""

from __future__ import annotations

import json
from datetime import timedelta
from decimal import Decimal
from random import Random

import pytest
from sqlalchemy import Engine

from catalog.document import read_catalog
from clickhouse.client import UsageStore
from rating.preview import simulate
from tests.rating.blocks import block_of, merchant_of, put_block
from tests.rating.month import NOON, Month
from tests.rating.oracle.random_prices import random_case
from tests.rating.rows import rate_all
from tests.streams.builders import Said

CATALOG = """
merchant: {code: acme}
meters:
  - {code: calls, event_type: call, aggregation: count}
plans:
  - code: plan
    currency: KWD
    prices:
      - meter: calls
        model: volume
        tiers: [{up_to: 100, unit_price: 0.0004}, {up_to: null, unit_price: 0.0002, max_amount: 9.5}]
        unit_conversion: {op: divide, factor: 1e3, rounding: up}
        commitment: {amount: 5, true_up: true}
"""


def test_trap_4_volume_tiers_as_integer_ranges() -> None:
    """Elsewhere 99.5 with tiers that begin at 0 and at 100 meets none of them and is billed at nothing."""
    tiers = [{"up_to": "99", "unit_price": "1"}, {"up_to": None, "unit_price": "2"}]

    volume, graduated = rate_all([({"model": model, "tiers": tiers}, "99.5") for model in ("volume", "graduated")])

    assert (volume["amount"], graduated["amount"]) == (199, 100)


def test_trap_5_a_block_size_that_is_ignored() -> None:
    """Elsewhere it is accepted, stored, and left out of the arithmetic."""
    blocks = {"max_blocks": None, "block_price": "1"}
    cases = [({"model": "block_tiers", "tiers": [blocks | {"block_size": size}]}, "100") for size in ("1", "10", "300")]

    assert [line["amount"] for line in rate_all(cases)] == [100, 10, 1]


COUNTED = """
merchant: {code: acme}
meters:
  - {code: calls, event_type: call, aggregation: sum, value: n}
  - {code: users, event_type: call, aggregation: unique, value: user}
plans:
  - code: plan
    currency: USD
    prices:
      - {meter: calls, model: per_unit, unit_price: 1}
      - {meter: users, model: per_unit, unit_price: 1}
customers: [{key: a-1, currency: USD}]
subscriptions: [{customer: a-1, plan: plan, start: 2023-11-01}]
"""


@pytest.mark.parametrize("value", ["abc", "", "1,5", "NaN", "0x10"])
def test_trap_6_an_unparsable_value_that_becomes_0(books: Engine, usage_store: UsageStore, value: str) -> None:
    """Elsewhere it is billed as 0 or skipped in silence. Here it is a dead letter with its reason, and no usage."""
    month = Month(books, usage_store)
    month.sell(COUNTED)
    merchant = merchant_of(month, "a-1")
    good = Said("good", {"n": "2", "user": "u"}, subject="a-1", merchant=merchant)
    bad = Said("bad", {"n": value, "user": "v"}, subject="a-1", merchant=merchant)

    block = block_of(month, [good, bad])
    put_block(month, block)

    (letter,) = block.dead_letters
    assert (letter.event_id, letter.code) == ("bad", "value_not_numeric")
    lines = month.close().closing.lines
    assert dict(lines.select("meter", "amount").iter_rows()) == {"calls": 2, "users": 1}


def test_trap_7_an_approximate_distinct_count(books: Engine, usage_store: UsageStore) -> None:
    """Elsewhere users are estimated. Here 30,000 different ones are 30,000, however often and whenever they come."""
    month = Month(books, usage_store)
    month.sell(COUNTED)
    merchant = merchant_of(month, "a-1")
    for day in range(2):
        events = [
            Said(
                f"{day}-{number}",
                {"n": "0", "user": f"user-{number + 10_000 * day}"},
                subject="a-1",
                merchant=merchant,
                at=NOON + timedelta(days=day, seconds=number),
            )
            for number in range(20_000)
        ]
        put_block(month, block_of(month, events, first_offset=day))

    lines = month.close().closing.lines

    assert dict(lines.select("meter", "amount").iter_rows()) == {"calls": 0, "users": 30_000}


def test_trap_8_a_price_rounded_to_cents_before_it_is_multiplied() -> None:
    """Elsewhere 0.9 units above the included ones at 0.0004 are billed at nothing, in whole units and whole cents."""
    price = {"model": "flat", "flat_price": "0", "included_units": "10", "overage_unit_price": "0.0004"}

    assert rate_all([(price, "10.9")])[0]["amount"] == Decimal("0.00036")


def test_trap_9_a_preview_with_code_of_its_own() -> None:
    """Elsewhere a preview has code of its own. Here random prices give the same line without and with a bill."""
    rng = Random(4)
    cases = [
        case
        for case in (random_case(rng) for _ in range(80))
        if case.price["model"] not in ("percentage", "matrix") and case.buckets is None
    ]
    billed = rate_all([(case.price, case.quantity) for case in cases])

    tried = simulate(
        {
            "cases": [
                {"price": case.price, "quantity": format(case.quantity, "f")} for case in cases if fits(case.quantity)
            ]
        }
    )["cases"]

    expected = [line for line, case in zip(billed, cases, strict=True) if fits(case.quantity)]
    assert len(tried) > 30
    for answer, line in zip(tried, expected, strict=True):
        assert answer.get("parked_reason") == line["parked_reason"]
        if line["parked_reason"] is None:
            assert Decimal(answer["unrounded"]) == line["amount"]


def fits(quantity: Decimal) -> bool:
    """Whether a single value may be so large."""
    return abs(quantity) < Decimal(10) ** 19


def test_a_price_in_a_catalog_file_is_the_price_that_is_charged() -> None:
    """From YAML to the amount: no number of it was ever a float."""
    definition = read_catalog(CATALOG.encode())[0].plans[0].prices[0].definition

    lines = rate_all([(json.loads(definition), quantity) for quantity in ("100001", "30000000", "100000000")])

    # 101 packs at 0.0002 are filled up to 5; 30,000 cost 6; 100,000 would cost 20 and are capped.
    assert [line["amount"] for line in lines] == [5, 6, Decimal("9.5")]
