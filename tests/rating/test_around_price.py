"""What stands around a price: units before it, amounts after it, in their one order."""

from __future__ import annotations

from decimal import Decimal
from random import Random
from typing import Any

import orjson
import polars as pl
import pytest

from core.money import to_money
from invoicing.explain import explain
from invoicing.invoice import InvoiceLine
from rating.charge import tiers_json
from rating.detail import USAGE_EVENTS, Detail
from rating.engine import rate
from rating.steps import AFTER_COMMITMENT, AFTER_PRICE, BEFORE_PRICE
from tests.rating.oracle.random_prices import random_case
from tests.rating.rows import due_frame, due_price, rate_all, usage_frame, used
from tests.rating.text_table import table

UNIT: dict[str, Any] = {"model": "per_unit", "unit_price": "1"}
TIERS = [{"up_to": "10", "unit_price": "1"}, {"up_to": None, "unit_price": "0.5"}]


def divide(factor: str, **more: str) -> dict[str, Any]:
    """A conversion."""
    return UNIT | {"unit_conversion": {"op": "divide", "factor": factor, **more}}


def rounded(mode: str, places: str = "0") -> dict[str, Any]:
    """A rounding of the quantity."""
    return UNIT | {"round_quantity": {"mode": mode, "places": places}}


PRICES: dict[str, dict[str, Any]] = {
    "thirds": divide("3"),
    "sixths": divide("6"),
    "kilo up": divide("1000", rounding="up", places="0"),
    "kilo near": divide("1000", rounding="half_even", places="0"),
    "thirds up": divide("3", rounding="up", places="12"),
    "times": UNIT | {"unit_conversion": {"op": "multiply", "factor": "0.000000000001"}},
    "up": rounded("up"),
    "down": rounded("down"),
    "away": rounded("half_away", "1"),
    "even": rounded("half_even"),
    "free": UNIT | {"free_units": "100"},
    "included": {"model": "flat", "flat_price": "29", "included_units": "1000", "overage_unit_price": "0.01"},
    "tiers+": {"model": "graduated", "tiers": TIERS, "included_units": "20", "overage_unit_price": "7"},
    "discount": UNIT | {"discount_percent": "12.5"},
    "max": UNIT | {"maximum_amount": "50"},
    "min": UNIT | {"minimum_amount": "5"},
    "commit": UNIT | {"commitment": {"amount": "100", "overage_factor": "1.5"}},
    "true up": UNIT | {"commitment": {"amount": "100", "true_up": True}},
    "units": {"model": "graduated", "tiers": TIERS, "commitment": {"quantity": "20", "overage_factor": "2"}},
    "credits": UNIT | {"pricing_unit": "credits", "conversion_rate": "0.003"},
    "order": divide("10", rounding="up", places="0")
    | {"free_units": "2", "discount_percent": "50", "maximum_amount": "40", "minimum_amount": "5"},
    "always": {"model": "graduated", "zero_usage": "first_tier_flat", "minimum_amount": "3"}
    | {"tiers": [{"up_to": None, "unit_price": "1", "flat_price": "2"}]},
}
CASES = """
    price     | quantity            | amount
    thirds    | 1                   | 0.333333333333333333333333   # once, at the 24th place
    thirds    | 2                   | 0.666666666666666666666667
    thirds    | -2                  | -0.666666666666666666666667
    thirds    | 10000000000000000000 | parked                      # as an amount; the quantity would fit
    sixths    | 3                   | 0.5
    kilo up   | 1000.000000000001   | 2
    kilo up   | -0.5                | -1                           # a correction, as what it corrects was
    kilo near | 2500                | 2
    kilo near | 3500                | 4
    kilo near | 2500.000000000001   | 3                            # no tie: rounded once, from the exact number
    thirds up | 1                   | 0.333333333334
    times     | 0.000000000001      | 0.000000000000000000000001
    up        | 0.000000000001      | 1
    down      | 0.999999999999      | 0
    away      | 0.25                | 0.3
    away      | -0.25               | -0.3
    even      | 2.5                 | 2
    free      | 99.5                | 0
    free      | 100.5               | 0.5
    free      | -3                  | -3
    included  | 0                   | 29
    included  | 1000                | 29
    included  | 1000.5              | 29.005                       # nothing is cut to whole units or cents
    included  | 1000.04             | 29.0004
    tiers+    | 21                  | 22
    discount  | 0.000000000001      | 0.000000000000875
    max       | 50.000000000001     | 50
    max       | -60                 | -60
    min       | 0                   | 5
    min       | 5.1                 | 5.1
    min       | -8                  | 5
    commit    | 99                  | 99
    commit    | 120                 | 130
    true up   | 0                   | 100
    true up   | 120                 | 120
    units     | 20                  | 15                           # 20 units are worth 15
    units     | 24                  | 19
    credits   | 1000                | 3
    order     | 11                  | 5                            # 2 packs, both free, then the minimum
    order     | 50                  | 5
    order     | 320                 | 15                           # 32 packs, 30 paid, half off
    order     | 5000                | 40
    always    | 0                   | 3
    always    | 4                   | 6
"""


@pytest.mark.parametrize(("price", "quantity", "amount"), list(table(CASES)))
def test_each_step_does_what_it_says(price: str, quantity: str, amount: str) -> None:
    """Alone and in their order, at 0, at bounds, with fractions and below zero."""
    line = rate_all([(PRICES[price], quantity)])[0]

    assert line["amount"] == (None if amount == "parked" else Decimal(amount))


def test_the_order_of_the_steps_is_one_list() -> None:
    """Whoever changes it changes bills."""
    assert [step.__name__ for step in (*BEFORE_PRICE, *AFTER_PRICE, *AFTER_COMMITMENT)] == [
        "convert_units",
        "round_quantity",
        "take_free_units",
        "split_included",
        "add_overage",
        "discount",
        "maximum",
        "minimum",
        "overage_factor",
        "true_up",
        "to_currency",
    ]


def test_what_stands_around_one_price_does_not_touch_another() -> None:
    """Lines of plain and adjusted prices mixed, many to a price."""
    prices = [UNIT, PRICES["order"], PRICES["thirds"], {"model": "flat", "flat_price": "1"}]
    mixed = [(prices[place % 4], str(place)) for place in range(40)]

    together = [line["amount"] for line in rate_all(mixed)]
    alone = [rate_all([case])[0]["amount"] for case in mixed[:8]]

    assert together[:8] == alone


def test_rounding_to_money_comes_last_and_once() -> None:
    """An amount in yen, dollars and dinars is rounded from the same exact number."""
    line = rate_all([(PRICES["thirds"] | {"discount_percent": "10"}, "500.5")])[0]

    assert line["amount"] == Decimal("150.15")
    assert [to_money(line["amount"], code).minor for code in ("JPY", "USD", "KWD")] == [150, 15015, 150150]


@pytest.mark.parametrize(
    ("more", "told"),
    [({"payment_term": "advance"}, "due in advance"), ({"recurrence": "one_time"}, "due once")],
)
def test_a_close_does_not_bill_what_is_not_of_a_period_that_ended(more: dict[str, str], told: str) -> None:
    """It is parked with its reason, and can be tried out."""
    due = due_price({"model": "flat", "flat_price": "3"} | more)
    usage = usage_frame([used(due, "0")])

    assert told in rate(usage, due_frame([due]))["parked_reason"][0]
    assert rate(usage, due_frame([due]), Detail())["amount"][0] == 3


def test_single_events_are_under_the_hash() -> None:
    """Two lines with the same total of other events have other hashes, in whatever order the rows come."""
    due = due_price({"model": "percentage", "rate_percent": "1", "free_events": "1"})

    def hash_of(*amounts: str) -> str:
        rows = [
            (due["subscription_id"], due["price_id"], order, Decimal(amount)) for order, amount in enumerate(amounts)
        ]
        events = pl.DataFrame(rows, schema=USAGE_EVENTS, orient="row").sample(fraction=1, shuffle=True, seed=1)
        found: str = rate(usage_frame([used(due, "10")]), due_frame([due]), Detail(events))["input_hash"][0]
        return found

    assert hash_of("4", "6") == hash_of("4", "6")
    assert len({hash_of("4", "6"), hash_of("6", "4"), hash_of("10")}) == 3


def test_every_line_can_be_worked_out_again_from_its_rows() -> None:
    """The explanation of an invoice line agrees with the engine on random prices of all kinds."""
    rng = Random(21)
    cases = [random_case(rng) for _ in range(400)]
    single = [case for case in cases if case.price["model"] not in ("percentage", "matrix") and case.buckets is None]
    due = [due_price(case.price, place) for place, case in enumerate(single)]
    usage = [used(row, case.quantity) for row, case in zip(due, single, strict=True)]
    lines = rate(usage_frame(usage), due_frame(due)).with_columns(tiers=tiers_json(pl.col("tiers")))
    checked = 0
    for line in lines.filter(pl.col("parked_reason").is_null()).iter_rows(named=True):
        shown = invoice_line(line)
        assert explain(shown).agrees, line
        changed = shown.tiers[-1] | {"amount": str(Decimal(shown.tiers[-1]["amount"]) + 1)}
        shown.tiers[-1] = changed
        assert not explain(shown).agrees
        checked += 1
    assert checked > 200


def invoice_line(line: dict[str, Any]) -> InvoiceLine:
    """A rated line as an invoice shows it."""
    return InvoiceLine(
        position=1,
        description="",
        **{name: line[name] for name in ("price_id", "meter_id", "meter", "aggregation", "model", "quantity")},
        unrounded=line["amount"],
        amount=to_money(line["amount"], "USD"),
        tiers=orjson.loads(line["tiers"]),
        price={},
        events=0,
        windows=0,
        input_hash="",
    )
