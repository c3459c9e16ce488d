"""What holds at the bounds of any tiers: no jump that the price does not name, and never less for more."""

from __future__ import annotations

from decimal import Decimal, localcontext

from hypothesis import given, settings
from hypothesis import strategies as st

from core.quantity import EXACT
from tests.rating.rows import rate_all

SMALLEST = Decimal("0.000000000001")
BOUNDS = st.lists(st.decimals("0.000000000001", "1000000000", places=12), min_size=1, max_size=5, unique=True).map(
    sorted
)
PRICES = st.lists(st.decimals("0", "100", places=12), min_size=6, max_size=6)


@settings(max_examples=60, deadline=None)
@given(bounds=BOUNDS, prices=PRICES)
def test_graduated_is_continuous_at_every_bound(bounds: list[Decimal], prices: list[Decimal]) -> None:
    """The smallest unit below a bound costs its own tier's price, the one above it the next one's, and no more."""
    ends = [f"{bound:f}" for bound in bounds]
    tiers = [{"up_to": end, "unit_price": f"{price:f}"} for end, price in zip([*ends, None], prices, strict=False)]
    around = [bound + step for bound in bounds for step in (-SMALLEST, Decimal(0), SMALLEST)]

    lines = rate_all([({"model": "graduated", "tiers": tiers}, quantity) for quantity in around])

    amounts = dict(zip(around, (line["amount"] for line in lines), strict=True))
    with localcontext(EXACT):
        for place, bound in enumerate(bounds):
            assert amounts[bound] - amounts[bound - SMALLEST] == SMALLEST * prices[place]
            assert amounts[bound + SMALLEST] - amounts[bound] == SMALLEST * prices[place + 1]
    assert [amounts[quantity] for quantity in sorted(amounts)] == sorted(amounts.values())


@settings(max_examples=60, deadline=None)
@given(bounds=BOUNDS, prices=PRICES)
def test_volume_prices_every_unit_at_the_tier_that_holds_the_last(bounds: list[Decimal], prices: list[Decimal]) -> None:
    """A bound belongs to the tier below it, and no quantity is between two tiers."""
    ends = [f"{bound:f}" for bound in bounds]
    tiers = [{"up_to": end, "unit_price": f"{price:f}"} for end, price in zip([*ends, None], prices, strict=False)]

    at, above = (
        rate_all([({"model": "volume", "tiers": tiers}, bound + step) for bound in bounds])
        for step in (Decimal(0), SMALLEST)
    )

    with localcontext(EXACT):
        for place, bound in enumerate(bounds):
            assert at[place]["amount"] == bound * prices[place]
            reached = sum(bound + SMALLEST > other for other in bounds)
            assert above[place]["amount"] == (bound + SMALLEST) * prices[reached]
