"""Turns the distinct prices of a frame into terms that models can join: JSON is read once per price, not per line."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Literal

import polars as pl

from catalog.fields import Faults
from catalog.price import Definition, in_currency, parse_price
from core.errors import Refused
from core.frames import Schema
from core.money import minor_digits
from rating.before_after import ADJUSTMENT_TERMS, read_adjustments
from rating.models import MODELS
from rating.models.percentage import PER_EVENT
from rating.shapes import Terms

DetailKind = Literal["event", "group", "bucket"]

# A price may have a body for each of several currencies; that of its line counts.
PRICE: Final = ["price_id", "currency"]
REFUSED: Final[Schema] = {"price_id": pl.String(), "currency": pl.String(), "refused": pl.String()}
# Prices that are charged by events, groups or buckets.
DETAILED: Final[Schema] = {"price_number": pl.UInt32(), "kind": pl.String(), **REFUSED}
# Where a model stands among all of them.
PLACES: Final = {name: place for place, name in enumerate(MODELS)}
# Made once: a frame without rows takes as long as one with a few.
NO_ADJUSTMENTS, NONE_REFUSED, NONE_DETAILED = (
    pl.DataFrame(schema=schema) for schema in (ADJUSTMENT_TERMS, REFUSED, DETAILED)
)
NO_TERMS: Final = {name: pl.DataFrame(schema=model.terms) for name, model in MODELS.items()}


# What was read is kept, for it says the same each time: so many prices, and the terms of so many lists of prices that
# have no more rows than that. Who asks for a bill mostly has what others have too.
PRICES_KEPT, READ_KEPT, ROWS_KEPT = 4_096, 256, 16
PriceRow = tuple[str, str, str, str]


@dataclass(frozen=True, slots=True, eq=False)
class ReadPrices:
    """Terms by model, adjustments, and the prices that could not be read with the reason why.

    A good price has a number, which is joined instead of its ids. ``of_rows`` are the numbers of SHARED rows, null
    where the price could not be read; ``models`` are the PLACES of the model of each number. ``detailed`` are prices
    that a quantity alone does not charge, ``not_of_period`` those that are not due for a period that has ended; each
    with the reason why it is refused where the former is missing or the latter is billed.
    """

    of_rows: pl.Series
    models: pl.Series
    terms: dict[str, pl.DataFrame]
    adjustments: pl.DataFrame
    refused: pl.DataFrame
    detailed: pl.DataFrame
    not_of_period: pl.DataFrame


def read_prices(prices: pl.DataFrame) -> ReadPrices:
    """Read each distinct price of SHARED rows; one that is wrong is refused with its reason and stops no other."""
    rows = tuple(zip(*(prices[name] for name in ("price_id", "model", "definition", "currency")), strict=True))
    return read_again(rows) if len(rows) <= ROWS_KEPT else read_rows(rows)


def read_rows(rows: tuple[PriceRow, ...]) -> ReadPrices:
    """A pure function of the ids, models, definitions and currencies of prices."""
    terms: dict[str, Terms] = {name: [] for name in MODELS}
    adjustments: Terms = []
    numbers: dict[tuple[str, str], int | None] = {}
    models: list[int] = []
    refused, detailed, not_of_period = [], [], []
    for price_id, model, text, currency in rows:
        if (price_id, currency) in numbers:
            continue
        price = {"price_id": price_id, "currency": currency}
        try:
            definition = read_price(model, text, currency)
        except Refused as reason:
            numbers[price_id, currency] = None
            refused.append(price | {"refused": reason.message})
            continue
        number = numbers[price_id, currency] = len(models)
        models.append(PLACES[model])
        terms[model].extend({"price_number": number, **row} for row in MODELS[model].read(definition))
        if (adjustment := read_adjustments(definition)) is not None:
            adjustments.append({"price_number": number, **adjustment})
        if (kind := detail_of(definition)) is not None:
            told = f"the price is by {kind}, and usage by {kind} is not at hand"
            detailed.append({**price, "price_number": number, "kind": kind, "refused": told})
        if (reason_why := not_due(definition)) is not None:
            not_of_period.append(price | {"refused": reason_why})
    of_rows = [numbers[price_id, currency] for price_id, _, _, currency in rows]
    found = {name: pl.DataFrame(own, schema=MODELS[name].terms) for name, own in terms.items() if own}
    return ReadPrices(
        pl.Series("price_number", of_rows, dtype=pl.UInt32()),
        pl.Series("model", models, dtype=pl.UInt8()),
        NO_TERMS | found,
        pl.DataFrame(adjustments, schema=ADJUSTMENT_TERMS) if adjustments else NO_ADJUSTMENTS,
        pl.DataFrame(refused, schema=REFUSED) if refused else NONE_REFUSED,
        pl.DataFrame(detailed, schema=DETAILED) if detailed else NONE_DETAILED,
        pl.DataFrame(not_of_period, schema=REFUSED) if not_of_period else NONE_REFUSED,
    )


read_again = lru_cache(READ_KEPT)(read_rows)


def detail_of(definition: Definition) -> DetailKind | None:
    """What a price charges by, if that is not the quantity of the whole period."""
    if definition["model"] == "matrix":
        return "group"
    if definition["model"] == "percentage" and any(name in definition for name in PER_EVENT):
        return "event"
    return "bucket" if "bucket" in definition else None


def not_due(definition: Definition) -> str | None:
    """Why a close does not bill a price, though its period has ended; ``None`` where it does."""
    if definition.get("payment_term") == "advance":
        return "the price is due in advance, and a close bills what has ended"
    if definition.get("recurrence") == "one_time":
        return "the price is due once, and a close bills every period"
    return None


@lru_cache(PRICES_KEPT)
def read_price(model: str, text: str, currency: str) -> Definition:
    """One price given as JSON text, in its one spelling and in one currency; raises ``Refused`` with all its faults.

    The catalog has checked it at its door. It is checked again, for a field that nobody knows could be the one that
    changes the bill: a price is charged in full or not at all.
    """
    minor_digits(currency)
    definition = parsed(text)
    if definition["model"] != model:
        raise Refused("model_differs", f"the price is filed under {model!r} but says {definition['model']!r}")
    if model not in MODELS:
        raise Refused("model_unknown", f"rating has no model {model!r}")
    return in_currency(definition, currency)


def parsed(text: str) -> Definition:
    """The definition in its one spelling."""
    try:
        raw = json.loads(text)
    except ValueError as error:
        raise Refused("price_not_json", f"the price is not JSON: {error}") from error
    if not isinstance(raw, dict):
        raise Refused("price_not_mapping", "the price is not a JSON object")
    faults = Faults()
    definition = parse_price(raw, "", faults)
    if definition is None or faults.problems:
        told = "; ".join(f"{problem.field} {problem.message}" for problem in faults.problems)
        raise Refused("price_invalid", f"the price is invalid: {told}", problems=tuple(faults.problems))
    return definition
