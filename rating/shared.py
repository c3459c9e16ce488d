"""What lines share: all that determines them beside whose they are and what was used, once for all lines it is said of.

A million lines are of few prices and periods. What they share is told apart, read and hashed once; a line knows its
number.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from operator import xor
from typing import Final

import polars as pl

# In the order in which they stand under the hash.
SHARED: Final = (
    "merchant_id",
    "meter_id",
    "meter",
    "aggregation",
    "price_id",
    "model",
    "currency",
    "period_start",
    "period_end",
    "definition",
)
# What is nearly always the same where these are is looked up by them alone, and then compared.
LOOKED_UP: Final = ("price_id", "currency", "period_start", "period_end")


@dataclass(frozen=True, slots=True, eq=False)
class Shared:
    """``rows`` are the distinct values of SHARED, in the order in which they come; ``numbers`` say which a line has."""

    rows: pl.DataFrame
    numbers: pl.Series


def shared_by(prices: pl.DataFrame) -> Shared:
    """What the rows of DUE_PRICES share."""
    keys = prices.select(key=reduce(xor, (pl.col(name).hash(seed) for seed, name in enumerate(LOOKED_UP))))
    found = numbered_by(prices, keys)
    # A chance meeting of two hashes, or a price that says two things, is seen here.
    if all(prices[name].equals(found.rows[name][found.numbers]) for name in SHARED):
        return found
    return numbered_by(prices, prices.select(SHARED))


def numbered_by(prices: pl.DataFrame, keys: pl.DataFrame) -> Shared:
    """The rows told apart by their keys."""
    firsts = keys.with_row_index("place").unique(keys.columns, keep="first", maintain_order=True)
    numbered = firsts.with_row_index("number")
    rows = prices.select(SHARED)
    if numbered.height == keys.height:
        return Shared(rows, numbered["number"])
    numbers = keys.join(numbered, on=keys.columns, how="left", nulls_equal=True, maintain_order="left")["number"]
    return Shared(rows[numbered["place"]], numbers)
