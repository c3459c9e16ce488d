"""The published JSON Schema says what the reader accepts."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from random import Random
from typing import Any

import orjson

from catalog.fields import Faults
from catalog.price import parse_price
from catalog.prices.models import MODELS, adjustments_of
from catalog.prices.schema import price_schema
from tests.rating.oracle.random_prices import random_case

SCHEMA: dict[str, Any] = price_schema()
PUBLISHED = Path(__file__).parents[3] / "docs" / "price.schema.json"


def fits(schema: Mapping[str, Any], value: object) -> bool:
    """Whether a value is as a schema says: the words that our schema uses, and no others."""
    if "$ref" in schema:
        return fits(SCHEMA["$defs"][schema["$ref"].removeprefix("#/$defs/")], value)
    if "anyOf" in schema:
        return any(fits(one, value) for one in schema["anyOf"])
    if "const" in schema or "enum" in schema:
        return value in schema.get("enum", [schema.get("const")])
    return fits_kind(schema, value)


def fits_kind(schema: Mapping[str, Any], value: object) -> bool:
    """Whether a value is of the kind that a schema names."""
    if isinstance(value, dict):
        return schema["type"] == "object" and fits_object(schema, value)
    if isinstance(value, list):
        sized = schema["type"] == "array" and schema["minItems"] <= len(value) <= schema["maxItems"]
        return sized and all(fits(schema["items"], item) for item in value)
    if isinstance(value, str):
        return schema["type"] == "string" and re.search(schema.get("pattern", ""), value) is not None
    kind: object = schema["type"]
    return kind == {bool: "boolean", type(None): "null"}.get(type(value))


def fits_object(schema: Mapping[str, Any], value: Mapping[str, object]) -> bool:
    """Whether a mapping has what it must have, and nothing that it must not."""
    known, more = schema.get("properties", {}), schema["additionalProperties"]
    if not set(schema.get("required", [])) <= set(value):
        return False
    return all(
        fits(known[name], entry) if name in known else more is not False and fits(more, entry)
        for name, entry in value.items()
    )


def test_the_published_schema_is_the_one_of_this_code() -> None:
    """Made anew with: python -c "from catalog.prices.schema import write; write('docs/price.schema.json')"."""
    assert orjson.loads(PUBLISHED.read_bytes()) == SCHEMA


def test_every_price_that_is_accepted_fits_exactly_one_branch() -> None:
    """As it was declared, and in its one spelling."""
    branches = SCHEMA["oneOf"]
    rng = Random(3)
    for _ in range(500):
        declared = random_case(rng).price
        faults = Faults()
        spelled = parse_price(declared, "", faults)
        assert faults.problems == []
        assert [sum(fits(branch, price) for branch in branches) for price in (declared, spelled)] == [1, 1], declared


def test_fields_that_are_unknown_or_missing_fit_no_branch() -> None:
    """What the reader refuses for its fields, the schema refuses."""
    branches = SCHEMA["oneOf"]
    for price in (
        {"model": "per_unit"},
        {"model": "dynamic", "colour": "red"},
        {"model": "per_unit", "unit_price": "x"},
    ):
        assert not any(fits(branch, price) for branch in branches)


def test_every_field_has_its_place_in_the_schema() -> None:
    """Nothing is accepted that is not published."""
    branches = SCHEMA["oneOf"]
    plain, in_currencies = branches[: len(MODELS)], branches[len(MODELS) :]
    for branch, (name, model) in zip(plain, MODELS.items(), strict=True):
        fields = {field.name for field in (*model.members, *adjustments_of(name))}
        assert set(branch["properties"]) == fields | {"model"}
    for branch, other in zip(in_currencies, plain, strict=True):
        bodies = branch["properties"]["currencies"]["additionalProperties"]
        assert set(bodies["properties"]) == set(other["properties"]) - {"model"}
