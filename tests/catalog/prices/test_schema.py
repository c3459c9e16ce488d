"""The published JSON Schema says what the reader accepts."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

import orjson
import pytest

from catalog.fields import Faults
from catalog.price import parse_price
from catalog.prices.models import MODELS, adjustments_of
from catalog.prices.schema import price_schema
from tests.catalog.prices.bad_prices import BAD, BEYOND_SCHEMA
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
    if isinstance(value, int | Decimal) and not isinstance(value, bool):
        return fits_number(schema, value)
    if isinstance(value, str):
        return schema["type"] == "string" and re.search(schema.get("pattern", ""), value) is not None
    kind: object = schema["type"]
    return kind == {bool: "boolean", type(None): "null"}.get(type(value))


def fits_number(schema: Mapping[str, Any], value: int | Decimal) -> bool:
    """Whether a JSON number is within what a schema says."""
    if schema["type"] not in ("number", "integer") or (schema["type"] == "integer" and value != int(value)):
        return False
    least, most = schema.get("minimum", value), schema.get("maximum", value)
    return bool(least <= value <= most) and value > schema.get("exclusiveMinimum", value - 1)


def fits_object(schema: Mapping[str, Any], value: Mapping[str, object]) -> bool:
    """Whether a mapping has what it must have, and nothing that it must not."""
    known, more = schema.get("properties", {}), schema["additionalProperties"]
    if not set(schema.get("required", [])) <= set(value) or len(value) < schema.get("minProperties", 0):
        return False
    if "propertyNames" in schema and not all(fits(schema["propertyNames"], name) for name in value):
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


@pytest.mark.parametrize("name", BAD)
def test_a_bad_price_fits_no_branch(name: str) -> None:
    """What the reader refuses, the schema refuses, but for what one value says of another."""
    price = BAD[name][0]

    assert any(fits(branch, price) for branch in SCHEMA["oneOf"]) == (name in BEYOND_SCHEMA)


@pytest.mark.parametrize("text", ["0", "0.1", "1000000000000000000", "-1", "1.5", "0.000000000001"])
@pytest.mark.parametrize("field", ["package_size", "package_price", "minimum_packages"])
def test_a_json_number_fits_as_its_text_does(field: str, text: str) -> None:
    """And as the reader has it."""
    price = {"model": "package", "package_size": "10", "package_price": "1"}
    faults = Faults()
    parse_price(price | {field: text}, "", faults)

    for value in (text, Decimal(text)):
        fitting = sum(fits(branch, price | {field: value}) for branch in SCHEMA["oneOf"])
        assert fitting == (not faults.problems), value


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
