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

from rating.charge import TIER_FIELDS
from rating.exact import as_amount, group_sum, group_total
from rating.models import MODELS
from rating.shapes import LINES, STEPS
from rating.terms import ReadPrices

Step = Callable[[pl.LazyFrame, ReadPrices], pl.LazyFrame]


def price(lines: pl.LazyFrame, prices: ReadPrices) -> pl.LazyFrame:
    """Charge every line by its model; adds ``amount`` (null where it does not fit) and ``tiers`` to the lines.

    A line whose price was refused has no terms, meets no model and gets neither.
    """
    given = lines.select(list(LINES))
    charged = pl.concat(
        [
            model.charge(given, prices.terms[name].lazy()).select(list(STEPS))
            for name, model in MODELS.items()
            if not prices.terms[name].is_empty()
        ]
        or [pl.LazyFrame(schema=STEPS)]
    )
    explained = pl.struct(*(pl.col(name) for name in TIER_FIELDS if name != "amount"), as_amount(pl.col("amount")))
    totals = (
        charged.group_by("line")
        .agg(*group_sum("amount"), explained.alias("tiers"))
        .select("line", "tiers", amount=as_amount(group_total("amount")))
    )
    return lines.join(totals, on="line", how="left", maintain_order="left")


STEP_ORDER: Final[tuple[Step, ...]] = (price,)
