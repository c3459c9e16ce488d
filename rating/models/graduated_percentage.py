"""Graduated percentage: of each part of an amount the percentage of the tier that it falls into.

    {"model": "graduated_percentage", "tiers": [{"up_to": "1000", "rate_percent": "2.9", "flat_price": "0.30"},
                                                {"up_to": null, "rate_percent": "1.5"}]}

    amount = sum over tiers entered of (part in tier x rate_percent / 100 + flat_price)

It is ``graduated`` with a hundredth of the percentage as the unit price, bounds and zero included.
"""

from __future__ import annotations

from catalog.price import Definition
from catalog.prices.adjustments import hundredth, zero_is_charged
from rating.models.graduated import charge, charge_small
from rating.shapes import TIER_TERMS, Model, Terms, number, tier_terms, tiers_of


def read(definition: Definition) -> Terms:
    """One row a tier."""
    tiers = tiers_of(definition)
    rows: Terms = [
        {"unit_price": hundredth(tier["rate_percent"]), "flat_price": number(tier["flat_price"])} for tier in tiers
    ]
    bounds = [number(tier["up_to"]) for tier in tiers]
    return tier_terms(bounds, rows, flat_at_zero=zero_is_charged(definition))


GRADUATED_PERCENTAGE = Model(
    name="graduated_percentage", terms=TIER_TERMS, read=read, charge=charge, charge_small=charge_small
)
