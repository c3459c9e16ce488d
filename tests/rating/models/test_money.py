"""What a price comes to in money: every model at its edges, in currencies of two, none and three minor digits."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from core.money import minor_digits, to_money
from rating.preview import simulate
from tests.rating.rows import rate_all
from tests.rating.text_table import table

TINY = "0.000000001"
PER_UNIT = {"model": "per_unit", "unit_price": TINY}
TIERS: list[dict[str, Any]] = [
    {"up_to": "1000", "unit_price": "0.0045", "flat_price": "0.0005"},
    {"up_to": None, "unit_price": TINY},
]
SHARES = [{"up_to": "1000", "rate_percent": "0.45", "flat_price": "0.0005"}, {"up_to": None, "rate_percent": "0.0001"}]
BLOCKS = [
    {"max_blocks": "10", "block_size": "100", "block_price": "0.45"},
    {"max_blocks": None, "block_size": "1000000", "block_price": "0.001"},
]
STAIRS = [{"up_to": "1000", "flat_price": "4.5"}, {"up_to": None, "flat_price": "0.0005"}]
PACKAGE = {"model": "package", "package_size": "1000", "package_price": "0.0045"}

MODELS: dict[str, dict[str, Any]] = {
    "per_unit": PER_UNIT,
    "graduated": {"model": "graduated", "tiers": TIERS},
    "volume": {"model": "volume", "tiers": TIERS},
    "package": PACKAGE,
    "package_down": PACKAGE | {"package_rounding": "down"},
    "percentage": {"model": "percentage", "rate_percent": "0.45"},
    "percentage_tiny": {"model": "percentage", "rate_percent": "0.0000001"},
    "graduated_percentage": {"model": "graduated_percentage", "tiers": SHARES},
    "block_tiers": {"model": "block_tiers", "mode": "graduated", "tiers": BLOCKS},
    "block_volume": {"model": "block_tiers", "mode": "volume", "tiers": BLOCKS},
    "stair_step": {"model": "stair_step", "tiers": STAIRS},
    "dynamic": {"model": "dynamic"},
    "flat": {"model": "flat", "flat_price": "4.5"},
}
# Halves are rounded away from zero, once, from the exact amount: 4.5 yen are 5, and -4.5 are -5.
CASES = """
    model                | quantity            | unrounded                   | USD           | JPY        | KWD
    per_unit             | 0                   | 0                           | 0.00          | 0          | 0.000
    per_unit             | 0.000000000001      | 0.000000000000000000001     | 0.00          | 0          | 0.000
    per_unit             | 500000              | 0.0005                      | 0.00          | 0          | 0.001
    per_unit             | 499999.999999999999 | 0.000499999999999999999     | 0.00          | 0          | 0.000
    per_unit             | 5000000             | 0.005                       | 0.01          | 0          | 0.005
    per_unit             | 500000000           | 0.5                         | 0.50          | 1          | 0.500
    per_unit | 1000000000000000000 | 1000000000 | 1000000000.00 | 1000000000 | 1000000000.000
    per_unit             | -500000000          | -0.5                        | -0.50         | -1         | -0.500
    per_unit             | -5000000            | -0.005                      | -0.01         | 0          | -0.005
    graduated            | 0                   | 0                           | 0.00          | 0          | 0.000
    graduated            | 0.000000000001      | 0.0005000000000045          | 0.00          | 0          | 0.001
    graduated            | 1000                | 4.5005                      | 4.50          | 5          | 4.501
    graduated            | 1000.000000000001   | 4.500500000000000000001     | 4.50          | 5          | 4.501
    graduated | 1000000000000000000 | 1000000004.500499 | 1000000004.50 | 1000000005 | 1000000004.500
    graduated            | -1000               | -4.5                        | -4.50         | -5         | -4.500
    volume               | 0                   | 0                           | 0.00          | 0          | 0.000
    volume               | 1000                | 4.5005                      | 4.50          | 5          | 4.501
    volume               | 1000.000000000001   | 0.000001000000000000001     | 0.00          | 0          | 0.000
    volume | 1000000000000000000 | 1000000000 | 1000000000.00 | 1000000000 | 1000000000.000
    volume               | -1000               | -4.5                        | -4.50         | -5         | -4.500
    package              | 0                   | 0                           | 0.00          | 0          | 0.000
    package              | 0.000000000001      | 0.0045                      | 0.00          | 0          | 0.005
    package              | 1000                | 0.0045                      | 0.00          | 0          | 0.005
    package              | 1000.000000000001   | 0.009                       | 0.01          | 0          | 0.009
    package | 1000000000000000000 | 4500000000000 | 4500000000000.00 | 4500000000000 | 4500000000000.000
    package              | -1000               | -0.0045                     | 0.00          | 0          | -0.005
    package              | -999.999999999999   | 0                           | 0.00          | 0          | 0.000
    package_down         | 999.999999999999    | 0                           | 0.00          | 0          | 0.000
    package_down         | 1000                | 0.0045                      | 0.00          | 0          | 0.005
    package_down         | 1000.000000000001   | 0.0045                      | 0.00          | 0          | 0.005
    percentage           | 0                   | 0                           | 0.00          | 0          | 0.000
    percentage           | 0.000000000001      | 0.0000000000000045          | 0.00          | 0          | 0.000
    percentage           | 1000                | 4.5                         | 4.50          | 5          | 4.500
    percentage           | -1000               | -4.5                        | -4.50         | -5         | -4.500
    percentage | 1000000000000000 | 4500000000000 | 4500000000000.00 | 4500000000000 | 4500000000000.000
    percentage           | 1000000000000000000 | parked                      | -             | -          | -
    percentage_tiny      | 0.01                | 0.00000000001               | 0.00          | 0          | 0.000
    percentage_tiny      | -500000000          | -0.5                        | -0.50         | -1         | -0.500
    percentage_tiny | 1000000000000000000 | 1000000000 | 1000000000.00 | 1000000000 | 1000000000.000
    dynamic              | 0                   | 0                           | 0.00          | 0          | 0.000
    graduated_percentage | 0                   | 0                           | 0.00          | 0          | 0.000
    graduated_percentage | 1000                | 4.5005                      | 4.50          | 5          | 4.501
    graduated_percentage | 1000.000000000001   | 4.500500000000000001        | 4.50          | 5          | 4.501
    graduated_percentage |1000000000000000000|1000000000004.4995|1000000000004.50 | 1000000000004 | 1000000000004.500
    graduated_percentage | -1000               | -4.5                        | -4.50         | -5         | -4.500
    block_tiers          | 0                   | 0                           | 0.00          | 0          | 0.000
    block_tiers          | 0.5                 | 0.45                        | 0.45          | 0          | 0.450
    block_tiers          | 1000                | 4.5                         | 4.50          | 5          | 4.500
    block_tiers          | 1000.000000000001   | 4.501                       | 4.50          | 5          | 4.501
    block_tiers | 1000000000000000000 | 1000000004.5 | 1000000004.50 | 1000000005 | 1000000004.500
    block_tiers          | -1000               | -4.5                        | -4.50         | -5         | -4.500
    block_volume         | 1000                | 4.5                         | 4.50          | 5          | 4.500
    block_volume         | 1000.000000000001   | 0.001                       | 0.00          | 0          | 0.001
    block_volume | 1000000000000000000 | 1000000000 | 1000000000.00 | 1000000000 | 1000000000.000
    block_volume         | -1000               | -4.5                        | -4.50         | -5         | -4.500
    stair_step           | 0                   | 0                           | 0.00          | 0          | 0.000
    stair_step           | 0.000000000001      | 4.5                         | 4.50          | 5          | 4.500
    stair_step           | 1000                | 4.5                         | 4.50          | 5          | 4.500
    stair_step           | 1000.000000000001   | 0.0005                      | 0.00          | 0          | 0.001
    stair_step           | 1000000000000000000 | 0.0005                      | 0.00          | 0          | 0.001
    stair_step           | -1000               | 0                           | 0.00          | 0          | 0.000
    dynamic              | 0.005               | 0.005                       | 0.01          | 0          | 0.005
    dynamic              | 0.004999999999      | 0.004999999999              | 0.00          | 0          | 0.005
    dynamic              | -0.0005             | -0.0005                     | 0.00          | 0          | -0.001
    dynamic | 99999999999999 | 99999999999999 | 99999999999999.00 | 99999999999999 | 99999999999999.000
    dynamic              | 1000000000000000000 | parked                      | -             | -          | -
    flat                 | 0                   | 4.5                         | 4.50          | 5          | 4.500
    flat                 | -1                  | 4.5                         | 4.50          | 5          | 4.500
    flat                 | 1000000000000000000 | 4.5                         | 4.50          | 5          | 4.500
"""
ROWS = list(table(CASES))


def test_every_model_is_exact_at_its_edges() -> None:
    """At 0, the smallest fraction, a bound, just above it, the largest quantities, and below zero."""
    lines = rate_all([(MODELS[model], quantity) for model, quantity, *_ in ROWS])

    found = [(*row[:2], line["amount"]) for row, line in zip(ROWS, lines, strict=True)]
    assert found == [(*row[:2], None if row[2] == "parked" else Decimal(row[2])) for row in ROWS]
    assert {model for model, *_ in ROWS} == set(MODELS)


@pytest.mark.parametrize(("currency", "column"), [("USD", 3), ("JPY", 4), ("KWD", 5)])
def test_money_is_rounded_once_in_the_digits_of_its_currency(currency: str, column: int) -> None:
    """Away from zero at a half, from the exact amount, never from a product that was rounded before."""
    charged = [row for row in ROWS if row[2] != "parked"]

    for model, quantity, unrounded, *_ in charged:
        money = to_money(Decimal(unrounded), currency)
        expected = int(Decimal(row_text(model, quantity, column)).scaleb(minor_digits(currency)))
        assert money.minor == expected, (model, quantity, currency)


@pytest.mark.parametrize("row", [row for row in ROWS if row[0] != "percentage" or row[2] != "parked"][::7])
def test_a_price_that_is_tried_out_says_the_same_money(row: list[str]) -> None:
    """The command and the API answer with the amounts of the table."""
    for currency, expected in zip(("USD", "JPY", "KWD"), row[3:], strict=True):
        answer = simulate({"price": MODELS[row[0]], "quantity": row[1], "currency": currency})
        assert answer["amount"] == (None if expected == "-" else expected)


def row_text(model: str, quantity: str, column: int) -> str:
    """One cell of the table."""
    return next(row[column] for row in ROWS if row[:2] == [model, quantity])
