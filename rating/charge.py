"""The charge line: what rating hands on. Exact, explained, reproducible; not yet rounded, not yet money.

One row is one price of one subscription over one period. A line that could not be rated is *parked*: it says why in
``parked_reason``, and its amount is null. Everything after rating reads these columns and nothing else of rating.
"""

from __future__ import annotations

from typing import Final

import polars as pl

from core.frames import Schema
from core.limits import AMOUNT_SCALE, DECIMAL_PRECISION, QUANTITY_SCALE

QUANTITY: Final = pl.Decimal(DECIMAL_PRECISION, QUANTITY_SCALE)
AMOUNT: Final = pl.Decimal(DECIMAL_PRECISION, AMOUNT_SCALE)
INSTANT: Final = pl.Datetime("us", "UTC")

# One step of a line's arithmetic: amount = quantity x unit_price + flat_price. ``from`` is exclusive and ``to``
# inclusive; a null ``to`` is unbounded. Only tiers that were entered appear, and the first always does.
TIER_FIELDS: Final[Schema] = {
    "tier": pl.UInt32(),
    "from": QUANTITY,
    "to": QUANTITY,
    "quantity": QUANTITY,
    "unit_price": QUANTITY,
    "flat_price": QUANTITY,
    "amount": AMOUNT,
}
TIERS: Final = pl.List(pl.Struct(TIER_FIELDS))

# What the engine computes: a pure function of usage and prices.
RATED_LINES: Final[Schema] = {
    "merchant_id": pl.String(),
    "subscription_id": pl.String(),
    "customer_id": pl.String(),
    "subject": pl.String(),
    "plan": pl.String(),
    "price_id": pl.String(),
    "meter_id": pl.String(),
    "meter": pl.String(),
    "aggregation": pl.String(),
    "model": pl.String(),
    "currency": pl.String(),
    "period_start": INSTANT,
    "period_end": INSTANT,
    "quantity": QUANTITY,
    "amount": AMOUNT,
    "tiers": TIERS,
    "price": pl.String(),
    "events": pl.UInt64(),
    "windows": pl.UInt64(),
    "input_hash": pl.String(),
    # What the windows said, where copies were found and ``quantity`` was counted from the events; null otherwise.
    "corrected_from": QUANTITY,
    "parked_reason": pl.String(),
}

# The same, with the run that froze its inputs: usage stored until ``cutoff``, the catalog at ``catalog_version``.
CHARGE_LINES: Final[Schema] = {
    "run_id": pl.String(),
    "period": pl.String(),
    "cutoff": INSTANT,
    "catalog_version": pl.Int64(),
    **RATED_LINES,
}


def tiers_json(tiers: pl.Expr) -> pl.Expr:
    """The arithmetic of lines as JSON text; every number a text with the digits it has, without trailing zeros."""
    fields = [field_json(name) for name in TIER_FIELDS]
    step = pl.concat_str(pl.lit("{"), pl.concat_str(fields, separator=","), pl.lit("}"))
    return pl.concat_str(pl.lit("["), tiers.list.eval(step).list.join(","), pl.lit("]"))


def field_json(name: str) -> pl.Expr:
    """One field of a step, as ``"name":value``."""
    value = pl.element().struct.field(name)
    if name == "tier":
        text = value.cast(pl.String)
    else:
        digits = value.cast(pl.String).str.strip_chars_end("0").str.strip_chars_end(".")
        text = pl.concat_str(pl.lit('"'), digits, pl.lit('"')).fill_null("null")
    return pl.concat_str(pl.lit(f'"{name}":'), text)
