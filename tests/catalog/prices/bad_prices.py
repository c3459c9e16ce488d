"""Bad prices, with what every door says of them: the path within the price, the code, and a part of the reason."""

from __future__ import annotations

from typing import Any

UNIT: dict[str, Any] = {"model": "per_unit", "unit_price": "1"}
PACKAGE: dict[str, Any] = {"model": "package", "package_size": "10", "package_price": "1"}
LAST: dict[str, Any] = {"up_to": None, "unit_price": "1"}
EU: dict[str, Any] = {"group": {"region": "eu"}, "unit_price": "1"}
MATRIX: dict[str, Any] = {"model": "matrix", "group_by": ["region"], "prices": [EU]}


def tiers(*bounds: str | None, model: str = "graduated") -> dict[str, Any]:
    """A price with these bounds."""
    return {"model": model, "tiers": [{"up_to": bound, "unit_price": "1"} for bound in bounds]}


# What is wrong: the price, the path, the code, a part of the reason.
BAD: dict[str, tuple[dict[str, Any], str, str, str]] = {
    "a gap at the end": (tiers("10", "20"), "tiers[1].up_to", "tier_bounded", "must be without end"),
    "a gap in the middle": (tiers("10", None, None), "tiers[1].up_to", "tier_endless", "only the last"),
    "descending bounds": (tiers("10", "5", None), "tiers[1].up_to", "tier_not_rising", "must be above 10"),
    "repeated bounds": (tiers("10", "10", None), "tiers[1].up_to", "tier_not_rising", "must be above 10"),
    "descending bounds of volume": (
        tiers("10", "5", None, model="volume"),
        "tiers[1].up_to",
        "tier_not_rising",
        "must be above 10",
    ),
    "a tier that says where it begins": (
        {"model": "volume", "tiers": [LAST | {"from": "0"}]},
        "tiers[0].from",
        "field_unknown",
        "is unknown here",
    ),
    "no tiers": ({"model": "volume", "tiers": []}, "tiers", "field_missing", "at least one"),
    "an unknown field": (UNIT | {"price_per_unit": "2"}, "price_per_unit", "field_unknown", "is unknown here"),
    "an unknown field of a tier": (
        {"model": "volume", "tiers": [LAST | {"size": "1"}]},
        "tiers[0].size",
        "field_unknown",
        "is unknown here",
    ),
    "another model's field": (UNIT | {"package_size": "10"}, "package_size", "field_unknown", "is unknown here"),
    "a negative size": (PACKAGE | {"package_size": "-1"}, "package_size", "value_negative", "must not be negative"),
    "a size of nothing": (PACKAGE | {"package_size": "0"}, "package_size", "value_not_positive", "must be above 0"),
    "a size of nothing, at length": (
        PACKAGE | {"package_size": "00.000"},
        "package_size",
        "value_not_positive",
        "must be above 0",
    ),
    "a size left out": (
        {"model": "package", "package_price": "1"},
        "package_size",
        "field_missing",
        "is required",
    ),
    "a negative price": (UNIT | {"unit_price": "-0.1"}, "unit_price", "value_negative", "must not be negative"),
    "an unknown currency": (
        {"model": "per_unit", "currencies": {"USD": {"unit_price": "1"}, "XXQ": {"unit_price": "1"}}},
        "currencies.XXQ",
        "currency_unknown",
        "'XXQ' is not a currency code",
    ),
    "a fault in one currency": (
        {"model": "per_unit", "currencies": {"USD": {"unit_price": "-1"}}},
        "currencies.USD.unit_price",
        "value_negative",
        "must not be negative",
    ),
    "a matrix without a default": (MATRIX, "default", "field_missing", "is required"),
    "a default of a word": (MATRIX | {"default": "free"}, "default", "not_mapping", "hold"),
    "a group that names no key": (
        MATRIX | {"default": "hold", "prices": [EU | {"group": {"zone": "eu"}}]},
        "prices[0].group",
        "group_incomplete",
        "each of region",
    ),
    "a bucket of no length": (UNIT | {"bucket": "week"}, "bucket", "choice_unknown", "must be one of hour, day"),
    "a number that is none": (UNIT | {"unit_price": "NaN"}, "unit_price", "value_not_numeric", "not a decimal number"),
    "a number in a list": (UNIT | {"unit_price": ["1"]}, "unit_price", "value_not_numeric", "not a list"),
    "a flag as a number": (UNIT | {"unit_price": True}, "unit_price", "value_not_numeric", "not true or false"),
    "too many places": (UNIT | {"unit_price": "0.0000000000001"}, "unit_price", "value_too_precise", "12 decimal"),
    "too large": (UNIT | {"unit_price": "1e400"}, "unit_price", "value_too_large", "more than 19 digits"),
    "a half of a package": (PACKAGE | {"minimum_packages": "0.5"}, "minimum_packages", "value_too_precise", "whole"),
}
# What the JSON Schema cannot say: it is about one value and another, or of a number as text.
BEYOND_SCHEMA = (
    "a gap at the end",
    "a gap in the middle",
    "descending bounds",
    "repeated bounds",
    "descending bounds of volume",
    "a group that names no key",
)
