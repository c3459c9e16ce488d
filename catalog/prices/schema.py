"""The JSON Schema of prices, made from the same table by which they are read."""

from __future__ import annotations

from pathlib import Path

import orjson

from catalog.prices.adjustments import ADJUSTMENTS
from catalog.prices.kinds import Definition, object_schema
from catalog.prices.models import MODELS
from core.money import HUNDREDTHS, MINOR_DIGITS

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def price_schema() -> Definition:
    """One branch a model; what fields say together, such as rising bounds, is beyond it and checked in code."""
    shared = object_schema(ADJUSTMENTS)["properties"]
    assert isinstance(shared, dict), "an object has properties"
    references: Definition = {name: {"$ref": f"#/$defs/{name}"} for name in shared}
    branches = [
        object_schema(model.members, model={"const": name}, optional=references) for name, model in MODELS.items()
    ] + [in_currencies(name, references) for name in MODELS]
    return {
        "$schema": DIALECT,
        "title": "A price",
        "description": "Numbers are texts of digits; a JSON number is read as the decimal that its text says.",
        "oneOf": branches,
        "$defs": shared | {"currency": {"enum": sorted({*HUNDREDTHS, *MINOR_DIGITS})}},
    }


def in_currencies(name: str, references: Definition) -> Definition:
    """A price with a body for each of several currencies."""
    body = object_schema(MODELS[name].members, optional=references)
    bodies: Definition = {
        "type": "object",
        "minProperties": 1,
        "propertyNames": {"$ref": "#/$defs/currency"},
        "additionalProperties": body,
    }
    return {
        "type": "object",
        "properties": {"model": {"const": name}, "currencies": bodies},
        "required": ["model", "currencies"],
        "additionalProperties": False,
    }


def write(path: str) -> None:
    """Write the schema to a file, as it is published under ``docs``."""
    Path(path).write_bytes(orjson.dumps(price_schema(), option=orjson.OPT_INDENT_2) + b"\n")
