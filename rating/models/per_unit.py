"""Per unit: each unit costs the same.

    amount = quantity x unit_price        {"model": "per_unit", "unit_price": "0.0000025"}

No unit, no charge; a negative quantity (a correction) is credited at the same price.
"""

from __future__ import annotations

from decimal import Decimal

import polars as pl

from catalog.price import Definition
from rating.exact import cost, small_cost, units
from rating.shapes import TIER_TERMS, Model, Terms, one_tier


def read(definition: Definition) -> Terms:
    """The one unbounded tier that this price is."""
    return one_tier(Decimal(str(definition["unit_price"])))


def charge(lines: pl.DataFrame, terms: pl.DataFrame) -> pl.DataFrame:
    """One step a line: all of its units."""
    return lines.join(terms, on="price_number").with_columns(
        amount=cost(units(pl.col("quantity")), pl.col("finer"), units(pl.col("unit_price")))
    )


def charge_small(lines: pl.DataFrame, terms: pl.DataFrame) -> pl.DataFrame:
    """The same for numbers that are known to fit."""
    return lines.join(terms, on="price_number").with_columns(amount=small_cost())


PER_UNIT = Model(name="per_unit", terms=TIER_TERMS, read=read, charge=charge, charge_small=charge_small)
