"""What prices say beside their model, as one row a price: how the quantity changes before, and the amount after it."""

from __future__ import annotations

from typing import Final

import polars as pl

from catalog.price import Definition
from catalog.prices.adjustments import hundredth
from core.frames import Schema
from core.limits import QUANTITY_SCALE
from rating.charge import QUANTITY
from rating.exact import UNITS
from rating.shapes import number

# Null is what a price does not say. A rounding is a mode and the unit, in integers of scale 12, that it rounds to.
ADJUSTMENT_TERMS: Final[Schema] = {
    "price_number": pl.UInt32(),
    "bucket": pl.String(),
    "op": pl.String(),
    "factor": QUANTITY,
    "conversion_mode": pl.String(),
    "conversion_unit": UNITS,
    "round_mode": pl.String(),
    "round_unit": UNITS,
    "free_units": QUANTITY,
    "included_units": QUANTITY,
    "overage_unit_price": QUANTITY,
    "discount": QUANTITY,
    "maximum": QUANTITY,
    "minimum": QUANTITY,
    "committed_amount": QUANTITY,
    "committed_quantity": QUANTITY,
    "overage_factor": QUANTITY,
    "true_up": pl.Boolean(),
    "commitment_per": pl.String(),
    "conversion_rate": QUANTITY,
}


def read_adjustments(definition: Definition) -> dict[str, object] | None:
    """The row of a price (without ``price_number``), or ``None`` when the price is its model alone."""
    conversion, rounding = part(definition, "unit_conversion"), part(definition, "round_quantity")
    commitment, discount = part(definition, "commitment"), definition.get("discount_percent")
    found = {
        "bucket": definition.get("bucket"),
        "op": conversion.get("op"),
        "factor": number(conversion.get("factor")),
        "conversion_mode": conversion.get("rounding"),
        "conversion_unit": unit_of(conversion) if "rounding" in conversion else None,
        "round_mode": rounding.get("mode"),
        "round_unit": unit_of(rounding) if rounding else None,
        "free_units": number(definition.get("free_units")),
        "included_units": number(definition.get("included_units")),
        "overage_unit_price": number(definition.get("overage_unit_price")),
        "discount": None if discount is None else hundredth(discount),
        "maximum": number(definition.get("maximum_amount")),
        "minimum": number(definition.get("minimum_amount")),
        "committed_amount": number(commitment.get("amount")),
        "committed_quantity": number(commitment.get("quantity")),
        "overage_factor": number(commitment.get("overage_factor", "1")) if commitment else None,
        "true_up": bool(commitment.get("true_up", False)) if commitment else None,
        "commitment_per": commitment.get("per", "period") if commitment else None,
        "conversion_rate": number(definition.get("conversion_rate")),
    }
    return found if any(value is not None for value in found.values()) else None


def part(definition: Definition, name: str) -> Definition:
    """A mapping of a definition; empty where there is none."""
    found = definition.get(name, {})
    assert isinstance(found, dict), "the catalog has checked it"
    return found


def unit_of(rounding: Definition) -> int:
    """The unit that a number with so many places is a whole multiple of."""
    unit: int = 10 ** (QUANTITY_SCALE - int(str(rounding.get("places", "0"))))
    return unit


def said_by_any(lines: pl.DataFrame, name: str) -> bool:
    """Whether any line's price says this; what nobody says is not worked out."""
    return lines[name].null_count() < lines.height
