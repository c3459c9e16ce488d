"""Flat prices, steps, percentages of parts, and amounts that events carry."""

from __future__ import annotations

from tests.rating.models.cases import check_table

STEPS = [
    {"up_to": "10", "flat_price": "50"},
    {"up_to": "10.5", "flat_price": "60"},
    {"up_to": None, "flat_price": "400"},
]
STAIRS = """
    quantity            | amount
    0                   | 0
    0.000000000001      | 50
    10                  | 50
    10.000000000001     | 60
    10.500000000001     | 400
    1000000000000000000 | 400
    -1                  | 0
"""
PARTS = """
    quantity         | amount
    0                | 0
    100              | 3.2
    100.000000000001 | 3.20000000000001
    1000             | 12.2
    -100             | -2.9
"""
FLAT = """
    quantity | amount
    0        | 29
    17.5     | 29
    -1       | 29
"""
WHEN_USED = """
    quantity | amount
    0        | 0
    0.000000000001 | 29
"""
CARRIED = """
    quantity             | amount
    12.345678901234      | 12.345678901234
    -4                   | -4
    0                    | 0
    99999999999999       | 99999999999999
    100000000000000      | parked
"""


def test_a_step_has_one_price() -> None:
    """``stair_step``: whatever lies in the step."""
    check_table({"model": "stair_step", "tiers": STEPS}, STAIRS)


def test_each_part_of_an_amount_has_its_percentage() -> None:
    """``graduated_percentage``: touching bounds, so that no cent falls between."""
    tiers = [{"up_to": "100", "rate_percent": "2.9", "flat_price": "0.30"}, {"up_to": None, "rate_percent": "1"}]

    check_table({"model": "graduated_percentage", "tiers": tiers}, PARTS)


def test_a_flat_price_is_due_used_or_not() -> None:
    """``flat``, and only when used with ``zero_usage: no_charge``."""
    check_table({"model": "flat", "flat_price": "29"}, FLAT)
    check_table({"model": "flat", "flat_price": "29", "zero_usage": "no_charge"}, WHEN_USED)


def test_events_may_carry_their_amount() -> None:
    """``dynamic``: the quantity is the amount."""
    check_table({"model": "dynamic"}, CARRIED)
