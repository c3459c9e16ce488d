"""Fields of all models and adjustments: one spelling, and every fault by its path."""

from __future__ import annotations

from typing import Any

import pytest

from catalog.fields import Faults
from catalog.price import Definition, parse_price

STEP = {"up_to": None, "flat_price": "1"}
BLOCK = {"max_blocks": None, "block_size": "1", "block_price": "1"}
HALF = {"max_blocks": "0.5"}
UNIT: dict[str, Any] = {"model": "per_unit", "unit_price": "1"}
PERCENTAGE: dict[str, Any] = {"model": "percentage", "rate_percent": "1"}
EU = {"group": {"region": "eu"}, "unit_price": "1"}
MATRIX: dict[str, Any] = {"model": "matrix", "group_by": ["region"], "prices": [EU], "default": "hold"}
PACKAGE: dict[str, Any] = {"model": "package", "package_size": "10", "package_price": "1"}


def read(raw: dict[str, Any]) -> tuple[Definition | None, list[tuple[str | None, str]]]:
    """A price and the paths and codes of its faults."""
    faults = Faults()
    found = parse_price(raw, "", faults)
    return found, [(problem.field, problem.code) for problem in faults.problems]


WRONG: list[tuple[dict[str, Any], list[tuple[str, str]]]] = [
    ({"model": "flat"}, [("flat_price", "field_missing")]),
    ({"model": "flat", "flat_price": "1", "payment_term": "later"}, [("payment_term", "choice_unknown")]),
    ({"model": "flat", "flat_price": "1", "unit_price": "1"}, [("unit_price", "field_unknown")]),
    ({"model": "dynamic", "unit_price": "1"}, [("unit_price", "field_unknown")]),
    (PACKAGE | {"package_size": "0"}, [("package_size", "value_not_positive")]),
    (PACKAGE | {"package_size": "-5"}, [("package_size", "value_negative")]),
    (PACKAGE | {"package_rounding": "half"}, [("package_rounding", "choice_unknown")]),
    (PACKAGE | {"minimum_packages": "1.5"}, [("minimum_packages", "value_too_precise")]),
    (PERCENTAGE | {"rate_percent": "0.00000000001"}, [("rate_percent", "value_too_precise")]),
    (PERCENTAGE | {"rate_percent": "1000001"}, [("rate_percent", "value_too_large")]),
    (PERCENTAGE | {"per_event_min": "2", "per_event_max": "1"}, [("per_event_min", "minimum_above_maximum")]),
    (PERCENTAGE | {"free_units": "1"}, [("free_units", "field_not_with_model")]),
    ({"model": "stair_step", "tiers": [STEP, STEP]}, [("tiers[0].up_to", "tier_endless")]),
    ({"model": "stair_step", "tiers": [STEP | {"unit_price": "1"}]}, [("tiers[0].unit_price", "field_unknown")]),
    ({"model": "graduated_percentage", "tiers": [{}]}, [("tiers[0].rate_percent", "field_missing")]),
    ({"model": "volume", "tiers": []}, [("tiers", "field_missing")]),
    ({"model": "block_tiers", "tiers": [BLOCK | {"block_size": "0"}]}, [("tiers[0].block_size", "value_not_positive")]),
    ({"model": "block_tiers", "tiers": [BLOCK | {"max_blocks": "1"}]}, [("tiers[0].max_blocks", "tier_bounded")]),
    ({"model": "block_tiers", "tiers": [BLOCK, BLOCK]}, [("tiers[0].max_blocks", "tier_endless")]),
    (
        {"model": "block_tiers", "tiers": [BLOCK | {"max_blocks": "0.5"}]},
        [("tiers[0].max_blocks", "value_too_precise")],
    ),
    (MATRIX | {"default": None}, [("default", "field_missing")]),
    (MATRIX | {"default": "free"}, [("default", "not_mapping")]),
    (MATRIX | {"group_by": []}, [("group_by", "field_missing"), ("prices[0].group", "group_incomplete")]),
    (MATRIX | {"group_by": ["region", "size"]}, [("prices[0].group", "group_incomplete")]),
    (MATRIX | {"prices": [EU, EU]}, [("prices[1].group", "given_twice")]),
    (MATRIX | {"commitment": {"quantity": "1"}}, [("commitment.quantity", "field_not_with_model")]),
    (UNIT | {"unit_conversion": {"op": "add", "factor": "1"}}, [("unit_conversion.op", "choice_unknown")]),
    (UNIT | {"unit_conversion": {"op": "divide", "factor": "0"}}, [("unit_conversion.factor", "value_not_positive")]),
    (
        UNIT | {"unit_conversion": {"op": "divide", "factor": "3", "places": "2"}},
        [("unit_conversion.places", "field_not_alone")],
    ),
    (UNIT | {"round_quantity": {"mode": "up", "places": "13"}}, [("round_quantity.places", "value_too_large")]),
    (UNIT | {"round_quantity": {}}, [("round_quantity.mode", "field_missing")]),
    (UNIT | {"round_quantity": "up"}, [("round_quantity", "not_mapping")]),
    (UNIT | {"included_units": "1"}, [("overage_unit_price", "field_missing")]),
    (UNIT | {"overage_unit_price": "1"}, [("included_units", "field_missing")]),
    (UNIT | {"discount_percent": "100.1"}, [("discount_percent", "value_too_large")]),
    (UNIT | {"minimum_amount": "2", "maximum_amount": "1"}, [("minimum_amount", "minimum_above_maximum")]),
    (UNIT | {"commitment": {}}, [("commitment", "commitment_unclear")]),
    (UNIT | {"commitment": {"amount": "1", "quantity": "1"}}, [("commitment", "commitment_unclear")]),
    (UNIT | {"commitment": {"amount": "1", "true_up": "maybe"}}, [("commitment.true_up", "not_flag")]),
    (UNIT | {"commitment": {"amount": "1", "rate": "1"}}, [("commitment.rate", "field_unknown")]),
    (UNIT | {"zero_usage": "first_tier_flat"}, [("zero_usage", "field_not_with_model")]),
    (UNIT | {"pricing_unit": "credits"}, [("conversion_rate", "field_missing")]),
    (UNIT | {"conversion_rate": "0", "pricing_unit": "credits"}, [("conversion_rate", "value_not_positive")]),
]


@pytest.mark.parametrize(("raw", "faults"), WRONG)
def test_every_fault_is_told_by_its_path(raw: dict[str, Any], faults: list[tuple[str, str]]) -> None:
    """Unknown fields, fields of another model, bad sizes, gaps, and fields that contradict each other."""
    assert read(raw)[1] == faults


SPELLINGS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    (UNIT | {"discount_percent": "0", "free_units": 0, "zero_usage": "no_charge"}, UNIT),
    (
        {"model": "flat", "flat_price": "5.0", "zero_usage": "first_tier_flat", "payment_term": "arrears"},
        {"model": "flat", "flat_price": "5"},
    ),
    (
        {"model": "flat", "flat_price": "5", "zero_usage": "no_charge"},
        {"model": "flat", "flat_price": "5", "zero_usage": "no_charge"},
    ),
    (PACKAGE | {"package_rounding": "up"}, PACKAGE),
    (UNIT | {"commitment": {"amount": "10.0", "true_up": False}}, UNIT | {"commitment": {"amount": "10"}}),
    (
        UNIT | {"unit_conversion": {"op": "divide", "factor": "1e3", "rounding": "none"}},
        UNIT | {"unit_conversion": {"op": "divide", "factor": "1000"}},
    ),
    (UNIT | {"minimum_amount": "0"}, UNIT | {"minimum_amount": "0"}),
    (
        {"model": "block_tiers", "tiers": [BLOCK]},
        {"model": "block_tiers", "mode": "graduated", "tiers": [BLOCK]},
    ),
    (
        {"model": "volume", "tiers": [{"unit_price": "1", "max_amount": "3.50"}]},
        {"model": "volume", "tiers": [{"up_to": None, "unit_price": "1", "flat_price": "0", "max_amount": "3.5"}]},
    ),
]


@pytest.mark.parametrize(("raw", "spelled"), SPELLINGS)
def test_prices_that_charge_alike_are_spelled_alike(raw: dict[str, Any], spelled: dict[str, Any]) -> None:
    """What says only what would hold without it is left out; what is spelled once stays as it is."""
    assert read(raw) == (spelled, [])
    assert read(spelled) == (spelled, [])
