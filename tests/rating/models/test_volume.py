"""Volume: the tier that the quantity reaches prices all of it."""

from __future__ import annotations

from tests.rating.models.cases import check_table

TIERS = [
    {"up_to": "0.5", "unit_price": "10"},
    {"up_to": "100", "unit_price": "1", "flat_price": "5"},
    {"up_to": None, "unit_price": "0.000000001", "flat_price": "2", "max_amount": "1000"},
]
VOLUME = """
    quantity            | amount
    0                   | 0
    0.5                 | 5               # exactly at a bound stays below
    0.500000000001      | 5.500000000001  # just above: all of it at the next tier, with its flat price alone
    99.5                | 104.5           # between 0.5 and 100, and no integer
    100                 | 105
    100.000000000001    | 2.000000100000000000001
    1000000000000       | 1000            # 1002 without the cap
    1000000000000000000 | 1000            # 10^18 at 10^-9
    -3                  | -30             # a correction, at the first price
"""
FROM_ZERO = """
    quantity | amount
    0        | 7
    1        | 8
    -1       | -1
"""


def test_the_tier_reached_prices_every_unit() -> None:
    """At 0, fractions, bounds, just above, huge, capped and negative quantities."""
    check_table({"model": "volume", "tiers": TIERS}, VOLUME)


def test_a_fraction_between_integer_bounds_has_a_tier() -> None:
    """99.5 with tiers that start at 0 and 100 is not billed at nothing."""
    tiers = [{"up_to": "99", "unit_price": "1"}, {"up_to": None, "unit_price": "0.5"}]

    check_table({"model": "volume", "tiers": tiers}, "quantity | amount\n 99.5 | 49.75\n 99 | 99")


def test_the_first_flat_price_may_be_due_without_usage() -> None:
    """``zero_usage: first_tier_flat``: for nothing too, but not for a correction."""
    tiers = [{"up_to": None, "unit_price": "1", "flat_price": "7"}]

    check_table({"model": "volume", "tiers": tiers, "zero_usage": "first_tier_flat"}, FROM_ZERO)
