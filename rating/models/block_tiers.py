"""Block tiers: units are sold in whole blocks, whose size and price depend on the tier.

    {"model": "block_tiers", "mode": "graduated",
     "tiers": [{"max_blocks": "10", "block_size": "100", "block_price": "5"},
               {"max_blocks": null, "block_size": "1000", "block_price": "40"}]}

    graduated: amount = sum over tiers entered of ceil(units in tier / block_size) x block_price
    volume:    amount = ceil(quantity / block_size) x block_price   of the tier in which the quantity ends

A tier holds ``max_blocks x block_size`` units, and begins where the one before it ends; its last unit is still in it.
A block that was begun is due. A negative quantity (a correction) is credited in whole blocks of the first tier, the one
that was only begun not among them.
"""

from __future__ import annotations

from decimal import Decimal, localcontext
from itertools import accumulate

import polars as pl

from catalog.price import Definition
from core.quantity import EXACT
from rating.charge import QUANTITY
from rating.exact import product, units
from rating.models.graduated import above
from rating.models.package import things
from rating.shapes import TIER_TERMS, Model, Terms, number, tier_terms, tiers_of

BLOCK_TERMS = TIER_TERMS | {"volume": pl.Boolean(), "round_up": pl.Boolean()}


def read(definition: Definition) -> Terms:
    """One row a tier, bounded in units."""
    tiers = tiers_of(definition)
    volume = definition["mode"] == "volume"
    rows: Terms = [
        {
            "unit_price": number(tier["block_price"]),
            "flat_price": Decimal(0),
            "size": number(tier["block_size"]),
            "volume": volume,
            "round_up": True,
        }
        for tier in tiers
    ]
    with localcontext(EXACT):
        held = [Decimal(str(tier["max_blocks"])) * Decimal(str(tier["block_size"])) for tier in tiers[:-1]]
        bounds = [*accumulate(held), None]
    return tier_terms(bounds, rows, flat_at_zero=False)


def charge(lines: pl.DataFrame, terms: pl.DataFrame) -> pl.DataFrame:
    """One step for each tier entered (graduated), or for the one in which the quantity ends (volume)."""
    entered, beyond = above("from"), above("to").fill_null(value=False)
    ends_here = ~beyond
    counted = pl.when(ends_here).then(pl.col("quantity")).otherwise(pl.col("to")).reinterpret(dtype=pl.Int128())
    below = pl.when("volume").then(pl.lit(0, dtype=QUANTITY)).otherwise(pl.col("from"))
    return (
        lines.join(terms, on="price_number", maintain_order="left_right")
        .filter((entered | (pl.col("tier") == 1)) & ~(pl.col("volume") & beyond))
        .with_columns(
            quantity=(counted - units(below)).reinterpret(dtype=QUANTITY),
            finer=pl.when(ends_here).then("finer").otherwise(pl.lit(0, dtype=pl.Int64)),
        )
        .with_columns(quantity=things("round_up"), finer=pl.lit(0, dtype=pl.Int64))
        .with_columns(amount=product(units(pl.col("quantity")), units(pl.col("unit_price"))))
    )


BLOCK_TIERS = Model(name="block_tiers", terms=BLOCK_TERMS, read=read, charge=charge)
