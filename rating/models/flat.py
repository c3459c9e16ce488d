"""Flat: one price for the period, whatever was used.

    amount = flat_price        {"model": "flat", "flat_price": "29", "payment_term": "arrears"}

It is due without usage too, unless ``zero_usage`` is ``no_charge``.
"""

from __future__ import annotations

from decimal import Decimal

import polars as pl

from catalog.price import Definition
from catalog.prices.adjustments import zero_is_charged
from rating.charge import QUANTITY
from rating.exact import ONE, product, units, whole
from rating.shapes import TIER_TERMS, Model, Terms, one_tier


def read(definition: Definition) -> Terms:
    """One tier, in which a unit costs nothing."""
    flat_price = Decimal(str(definition["flat_price"]))
    return one_tier(Decimal(0), flat_price, flat_at_zero=zero_is_charged(definition))


def charge(lines: pl.DataFrame, terms: pl.DataFrame) -> pl.DataFrame:
    """One step a line: its flat price."""
    used = (pl.col("quantity") != 0) | (pl.col("finer") != 0)
    flat = pl.when(used | pl.col("flat_at_zero")).then("flat_price").otherwise(pl.lit(0, dtype=QUANTITY))
    known = pl.col("quantity").is_not_null()
    return (
        lines.join(terms, on="price_number")
        .with_columns(flat_price=flat)
        .with_columns(amount=pl.when(known).then(product(units(pl.col("flat_price")), whole(ONE))))
    )


FLAT = Model(name="flat", terms=TIER_TERMS, read=read, charge=charge)
