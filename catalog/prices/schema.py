"""The JSON Schema of prices, made from the same table by which they are read."""

from __future__ import annotations

from catalog.prices.kinds import Definition, object_schema
from catalog.prices.models import MODELS, adjustments_of

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def price_schema() -> Definition:
    """One branch a model; what fields say together, such as rising bounds, is beyond it and checked in code."""
    branches = [
        object_schema((*model.members, *adjustments_of(name)), model={"const": name}) for name, model in MODELS.items()
    ]
    return {
        "$schema": DIALECT,
        "title": "A price",
        "description": "Numbers are texts of digits; a JSON number is read as the decimal that its text says.",
        "oneOf": branches,
    }
