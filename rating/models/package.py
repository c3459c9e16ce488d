"""Package: units are sold in whole packages.

    {"model": "package", "package_size": "1000", "package_price": "2", "package_rounding": "up",
     "minimum_packages": "1"}

    amount = max(quantity / package_size, rounded to a whole number, minimum_packages) x package_price

A package that was begun is due (``up``), or only one that was used up (``down``). A negative quantity (a correction)
is credited in whole packages, the one that was only begun not among them.
"""

from __future__ import annotations

from decimal import Decimal
from functools import cache

import polars as pl

from catalog.price import Definition
from rating.charge import QUANTITY
from rating.exact import ONE, UNITS, product, units, whole
from rating.shapes import TIER_TERMS, Model, Terms, number, one_tier

PACKAGE_TERMS = TIER_TERMS | {"round_up": pl.Boolean(), "minimum_packages": QUANTITY}


def read(definition: Definition) -> Terms:
    """One tier, in which a unit is a package."""
    more = {
        "size": number(definition["package_size"]),
        "round_up": definition.get("package_rounding", "up") == "up",
        "minimum_packages": number(definition.get("minimum_packages")),
    }
    return [row | more for row in one_tier(Decimal(str(definition["package_price"])))]


def charge(lines: pl.DataFrame, terms: pl.DataFrame) -> pl.DataFrame:
    """One step a line: its packages."""
    packages, least = things("round_up"), pl.col("minimum_packages")
    return (
        lines.join(terms, on="price_number")
        .with_columns(quantity=packages, finer=pl.lit(0, dtype=pl.Int64))
        .with_columns(quantity=pl.when(pl.col("quantity") < least).then(least).otherwise(pl.col("quantity")))
        .with_columns(amount=product(units(pl.col("quantity")), units(pl.col("unit_price"))))
    )


@cache
def things(round_up: str) -> pl.Expr:
    """How many things of ``size`` units a quantity makes, as a quantity; null where it does not fit.

    ``round_up`` names the column that says whether one that was only begun counts.
    """
    quantity, size = units(pl.col("quantity")), units(pl.col("size"))
    used_up, left = quantity.abs() // size, (quantity.abs() % size > 0) | (pl.col("finer") != 0)
    begun = (left & pl.col(round_up) & (quantity >= 0)).cast(UNITS)
    sign = pl.when(quantity < 0).then(whole(-1)).otherwise(whole(1))
    return (product(used_up + begun, whole(ONE)) * sign).reinterpret(dtype=QUANTITY)


PACKAGE = Model(name="package", terms=PACKAGE_TERMS, read=read, charge=charge)
