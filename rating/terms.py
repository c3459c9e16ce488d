"""Turns the distinct prices of a frame into terms that models can join: JSON is read once per price, not per line."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import polars as pl

from core.errors import Refused
from core.frames import Schema
from core.money import minor_digits
from rating.definition import finish, open_definition
from rating.models import MODELS
from rating.shapes import Terms

REFUSED: Final[Schema] = {"price_id": pl.String(), "refused": pl.String()}


@dataclass(frozen=True, slots=True)
class ReadPrices:
    """Terms by model, and the prices that could not be read with the reason why."""

    terms: dict[str, pl.DataFrame]
    refused: pl.DataFrame


def read_prices(prices: pl.DataFrame) -> ReadPrices:
    """Read each distinct price of DUE_PRICES; one that is wrong is refused with its reason and stops no other."""
    distinct = prices.select("price_id", "model", "definition", "currency").unique("price_id", maintain_order=True)
    rows: dict[str, Terms] = {name: [] for name in MODELS}
    refused = []
    for price_id, model, definition, currency in distinct.iter_rows():
        try:
            terms = read_price(model, definition, currency)
        except Refused as reason:
            refused.append({"price_id": price_id, "refused": reason.message})
        else:
            rows[model].extend({"price_id": price_id, **row} for row in terms)
    frames = {name: pl.DataFrame(rows[name], schema=MODELS[name].terms) for name in MODELS}
    return ReadPrices(frames, pl.DataFrame(refused, schema=REFUSED))


def read_price(model: str, definition: str, currency: str) -> Terms:
    """The terms of one price; raises ``Refused`` with everything that is wrong with it."""
    minor_digits(currency)
    fields = open_definition(definition)
    named = fields.text("model")
    if named not in MODELS:
        raise Refused("model_unknown", f"the price has an unknown model {named!r}; known are {', '.join(MODELS)}")
    if named != model:
        raise Refused("model_differs", f"the price is filed under {model!r} but defined as {named!r}")
    terms = MODELS[named].read(fields)
    finish(fields)
    return terms
