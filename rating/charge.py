"""The charge line: what rating hands on. Exact, explained, reproducible; not yet rounded, not yet money.

One row is one price of one subscription over one period. A line that could not be rated is *parked*: it says why in
``parked_reason``, and its amount is null. Everything after rating reads these columns and nothing else of rating.
"""

from __future__ import annotations

from functools import cache
from typing import Final

import polars as pl

from core.frames import Schema
from core.limits import AMOUNT_SCALE, DECIMAL_PRECISION, QUANTITY_SCALE

QUANTITY: Final = pl.Decimal(DECIMAL_PRECISION, QUANTITY_SCALE)
AMOUNT: Final = pl.Decimal(DECIMAL_PRECISION, AMOUNT_SCALE)
INSTANT: Final = pl.Datetime("us", "UTC")

# One row of a line's arithmetic; the amounts of all rows add up to the line's.
#
# A row without ``label`` is a tier: amount = quantity x unit_price + flat_price, at most ``max_amount``. ``from`` is
# exclusive and ``to`` inclusive; a null ``to`` is unbounded. Only tiers that were entered appear, and the first always
# does. With ``size`` the quantity counts packages or blocks of that size; ``group`` is whose usage it is.
#
# A row with ``label`` is a step before or after the price, in the order in which it was done. Before it, ``quantity``
# is what the step left and the amount is 0; after it, ``amount`` is what the step added or took away.
#
# ``finer`` are the 13th to 24th decimal places of ``quantity``, which only a unit conversion can bring about.
TIER_FIELDS: Final[Schema] = {
    "tier": pl.UInt32(),
    "from": QUANTITY,
    "to": QUANTITY,
    "quantity": QUANTITY,
    "finer": pl.Int64(),
    "unit_price": QUANTITY,
    "flat_price": QUANTITY,
    "max_amount": QUANTITY,
    "size": QUANTITY,
    "group": pl.String(),
    "label": pl.String(),
    "amount": AMOUNT,
}
# Written only where there is something to say.
WHERE_GIVEN: Final = ("max_amount", "size", "group", "label")
TIERS: Final = pl.List(pl.Struct(TIER_FIELDS))

# Whose price of what: a price of a subscription with the meter that it charges.
PRICE_OF: Final[Schema] = {
    "merchant_id": pl.String(),
    "subscription_id": pl.String(),
    "customer_id": pl.String(),
    "subject": pl.String(),
    "plan": pl.String(),
    "price_id": pl.String(),
    "meter_id": pl.String(),
    "meter": pl.String(),
    "aggregation": pl.String(),
}
# How an amount came about, or why there is none.
EVIDENCE: Final[Schema] = {
    "tiers": TIERS,
    "price": pl.String(),
    "events": pl.UInt64(),
    "windows": pl.UInt64(),
    "input_hash": pl.String(),
    # What the windows said, where copies were found and ``quantity`` was counted from the events; null otherwise.
    "corrected_from": QUANTITY,
    "parked_reason": pl.String(),
}
# What the engine computes: a pure function of usage and prices.
RATED_LINES: Final[Schema] = {
    **PRICE_OF,
    "model": pl.String(),
    "currency": pl.String(),
    "period_start": INSTANT,
    "period_end": INSTANT,
    "quantity": QUANTITY,
    "amount": AMOUNT,
    **EVIDENCE,
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
    steps = tiers.list.eval(step_json()).list.join("},{")
    return pl.concat_str(pl.lit("[{"), steps, pl.lit("}]")).replace("[{}]", "[]")


@cache
def step_json() -> pl.Expr:
    """One row of a line's arithmetic, without its braces."""
    # Each text is put together once: what comes before a value and after it belongs to the same piece.
    fields = [field_json(name) for name in TIER_FIELDS if name != "finer"]
    return pl.concat_str(fields, separator=",", ignore_nulls=True)


def field_json(name: str) -> pl.Expr:
    """One field of a row, as ``"name":value``; null where it is not written."""
    value = pl.element().struct.field(name)
    if name == "tier":
        return pl.concat_str(pl.lit('"tier":'), value.cast(pl.String)).fill_null(pl.lit('"tier":null'))
    if name in ("group", "label"):
        text = value.str.replace_all("\\", "\\\\", literal=True).str.replace_all('"', '\\"', literal=True)
    else:
        text = digits(with_finer(value) if name == "quantity" else value.cast(pl.String))
    found = pl.concat_str(pl.lit(f'"{name}":"'), text, pl.lit('"'))
    return found if name in WHERE_GIVEN else found.fill_null(pl.lit(f'"{name}":null'))


def digits(decimal: pl.Expr) -> pl.Expr:
    """A decimal's text without trailing zeros."""
    return decimal.str.strip_chars_end("0").str.strip_chars_end(".")


def with_finer(quantity: pl.Expr) -> pl.Expr:
    """A quantity's text with its finer places, of which it takes the sign where it is itself 0."""
    finer = pl.element().struct.field("finer")
    said = pl.when(finer != 0).then(finer)
    sign = pl.when((quantity == 0) & (said < 0)).then(pl.lit("-"))
    places = said.abs().cast(pl.String).str.zfill(QUANTITY_SCALE)
    text = pl.concat_str(sign, quantity.cast(pl.String), places, ignore_nulls=True)
    return pl.when(quantity.is_not_null()).then(text)
