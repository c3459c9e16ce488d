"""Mistakes that are known from the code of other systems, each shown not to be made here."""

from __future__ import annotations

import json
from decimal import Decimal
from random import Random

from catalog.document import read_catalog
from rating.preview import simulate
from tests.rating.oracle.random_prices import random_case
from tests.rating.rows import rate_all

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


def test_a_fraction_between_integer_tiers_is_billed() -> None:
    """Elsewhere 99.5 with tiers that begin at 0 and at 100 meets none of them and is billed at nothing."""
    tiers = [{"up_to": "99", "unit_price": "1"}, {"up_to": None, "unit_price": "2"}]

    volume, graduated = rate_all([({"model": model, "tiers": tiers}, "99.5") for model in ("volume", "graduated")])

    assert (volume["amount"], graduated["amount"]) == (199, 100)


def test_a_block_size_counts() -> None:
    """Elsewhere it is accepted, stored, and left out of the arithmetic."""
    blocks = {"max_blocks": None, "block_price": "1"}
    cases = [({"model": "block_tiers", "tiers": [blocks | {"block_size": size}]}, "100") for size in ("1", "10", "300")]

    assert [line["amount"] for line in rate_all(cases)] == [100, 10, 1]


def test_a_price_is_not_rounded_to_cents_before_it_is_multiplied() -> None:
    """Elsewhere 0.9 units above the included ones at 0.0004 are billed at nothing, in whole units and whole cents."""
    price = {"model": "flat", "flat_price": "0", "included_units": "10", "overage_unit_price": "0.0004"}

    assert rate_all([(price, "10.9")])[0]["amount"] == Decimal("0.00036")


def test_a_preview_charges_what_a_bill_charges() -> None:
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
