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
from itertools import pairwise

import polars as pl

from rating.charge import QUANTITY
from rating.definition import Fields
from rating.exact import plus, product, units, whole
from rating.shapes import TIER_TERMS, Model, Terms

ONE_UNITS = 10**12


def read(fields: Fields) -> Terms:
    """One row a tier, each from where the one before it ends; bounds must rise and the last be open."""
    rows = fields.rows("tiers")
    bounds = [row.optional_number("up_to") for row in rows]
    for row, bound in list(zip(rows, bounds, strict=True))[:-1]:
        if bound is None:
            row.wrong("up_to", "tier_unreachable", "only the last tier may be open")
    if rows and bounds[-1] is not None:
        rows[-1].wrong("up_to", "tiers_end", "the last tier must be open (null), or units above it have no price")
    lower = [Decimal(0), *(bound for bound in bounds[:-1] if bound is not None)]
    for row, (below, above) in zip(rows, pairwise(lower), strict=False):
        if above <= below:
            row.wrong("up_to", "tiers_not_rising", f"must be above {below}")
    terms: Terms = [
        {
            "tier": place,
            "from": start,
            "to": bound,
            "unit_price": row.number("unit_price"),
            "flat_price": row.number("flat_price", Decimal(0)),
        }
        for place, (row, start, bound) in enumerate(zip(rows, lower, bounds, strict=False), start=1)
    ]
    for row in rows:
        row.refuse_unknown()
    return terms


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
