"""The shape of a pricing model: how its JSON is read, and how many lines at once are charged by it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import polars as pl

from catalog.price import Definition
from core.frames import Schema
from rating.charge import QUANTITY
from rating.exact import UNITS

# What a model is charged by: one row per tier of a price.
TIER_TERMS: Final[Schema] = {
    "price_id": pl.String(),
    "tier": pl.UInt32(),
    "from": QUANTITY,
    "to": QUANTITY,
    "unit_price": QUANTITY,
    "flat_price": QUANTITY,
}

# What a model is given: the lines to be charged.
LINES: Final[Schema] = {"line": pl.UInt32(), "price_id": pl.String(), "quantity": QUANTITY}

# What a model answers: the arithmetic of each line, one row per step, in the order of the steps. ``amount`` is in
# integer units of scale 24, and null where it does not fit; the engine adds a line's steps up.
STEPS: Final[Schema] = {
    "line": pl.UInt32(),
    "tier": pl.UInt32(),
    "from": QUANTITY,
    "to": QUANTITY,
    "quantity": QUANTITY,
    "unit_price": QUANTITY,
    "flat_price": QUANTITY,
    "amount": UNITS,
}

Terms = list[dict[str, object]]


@dataclass(frozen=True, slots=True)
class Model:
    """One way to charge.

    ``read`` turns a definition, as the catalog checked it, into the rows of its terms (without ``price_id``).
    ``charge`` joins LINES with terms of the schema ``terms`` and answers STEPS.
    """

    name: str
    terms: Schema
    read: Callable[[Definition], Terms]
    charge: Callable[[pl.LazyFrame, pl.LazyFrame], pl.LazyFrame]
