"""Graduated: each unit costs what the tier it falls into says, as income tax does.

    {"model": "graduated", "tiers": [{"up_to": "1000", "unit_price": "0.50", "flat_price": "5"},
                                     {"up_to": null, "unit_price": "0.10", "max_amount": "80"}]}

    amount = sum over tiers entered of min(units in tier x unit_price + flat_price, max_amount)

``up_to`` is cumulative and inclusive: exactly 1000 units stay in the first tier, and 1000.000000000001 enter the
second with the fraction above. Bounds touch, so no fraction falls between two tiers. A tier is entered by the first
unit above its lower bound: at 0 none is, and nothing is charged, unless ``zero_usage`` is ``first_tier_flat``. A
negative quantity (a correction) is credited at the first tier's unit price, with no flat price.
"""

from __future__ import annotations

from functools import cache, partial

import polars as pl

from catalog.price import Definition
from catalog.prices.adjustments import zero_is_charged
from rating.charge import QUANTITY
from rating.exact import ONE, cost, plus, product, small_cost, units, whole
from rating.shapes import TIER_TERMS, Model, Terms, number, tier_terms, tiers_of


def read(definition: Definition) -> Terms:
    """One row a tier, each from where the one before it ends."""
    tiers = tiers_of(definition)
    names = ("unit_price", "flat_price", "max_amount")
    rows: Terms = [{name: number(tier.get(name)) for name in names} for tier in tiers]
    bounds = [number(tier["up_to"]) for tier in tiers]
    return tier_terms(bounds, rows, flat_at_zero=zero_is_charged(definition))


def charge(lines: pl.DataFrame, terms: pl.DataFrame, *, is_small: bool = False) -> pl.DataFrame:
    """One step for each tier entered, and always one for the first, so that a line of no units explains itself too."""
    entered = above("from", is_small=is_small)
    # Only in the tier where the quantity ends are there finer places.
    ends_here = ~above("to", is_small=is_small).fill_null(value=False)
    inside = pl.when(ends_here).then(pl.col("quantity")).otherwise(pl.col("to")).reinterpret(dtype=pl.Int128())
    return (
        lines.join(terms, on="price_number", maintain_order="left_right")
        .filter(entered | (pl.col("tier") == 1))
        .with_columns(
            quantity=(inside - units(pl.col("from"))).reinterpret(dtype=QUANTITY),
            finer=pl.when(ends_here).then("finer").otherwise(pl.lit(0, dtype=pl.Int64)),
            flat_price=flat_if(entered),
        )
        .with_columns(amount=capped(is_small=is_small))
    )


@cache
def above(bound: str, *, is_small: bool = False) -> pl.Expr:
    """Whether a line's quantity is above a bound, finer places included, which small ones do not have."""
    quantity = pl.col("quantity")
    if is_small:
        return quantity > pl.col(bound)
    return (quantity > pl.col(bound)) | ((quantity == pl.col(bound)) & (pl.col("finer") > 0))


def flat_if(entered: pl.Expr) -> pl.Expr:
    """The flat price of a tier that was entered, or of the first where nothing was used and it is due all the same."""
    unused = (pl.col("quantity") == 0) & (pl.col("finer") == 0) & pl.col("flat_at_zero")
    return pl.when(entered | unused).then(pl.col("flat_price")).otherwise(pl.lit(0, dtype=QUANTITY))


@cache
def capped(*, is_small: bool) -> pl.Expr:
    """What a tier comes to, units times unit price and the flat price, at most its ``max_amount`` where it has one."""
    flat, most = (units(pl.col(name)) for name in ("flat_price", "max_amount"))
    if is_small:
        amount, most = small_cost() + flat * whole(ONE), most * whole(ONE)
    else:
        charged = cost(units(pl.col("quantity")), pl.col("finer"), units(pl.col("unit_price")))
        amount, most = plus(charged, product(flat, whole(ONE))), product(most, whole(ONE))
    return pl.when(amount > most).then(most).otherwise(amount)


charge_small = partial(charge, is_small=True)
GRADUATED = Model(name="graduated", terms=TIER_TERMS, read=read, charge=charge, charge_small=charge_small)
