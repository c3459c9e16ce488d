"""Graduated: bounds are inclusive and cumulative, fractions fall in exactly one tier, flats come with entering."""

from __future__ import annotations

from decimal import Decimal

from tests.rating.rows import rate_all
from tests.rating.text_table import table

PRICE = {
    "model": "graduated",
    "tiers": [
        {"up_to": "1000", "unit_price": "0.50", "flat_price": "5"},
        {"up_to": "2000.5", "unit_price": "0.10"},
        {"up_to": None, "unit_price": "0.01", "flat_price": "7"},
    ],
}
CASES = """
    quantity                                | amount                     | tiers entered
    0                                       | 0                          | 0      # nothing was used, no tier is entered
    0.000000000001                          | 5.0000000000005            | 1
    1                                       | 5.5                        | 1
    999.999999999999                        | 504.9999999999995          | 1
    1000                                    | 505                        | 1      # exactly at a bound stays below
    1000.000000000001                       | 505.0000000000001          | 2      # just above enters the next
    2000.5                                  | 605.05                     | 2
    2000.500000000001                       | 612.05000000000001         | 3
    10000                                   | 692.045                    | 3
    1000000000000000000                     | parked                     | 0      # 10^16 dollars do not fit
    100000000000000                         | 1000000000592.045          | 3
    -10                                     | -5                         | 0      # a correction, at the first price
"""


def test_units_are_charged_tier_by_tier() -> None:
    """At 0, fractions, bounds, just above them, huge and negative quantities."""
    rows = list(table(CASES))

    lines = rate_all([(PRICE, quantity) for quantity, _, _ in rows])

    found = ["parked" if line["parked_reason"] else line["amount"] for line in lines]
    expected = [amount if amount == "parked" else Decimal(amount) for _, amount, _ in rows]
    assert found == expected


def test_the_tiers_that_are_listed_are_those_entered() -> None:
    """A tier above the quantity is not shown; the first is shown for a quantity of 0 too."""
    rows = list(table(CASES))

    lines = rate_all([(PRICE, quantity) for quantity, _, _ in rows])

    found = [len(line["tiers"]) for line in lines if not line["parked_reason"]]
    assert found == [max(int(entered), 1) for _, amount, entered in rows if amount != "parked"]


def test_the_tiers_of_a_line_add_up_to_it() -> None:
    """Quantities in tiers add up to the quantity, and their amounts to the amount."""
    for line in rate_all([(PRICE, quantity) for quantity, amount, _ in table(CASES) if amount != "parked"]):
        assert sum(tier["quantity"] for tier in line["tiers"]) == line["quantity"]
        assert sum(tier["amount"] for tier in line["tiers"]) == line["amount"]


def test_without_flat_prices_the_charge_is_continuous_at_bounds() -> None:
    """The smallest unit above a bound adds its own price and nothing else."""
    price = {"model": "graduated", "tiers": [{"up_to": 10, "unit_price": 3}, {"up_to": None, "unit_price": 2}]}

    at, above = (line["amount"] for line in rate_all([(price, "10"), (price, "10.000000000001")]))

    assert above - at == Decimal("0.000000000002")


def test_tiers_whose_sum_does_not_fit_are_parked() -> None:
    """Each tier fits alone and the sum does not: it must not wrap to a negative amount."""
    most = "99999999999999"
    tiers: list[dict[str, object]] = [{"up_to": str(bound), "unit_price": most} for bound in (1, 2, 3)]
    price = {"model": "graduated", "tiers": [*tiers, {"up_to": None, "unit_price": most}]}

    fits, wraps = rate_all([(price, "1"), (price, "4")])

    assert fits["amount"] == Decimal(most)
    assert wraps["amount"] is None
    assert "does not fit" in wraps["parked_reason"]


def test_a_flat_price_too_large_parks_the_line() -> None:
    """A flat price is bounds-checked like everything else."""
    tiers = [{"up_to": None, "unit_price": "1", "flat_price": "100000000000000"}]

    assert rate_all([({"model": "graduated", "tiers": tiers}, "1")])[0]["parked_reason"] is not None
