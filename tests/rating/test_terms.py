"""A price that is wrong is never charged in part: its lines are parked with the field and the reason."""

from __future__ import annotations

import json

import pytest

from core.errors import Refused
from rating.terms import read_price
from tests.rating.rows import rate_all

TIER = {"up_to": None, "unit_price": "1"}
BAD = [
    ('{"model": "per_unit"', "not JSON"),
    ("[1]", "not a JSON object"),
    ('{"unit_price": "1"}', "model is required"),
    ('{"model": "per_moon", "unit_price": "1"}', "model must be one of"),
    ('{"model": "per_unit"}', "unit_price is required"),
    ('{"model": "per_unit", "unit_price": "one"}', "unit_price 'one' is not a decimal number"),
    ('{"model": "per_unit", "unit_price": NaN}', "unit_price must be a decimal number"),
    ('{"model": "per_unit", "unit_price": true}', "unit_price must be a decimal number"),
    ('{"model": "per_unit", "unit_price": 0.5}', "unit_price must be a decimal number, written as text"),
    ('{"model": "per_unit", "unit_price": "0.0000000000001"}', "unit_price 0.0000000000001 has more than 12"),
    ('{"model": "per_unit", "unit_price": "1", "colour": "5"}', "colour is unknown here"),
    ('{"model": "per_unit", "unit_price": "1", "tiers": []}', "tiers is unknown here"),
]
BAD_TIERS = [
    ([], "tiers at least one tier is required"),
    (["x"], "tiers[0] must be a mapping"),
    ([{"up_to": "5", "unit_price": "1"}], "tiers[0].up_to the last tier must be without end"),
    ([TIER, TIER], "tiers[0].up_to only the last tier may be without end"),
    ([{"up_to": "0", "unit_price": "1"}, TIER], "tiers[0].up_to must be above 0"),
    ([{"up_to": 5, "unit_price": 1}, {"up_to": 5, "unit_price": 1}, TIER], "tiers[1].up_to must be above 5"),
    ([{"up_to": 5, "unit_price": 1}, {"up_to": 4, "unit_price": 1}, TIER], "tiers[1].up_to must be above 5"),
    ([{"up_to": None}], "tiers[0].unit_price is required"),
    ([TIER | {"colour": "3"}], "tiers[0].colour is unknown here"),
]


@pytest.mark.parametrize(("definition", "told"), BAD)
def test_a_bad_price_is_refused_with_its_field_and_reason(definition: str, told: str) -> None:
    """Text that is no price, unknown models and fields, and numbers that are none."""
    with pytest.raises(Refused) as refused:
        read_price("per_unit", definition, "USD")

    assert told in refused.value.message


@pytest.mark.parametrize(("tiers", "told"), BAD_TIERS)
def test_bad_tiers_are_refused_with_their_path(tiers: list[object], told: str) -> None:
    """Gaps, falling bounds, closed ends and unknown fields."""
    with pytest.raises(Refused) as refused:
        read_price("graduated", json.dumps({"model": "graduated", "tiers": tiers}), "USD")

    assert told in refused.value.message


def test_every_problem_of_a_price_is_told_at_once() -> None:
    """Whoever mends a price mends it in one go."""
    tiers = [{"up_to": "5", "unit_price": "x"}, {"up_to": "4", "unit_price": "1", "color": "red"}]

    with pytest.raises(Refused) as refused:
        read_price("graduated", json.dumps({"model": "graduated", "tiers": tiers}), "USD")

    assert {problem.field for problem in refused.value.problems} == {
        "tiers[0].unit_price",
        "tiers[1].up_to",
        "tiers[1].color",
    }


def test_a_price_filed_under_another_model_is_refused() -> None:
    """The column and the definition must say the same."""
    with pytest.raises(Refused, match="filed under"):
        read_price("graduated", '{"model": "per_unit", "unit_price": "1"}', "USD")


def test_a_bad_price_parks_its_own_line_only() -> None:
    """The others are charged as if it were not there."""
    good = {"model": "per_unit", "unit_price": "2"}

    lines = rate_all([(good, "1"), ('{"model": "per_unit"}', "1"), (good, "3")])

    assert [line["amount"] for line in lines] == [2, None, 6]
    assert lines[1]["parked_reason"] == "the price is invalid: unit_price is required"
