"""What rating is given: the prices that are due, and the usage they apply to."""

from __future__ import annotations

from typing import Final

import polars as pl

from core.frames import Schema
from rating.charge import INSTANT, PRICE_OF, QUANTITY

# One row per price of a subscription whose period is to be rated. ``definition`` is the price's JSON text.
DUE_PRICES: Final[Schema] = {
    **PRICE_OF,
    "model": pl.String(),
    "definition": pl.String(),
    "currency": pl.String(),
    "period_start": INSTANT,
    "period_end": INSTANT,
}

# At most one row per (subscription_id, price_id); a missing one means that nothing was used. ``problem`` says why the
# quantity cannot be known exactly, where that is so; the line is then parked. ``corrected_from`` is what the windows
# said, where something was stored more than once and the quantity was counted from the events instead.
USAGE: Final[Schema] = {
    "subscription_id": pl.String(),
    "price_id": pl.String(),
    "quantity": QUANTITY,
    "events": pl.UInt64(),
    "windows": pl.UInt64(),
    "problem": pl.String(),
    "corrected_from": QUANTITY,
}
