"""Turns the distinct prices of a frame into terms that models can join: JSON is read once per price, not per line."""

from __future__ import annotations

import json
from dataclasses import dataclass
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
# The good prices, each in the place of its number. Numbers are joined instead of ids.
NUMBERS: Final[Schema] = {
    "price_id": pl.String(),
    "currency": pl.String(),
    "price_number": pl.UInt32(),
    "model": pl.String(),
}
# Made once: a frame without rows takes as long as one with a few.
NO_ADJUSTMENTS, NONE_REFUSED, NONE_DETAILED = (
    pl.DataFrame(schema=schema) for schema in (ADJUSTMENT_TERMS, REFUSED, DETAILED)
)
NO_TERMS: Final = {name: pl.DataFrame(schema=model.terms) for name, model in MODELS.items()}


@dataclass(frozen=True, slots=True)
class ReadPrices:
    """Terms by model, adjustments, and the prices that could not be read with the reason why.

    ``detailed`` are prices that a quantity alone does not charge, ``not_of_period`` those that are not due for a period
    that has ended; each with the reason why it is refused where the former is missing or the latter is billed.
    """

    numbers: pl.DataFrame
    terms: dict[str, pl.DataFrame]
    adjustments: pl.DataFrame
    refused: pl.DataFrame
    detailed: pl.DataFrame
    not_of_period: pl.DataFrame


def read_prices(prices: pl.DataFrame) -> ReadPrices:
    """Read each distinct price of SHARED rows; one that is wrong is refused with its reason and stops no other."""
    distinct = prices.select("price_id", "model", "definition", "currency").unique(PRICE, maintain_order=True)
    rows: dict[str, Terms] = {name: [] for name in MODELS}
    adjustments: Terms = []
    numbers: list[tuple[str, str, int, str]] = []
    refused, detailed, not_of_period = [], [], []
    for price_id, model, text, currency in distinct.iter_rows():
        try:
            definition = read_price(model, text, currency)
        except Refused as reason:
            refused.append({"price_id": price_id, "currency": currency, "refused": reason.message})
            continue
        number = len(numbers)
        numbers.append((price_id, currency, number, model))
        rows[model].extend({"price_number": number, **row} for row in MODELS[model].read(definition))
        if (adjustment := read_adjustments(definition)) is not None:
            adjustments.append({"price_number": number, **adjustment})
        if (kind := detail_of(definition)) is not None:
            told = f"the price is by {kind}, and usage by {kind} is not at hand"
            place = {"price_id": price_id, "currency": currency}
            detailed.append({**place, "price_number": number, "kind": kind, "refused": told})
        if (reason_why := not_due(definition)) is not None:
            not_of_period.append({"price_id": price_id, "currency": currency, "refused": reason_why})
    found = {name: pl.DataFrame(own, schema=MODELS[name].terms) for name, own in rows.items() if own}
    return ReadPrices(
        pl.DataFrame(numbers, schema=NUMBERS, orient="row"),
        NO_TERMS | found,
        pl.DataFrame(adjustments, schema=ADJUSTMENT_TERMS) if adjustments else NO_ADJUSTMENTS,
        pl.DataFrame(refused, schema=REFUSED) if refused else NONE_REFUSED,
        pl.DataFrame(detailed, schema=DETAILED) if detailed else NONE_DETAILED,
        pl.DataFrame(not_of_period, schema=REFUSED) if not_of_period else NONE_REFUSED,
    )


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
