"""Volume: all units cost what the tier says in which the quantity ends.

    {"model": "volume", "tiers": [{"up_to": "1000", "unit_price": "0.50", "flat_price": "5"},
                                  {"up_to": null, "unit_price": "0.10"}]}

    amount = min(quantity x unit_price + flat_price, max_amount)   of the tier with from < quantity <= up_to

Bounds touch and are inclusive as in ``graduated``, so every fraction has its tier. Only the flat price of that tier is
due; at 0 there is none and nothing is charged, unless ``zero_usage`` is ``first_tier_flat``. A negative quantity is
credited at the first tier's unit price, with no flat price.
"""

from __future__ import annotations

from functools import partial

import polars as pl

from rating.models.graduated import above, capped, flat_if, read
from rating.shapes import TIER_TERMS, Model


def charge(lines: pl.DataFrame, terms: pl.DataFrame, *, is_small: bool = False) -> pl.DataFrame:
    """One step a line: all units at the tier that was reached."""
    reached = above("from", is_small=is_small)
    beyond = above("to", is_small=is_small).fill_null(value=False)
    return (
        lines.join(terms, on="price_number")
        .filter((reached | (pl.col("tier") == 1)) & ~beyond)
        .with_columns(flat_price=flat_if(reached))
        .with_columns(amount=capped(is_small=is_small))
    )


charge_small = partial(charge, is_small=True)
VOLUME = Model(name="volume", terms=TIER_TERMS, read=read, charge=charge, charge_small=charge_small)
