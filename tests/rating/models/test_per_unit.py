"""Per unit: each unit costs the same, to the last of 24 places."""

from __future__ import annotations

from decimal import Decimal

from tests.rating.rows import rate_all
from tests.rating.text_table import table

CASES = """
    unit price      | quantity                                | amount
    0.0000025       | 18059974                                | 45.149935
    0.00001         | 245896                                  | 2.45896
    0.0000025       | 0                                       | 0
    2.50            | 1                                       | 2.50
    2.50            | 0.000000000001                          | 0.0000000000025
    0.000000000001  | 0.000000000001                          | 0.000000000000000000000001     # the last place there is
    0.123456789012  | 9.876543210987                          | 1.219326311366723059274844     # every place is kept
    2.50            | -3                                      | -7.50                          # a correction
    0.000000001     | 1000000000000000000                     | 1000000000                     # 10^18 at 10^-9
    0.000000000001  | 99999999999999999999999999.999999999999 | 99999999999999.999999999999999999999999
    99999999999999  | 1                                       | 99999999999999
    0               | 99999999999999999999999999              | 0
    1               | 100000000000000                         | parked                         # 15 digits
    -1              | 100000000000000                         | parked
    0.00001         | 99999999999999999999999999.999999999999 | parked
    1000000000000   | 1000000000000000000                     | parked                         # would wrap 128 bits
    100000000000000 | 34028236692093.846346337460             | parked                         # would wrap to near 0
"""


def test_quantity_times_price_is_exact_or_parked() -> None:
    """Every amount is the exact product; one that does not fit is parked, never wrapped or rounded."""
    rows = list(table(CASES))

    lines = rate_all([({"model": "per_unit", "unit_price": price}, quantity) for price, quantity, _ in rows])

    found = ["parked" if line["parked_reason"] else line["amount"] for line in lines]
    expected = [amount if amount == "parked" else Decimal(amount) for _, _, amount in rows]
    assert found == expected


def test_a_line_explains_itself_as_one_unbounded_tier() -> None:
    """The explanation holds the very numbers that were multiplied."""
    line = rate_all([({"model": "per_unit", "unit_price": "0.0000025"}, "18059974")])[0]

    said = [{name: value for name, value in tier.items() if value is not None} for tier in line["tiers"]]
    assert said == [
        {
            "tier": 1,
            "from": Decimal(0),
            "quantity": Decimal(18059974),
            "finer": 0,
            "unit_price": Decimal("0.0000025"),
            "flat_price": Decimal(0),
            "amount": Decimal("45.149935"),
        }
    ]


def test_a_price_is_not_rounded_before_it_is_multiplied() -> None:
    """A fraction of a unit at a fraction of a cent is still charged."""
    lines = rate_all([({"model": "per_unit", "unit_price": "0.0004"}, "0.9")])

    assert lines[0]["amount"] == Decimal("0.00036")
