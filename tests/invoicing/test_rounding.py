"""The vectorised rounding is ``core.money.to_money``, for every currency and amount."""

from __future__ import annotations

from decimal import Decimal

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import Refused
from core.money import to_money
from invoicing.rounding import with_minor
from rating.charge import AMOUNT
from tests.rating.text_table import table

CASES = """
    amount                      | currency | minor
    45.149935                   | USD      | 4515
    2.45896                     | USD      | 246
    0                           | USD      | 0
    0.005                       | USD      | 1              # halves go away from zero
    -0.005                      | USD      | -1
    0.015                       | USD      | 2
    0.025                       | USD      | 3              # not to the even neighbour
    0.004999999999999999999999  | USD      | 0              # the last place decides
    -0.004999999999999999999999 | USD      | 0
    1000.5                      | JPY      | 1001           # yen have no hundredths
    -1000.5                     | JPY      | -1001
    1.0005                      | KWD      | 1001           # dinars have thousandths
    1.00049                     | KWD      | 1000
    99999999999999.994999       | USD      | 9999999999999999
    99999999999999.999999       | USD      | 10000000000000000
    99999999999999.99995        | UYW      | 1000000000000000000
"""


def rounded(amounts: list[tuple[Decimal, str]]) -> list[int]:
    """The minor units of amounts."""
    frame = pl.DataFrame(amounts, schema={"amount": AMOUNT, "currency": pl.String()}, orient="row")
    return with_minor(frame, "amount", "minor")["minor"].to_list()


def test_amounts_round_once_to_the_currencys_own_unit() -> None:
    """Hundredths, none and thousandths; halves away from zero on both sides."""
    rows = list(table(CASES))

    found = rounded([(Decimal(amount), currency) for amount, currency, _ in rows])

    assert found == [int(minor) for _, _, minor in rows]


AMOUNTS = st.integers(0, 38).flatmap(lambda digits: st.integers(-(10**digits) + 1, 10**digits - 1))
HALVES = st.builds(lambda whole, step: whole * 5 * 10**20 + step, st.integers(-1999, 1999), st.integers(-1, 1))


@given(st.lists(st.tuples(AMOUNTS | HALVES, st.sampled_from(["USD", "JPY", "KWD", "UYW"])), min_size=1))
def test_rounding_many_equals_rounding_one(units: list[tuple[int, str]]) -> None:
    """The frame's integers and Python's decimals agree on every amount that rating can hand over."""
    amounts = [(Decimal(f"{unit}e-24"), currency) for unit, currency in units]

    assert rounded(amounts) == [to_money(amount, currency).minor for amount, currency in amounts]


def test_an_unknown_currency_is_refused() -> None:
    """Nothing is rounded to a unit that nobody knows."""
    with pytest.raises(Refused, match="XXX"):
        rounded([(Decimal(1), "XXX")])
