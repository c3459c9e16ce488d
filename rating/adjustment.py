"""The adjustment: what a period that was billed has come to since, as the difference to all that was billed for it.

It is a charge line of its own on the invoice of a later period. ``old_…`` is what had been billed (the line of the
period and the adjustments before this one), ``new_…`` what the whole period comes to with the usage stored until
``cutoff``, at the prices of then; ``quantity`` and ``amount`` are the differences, exact and not rounded. ``tiers``,
``events``, ``windows`` and ``input_hash`` belong to the new amount of the whole period.
"""

from __future__ import annotations

from typing import Final

import polars as pl

from core.frames import Schema
from rating.charge import AMOUNT, EVIDENCE, INSTANT, PRICE_OF, QUANTITY

# What something was, what it has become, and the one less the other.
DIFFERENCE: Final[Schema] = {
    "old_quantity": QUANTITY,
    "new_quantity": QUANTITY,
    "quantity": QUANTITY,
    "old_amount": AMOUNT,
    "new_amount": AMOUNT,
    "amount": AMOUNT,
}

# What the engine found, before it belongs to a run. A parked one says why it cannot be worked out, and is not billed.
FOUND_ADJUSTMENTS: Final[Schema] = {
    "for_period": pl.String(),
    "sequence": pl.Int32(),
    **PRICE_OF,
    "model": pl.String(),
    "currency": pl.String(),
    "for_start": INSTANT,
    "for_end": INSTANT,
    "period_start": INSTANT,
    "period_end": INSTANT,
    "billed_cutoff": INSTANT,
    "catalog_version": pl.Int64(),
    **DIFFERENCE,
    **EVIDENCE,
}

# The same, posted: by the run of the period on whose invoice it goes, with that run's cut-off.
ADJUSTMENTS: Final[Schema] = {
    "run_id": pl.String(),
    "period": pl.String(),
    "cutoff": INSTANT,
    **{name: kind for name, kind in FOUND_ADJUSTMENTS.items() if name != "parked_reason"},
}
