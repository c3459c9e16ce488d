"""Dynamic: each event carries its own amount, and the meter adds them up.

    amount = quantity        {"model": "dynamic"}

The quantity is the amount in the currency's own unit (dollars, not cents), to the last of its places.
"""

from __future__ import annotations

from decimal import Decimal

from catalog.price import Definition
from rating.models.per_unit import charge, charge_small
from rating.shapes import TIER_TERMS, Model, Terms, one_tier


def read(_definition: Definition) -> Terms:
    """A unit of the quantity is a unit of the currency."""
    return one_tier(Decimal(1))


DYNAMIC = Model(name="dynamic", terms=TIER_TERMS, read=read, charge=charge, charge_small=charge_small)
