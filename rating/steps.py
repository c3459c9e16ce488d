"""The order in which a line is worked out, written down in this one place.

    1. price        quantity -> amount. Exact: the product of two scale-12 decimals has scale 24, and keeps it.

What changes the quantity (unit conversion, rounding, free units) belongs before the price, because a price speaks of
billed units; what changes the amount (discount, maximum, minimum, commitment) belongs after it, because it speaks of
money. Rounding to money is no step of rating at all: it happens once, on the invoice line.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import polars as pl

from rating.exact import as_amount, group_sum, group_total
from rating.models import MODELS
from rating.pack import pack_steps
from rating.shapes import LINES, STEPS
from rating.terms import ReadPrices

Step = Callable[[pl.DataFrame, ReadPrices], pl.DataFrame]


def price(lines: pl.DataFrame, prices: ReadPrices) -> pl.DataFrame:
    """Charge every line by its model; adds ``amount`` (null where it does not fit) and ``tiers`` to the lines.

    A line whose price was refused has no terms, meets no model and gets neither.
    """
    steps = charged(lines.lazy().select(list(LINES)), prices).collect()
    totals = (
        steps.lazy()
        .group_by("line", maintain_order=True)
        .agg(*group_sum("amount"))
        .select(amount=as_amount(group_total("amount")))
    )
    worked = pl.concat([pack_steps(steps), totals.collect()], how="horizontal")
    return lines.join(worked, on="line", how="left", maintain_order="left")


def charged(lines: pl.LazyFrame, prices: ReadPrices) -> pl.LazyFrame:
    """The STEPS of all models, sorted by line."""
    by_model = [
        model.charge(lines, prices.terms[name].lazy()).select(list(STEPS))
        for name, model in MODELS.items()
        if not prices.terms[name].is_empty()
    ]
    return pl.concat(by_model or [pl.LazyFrame(schema=STEPS)]).sort("line", maintain_order=True)


STEP_ORDER: Final[tuple[Step, ...]] = (price,)
