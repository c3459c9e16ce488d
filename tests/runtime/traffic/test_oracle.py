from __future__ import annotations

from decimal import Decimal

import numpy as np

from runtime.traffic.meters import METERS, SimPrice, SimTier, price_of
from runtime.traffic.oracle import charge, expected_invoices, rounded, totals_by_currency
from runtime.traffic.usage import Usage
from tests.runtime.traffic.plans import small_plan

TIERS = SimPrice(
    Decimal(0),
    (
        SimTier(Decimal(100), Decimal("0.50"), Decimal(0)),
        SimTier(Decimal(1000), Decimal("0.25"), Decimal(3)),
        SimTier(None, Decimal("0.10"), Decimal(7)),
    ),
)


def test_a_price_per_unit_is_multiplied_without_rounding() -> None:
    """The real trace's context tokens at 2.50 a million."""
    assert charge(SimPrice(Decimal("0.0000025"), ()), Decimal(18_059_974)) == Decimal("45.149935")


def test_graduated_tiers_are_filled_in_turn_and_an_entered_tier_adds_its_flat_price() -> None:
    """Worked out by hand, on and around the bounds."""
    assert charge(TIERS, Decimal(0)) == 0
    assert charge(TIERS, Decimal(100)) == Decimal("50.00")
    assert charge(TIERS, Decimal("100.5")) == Decimal("53.125")
    assert charge(TIERS, Decimal(1000)) == Decimal("278.00")
    assert charge(TIERS, Decimal(1010)) == Decimal("286.00")


def test_amounts_round_half_away_to_the_currency_s_minor_unit() -> None:
    """Yen have none, Kuwaiti dinars have three places."""
    assert rounded(Decimal("2.345"), "USD") == Decimal("2.35")
    assert rounded(Decimal("2.5"), "JPY") == Decimal(3)
    assert rounded(Decimal("0.0005"), "KWD") == Decimal("0.001")


def test_an_invoice_has_a_rounded_line_for_each_used_meter_and_sums_them() -> None:
    """Two meters of one customer of the first merchant (USD), one of the third (JPY)."""
    plan = small_plan()
    millionths = np.zeros((plan.meters, plan.merchants, plan.customers), dtype=np.int64)
    millionths[0, 0, 1] = 200_000 * 10**6
    millionths[11, 0, 1] = 12_345_678
    millionths[11, 2, 0] = 10 * 10**6
    invoices = expected_invoices(Usage(plan, millionths, 3))
    assert METERS[11].code == "gb_in"
    first = invoices["sim-0000", "c-000001"]
    # 100,000 tokens at 0.0000025, then 100,000 at 80 % of it and 1.50 for entering; 12.345678 GB at 0.01.
    assert first.lines == {"tokens": Decimal("1.95"), "gb_in": Decimal("0.12")}
    assert first.total == Decimal("2.07")
    # A cent by 1.2 by 150 yen is 1.80 yen a GB.
    assert invoices["sim-0002", "c-000000"].lines == {"gb_in": Decimal(18)}
    assert totals_by_currency(invoices) == {"JPY": Decimal(18), "USD": Decimal("2.07")}


def test_prices_have_at_most_twelve_decimal_places() -> None:
    """The scale of a unit price in the catalog, for every merchant and meter."""
    for merchant in range(70):
        for meter in METERS:
            price = price_of(merchant, meter)
            for number in (price.unit_price, *(tier.unit_price for tier in price.tiers)):
                exponent = number.normalize().as_tuple().exponent
                assert isinstance(exponent, int)
                assert exponent >= -12
