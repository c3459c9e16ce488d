"""Stair step: the quantity, a peak or a total, picks one tier, and that tier's flat price is all that is due.

    {"model": "stair_step", "tiers": [{"up_to": "10", "flat_price": "50"}, {"up_to": null, "flat_price": "400"}]}

    amount = flat_price of the tier with from < quantity <= up_to

It is ``volume`` with units that cost nothing: at 0 and below nothing is charged, unless ``zero_usage`` is
``first_tier_flat``.
"""

from __future__ import annotations

from decimal import Decimal

from catalog.price import Definition
from catalog.prices.adjustments import zero_is_charged
from rating.models.volume import charge, charge_small
from rating.shapes import TIER_TERMS, Model, Terms, number, tier_terms, tiers_of


def read(definition: Definition) -> Terms:
    """One row a step."""
    tiers = tiers_of(definition)
    rows: Terms = [{"unit_price": Decimal(0), "flat_price": number(tier["flat_price"])} for tier in tiers]
    bounds = [number(tier["up_to"]) for tier in tiers]
    return tier_terms(bounds, rows, flat_at_zero=zero_is_charged(definition))


STAIR_STEP = Model(name="stair_step", terms=TIER_TERMS, read=read, charge=charge, charge_small=charge_small)
