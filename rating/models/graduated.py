"""Graduated: each unit costs what the tier it falls into says, as income tax does.

    {"model": "graduated", "tiers": [{"up_to": "1000", "unit_price": "0.50", "flat_price": "5"},
                                     {"up_to": null, "unit_price": "0.10"}]}

    amount = sum over tiers entered of (units in tier x unit_price + flat_price)

``up_to`` is cumulative and inclusive: exactly 1000 units stay in the first tier, and 1000.000000000001 enter the
second with the fraction above. Bounds touch, so no fraction falls between two tiers. A tier is entered by the first
unit above its lower bound: at 0 none is, and nothing is charged. A negative quantity (a correction) is credited at the
first tier's unit price, with no flat price.
"""

from __future__ import annotations

from decimal import Decimal

import polars as pl

from catalog.price import Definition
from rating.charge import QUANTITY
from rating.exact import plus, product, units, whole
from rating.shapes import TIER_TERMS, Model, Terms

ONE_UNITS = 10**12


def read(definition: Definition) -> Terms:
    """One row a tier, each from where the one before it ends."""
    tiers = definition["tiers"]
    assert isinstance(tiers, list), "the catalog has checked it"
    bounds = [None if tier["up_to"] is None else Decimal(tier["up_to"]) for tier in tiers]
    return [
        {
            "tier": place,
            "from": start,
            "to": bound,
            "unit_price": Decimal(tier["unit_price"]),
            "flat_price": Decimal(tier["flat_price"]),
        }
        for place, (tier, start, bound) in enumerate(zip(tiers, [Decimal(0), *bounds[:-1]], bounds, strict=True), 1)
    ]


def charge(lines: pl.LazyFrame, terms: pl.LazyFrame) -> pl.LazyFrame:
    """One step for each tier entered, and always one for the first, so that a line of no units explains itself too."""
    quantity, start, end = units(pl.col("quantity")), units(pl.col("from")), units(pl.col("to"))
    entered = quantity > start
    inside = pl.min_horizontal(quantity, end) - start
    flat = pl.when(entered).then(pl.col("flat_price")).otherwise(pl.lit(0, dtype=QUANTITY))
    return (
        lines.join(terms, on="price_id", maintain_order="left_right")
        .filter(entered | (pl.col("tier") == 1))
        .with_columns(quantity=inside.reinterpret(dtype=QUANTITY), flat_price=flat)
        .with_columns(
            amount=plus(
                product(units(pl.col("quantity")), units(pl.col("unit_price"))),
                product(units(pl.col("flat_price")), whole(ONE_UNITS)),
            )
        )
    )


GRADUATED = Model(name="graduated", terms=TIER_TERMS, read=read, charge=charge)
