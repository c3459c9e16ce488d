"""Money: rounding once, minor units by currency, and shares that add up."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, ROUND_HALF_UP, Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import Refused
from core.money import Money, allocate, minor_digits, to_money

ROUNDINGS = """
# amount        currency  half_away  half_even
  45.149935     USD            4515       4515
   2.45896      USD             246        246
   0.125        USD              13         12
  -0.125        USD             -13        -12
   0.005        USD               1          0
  -0.005        USD              -1          0
   0.0049999    USD               0          0
   0.5          JPY               1          0
   1.5          JPY               2          2
  -2.5          JPY              -3         -2
   0.0005       KWD               1          0
   1.2345       KWD            1235       1234
   0            EUR               0          0
"""


def rows(table: str) -> list[list[str]]:
    """The rows of a text table."""
    return [line.split() for line in table.strip().splitlines() if not line.startswith("#")]


@pytest.mark.parametrize(("amount", "currency", "away", "even"), rows(ROUNDINGS))
def test_rounding_is_to_the_minor_unit_of_the_currency(amount: str, currency: str, away: str, even: str) -> None:
    """Halves go away from zero by default, and to even where the merchant chose it."""
    assert to_money(Decimal(amount), currency) == Money(int(away), currency)
    assert to_money(Decimal(amount), currency, "half_even") == Money(int(even), currency)


def test_money_is_written_with_all_its_places() -> None:
    """4761 cents read as 47.61; yen have no places, dinars three."""
    assert [str(Money(4761, code)) for code in ("USD", "JPY", "KWD")] == ["47.61 USD", "4761 JPY", "4.761 KWD"]


def test_an_unknown_currency_is_refused() -> None:
    """A typing error in a price must not become a currency."""
    with pytest.raises(Refused, match="USX"):
        minor_digits("USX")


def test_currencies_do_not_add_up() -> None:
    """Adding yen to dollars is a bug, not a sum."""
    with pytest.raises(ValueError, match="JPY"):
        _ = Money(1, "USD") + Money(1, "JPY")


@given(
    st.integers(-(10**12), 10**12),
    st.lists(st.decimals(0, 10**6, places=6), min_size=1, max_size=20).filter(lambda weights: sum(weights) > 0),
)
def test_shares_always_add_up_and_are_fair(total: int, weights: list[Decimal]) -> None:
    """The parts of a split sum to the whole, and none is a unit or more away from its exact share."""
    shares = allocate(Money(total, "USD"), weights)

    assert sum(share.minor for share in shares) == total
    whole = sum(weights, Decimal(0))
    assert all(abs(share.minor - total * weight / whole) < 1 for share, weight in zip(shares, weights, strict=True))


def test_weights_that_share_nothing_out_are_a_mistake() -> None:
    """All-zero and negative weights have no shares."""
    for weights in ([Decimal(0)], [Decimal(-1), Decimal(2)]):
        with pytest.raises(ValueError, match="weights"):
            allocate(Money(1, "USD"), weights)


@given(st.decimals(-(10**15), 10**15, places=9), st.sampled_from(["USD", "JPY", "KWD"]))
def test_rounding_agrees_with_decimal(amount: Decimal, currency: str) -> None:
    """The one rounding function is the standard library's, to the currency's digits."""
    unit = Decimal(1).scaleb(-minor_digits(currency))

    assert to_money(amount, currency).decimal() == amount.quantize(unit, ROUND_HALF_UP)
    assert to_money(amount, currency, "half_even").decimal() == amount.quantize(unit, ROUND_HALF_EVEN)
