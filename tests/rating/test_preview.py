"""Prices tried out: parts of a period add up to the whole, and a wrong case says where it is wrong."""

from __future__ import annotations

from decimal import Decimal, localcontext
from random import Random
from typing import Any

import pytest

from core.errors import Refused
from core.quantity import EXACT
from rating.preview import preview_all, rate_cumulative, simulate, simulate_json
from rating.preview_case import Case, read_case, read_price
from tests.rating.oracle.random_prices import SMALLEST, random_case
from tests.rating.oracle.written import exact_sum
from tests.rating.text_table import table

GRADUATED = {"model": "graduated", "tiers": [{"up_to": "10", "unit_price": "1"}, {"up_to": None, "unit_price": "0.5"}]}
TEN_FOR_FIVE = {"model": "package", "package_size": "10", "package_price": "5"}
PARTS = """
    price      | so far            | each part pays
    graduated  | 4 / 10 / 30       | 4 / 6 / 10
    graduated  | 4 / 4 / 30        | 4 / 0 / 16
    graduated  | 30 / 8            | 20 / -12          # a correction gives back what it takes out of the tiers
    package    | 1 / 10 / 10.5     | 5 / 0 / 5         # never one package a part
    minimum    | 1 / 2 / 3         | 1 / 1 / 98        # the minimum is the last part's
    minimum    | 200 / 300         | 200 / 100
    true_up    | 1 / 2             | 1 / 99
    packages   | 1 / 11 / 12       | 5 / 5 / 5
    maximum    | 60 / 90 / 500     | 60 / 30 / 10
"""
UNIT = {"model": "per_unit", "unit_price": "1"}
PRICES: dict[str, dict[str, Any]] = {
    "graduated": GRADUATED,
    "package": TEN_FOR_FIVE,
    "minimum": UNIT | {"minimum_amount": "100"},
    "true_up": UNIT | {"commitment": {"amount": "100", "true_up": True}},
    "packages": TEN_FOR_FIVE | {"minimum_packages": "3"},
    "maximum": UNIT | {"maximum_amount": "100"},
}


@pytest.mark.parametrize(("price", "so_far", "pays"), list(table(PARTS)))
def test_each_part_pays_the_difference_to_the_whole_so_far(price: str, so_far: str, pays: str) -> None:
    """Tiers and packages go by the running total; what only the end can tell is in the last part."""
    running = [Decimal(text) for text in so_far.split(" / ")]

    definition, currency = read_price(PRICES[price])
    parts = rate_cumulative(definition, currency, running)

    assert [Decimal(part["unrounded"]) for part in parts] == [Decimal(text) for text in pays.split(" / ")]


@pytest.mark.parametrize("currency", ["USD", "JPY", "KWD"])
def test_however_a_period_is_split_it_costs_the_same(currency: str) -> None:
    """Random prices and random splits: the parts add up to the whole, unrounded and in money."""
    rng = Random(11)
    split = 0
    for _ in range(80):
        case = random_case(rng)
        if case.price["model"] in ("percentage", "matrix") or case.buckets is not None:
            continue
        with localcontext(EXACT):
            running = [(case.quantity * rng.randint(-2, 12) / 8).quantize(SMALLEST) for _ in range(rng.randint(0, 4))]
        definition, _ = read_price(case.price, currency)

        at_once = preview_all([Case(definition, currency, quantity=case.quantity)])[0]
        parts = rate_cumulative(definition, currency, [*running, case.quantity])

        if any("parked_reason" in answer for answer in (at_once, *parts)):
            continue
        split += 1
        assert exact_sum(Decimal(part["unrounded"]) for part in parts) == Decimal(at_once["unrounded"])
        assert sum(part["amount_minor"] for part in parts) == at_once["amount_minor"]
    assert split > 25


def test_added_up_parts_and_quantities_so_far_are_two_ways_to_say_the_same() -> None:
    """``parts`` are what each part used, ``cumulative`` what was used so far."""
    parts = simulate({"price": GRADUATED, "parts": ["4", "6", "20"]})
    so_far = simulate({"price": GRADUATED, "cumulative": [4, 10, 30]})

    assert parts == so_far
    assert [part["quantity"] for part in parts["parts"]] == ["4", "6", "20"]


def test_an_answer_has_both_amounts_and_every_step() -> None:
    """Unrounded and rounded, the tiers, and what each step did."""
    price = UNIT | {"unit_conversion": {"op": "divide", "factor": "3"}, "discount_percent": "10", "currency": "KWD"}

    answer = simulate({"price": price, "quantity": "100"})

    # 29.9999999999999999999999997, of which the last place is the 25th.
    assert answer["unrounded"] == "30"
    assert (answer["amount"], answer["amount_minor"], answer["currency"]) == ("30.000", 30000, "KWD")
    assert [(step["step"], step["amount_after"]) for step in answer["steps"]] == [
        ("unit_conversion", "0"),
        ("discount_percent", "30"),
    ]
    assert answer["steps"][0]["quantity"] == "33.333333333333333333333333"


def test_numbers_are_read_as_their_text_says() -> None:
    """A JSON number is never a float on its way."""
    answer = simulate_json(b'{"price": {"model": "per_unit", "unit_price": 0.1}, "quantity": 0.3}')

    assert answer["unrounded"] == "0.03"


WRONG: list[tuple[object, str, str | None]] = [
    (3, "case_not_mapping", None),
    ({"quantity": "1"}, "price_not_mapping", "price"),
    ({"price": {"model": "per_unit"}, "quantity": "1"}, "price_invalid", "price.unit_price"),
    ({"price": UNIT, "currency": "XXX", "quantity": "1"}, "price_invalid", "price.currency"),
    ({"price": UNIT | {"currency": "USD"}, "currency": "EUR", "quantity": "1"}, "price_invalid", "price.currency"),
    ({"price": UNIT}, "case_invalid", "quantity"),
    ({"price": UNIT, "quantity": "1", "events": ["1"]}, "case_invalid", "events"),
    ({"price": UNIT, "quantity": "NaN"}, "case_invalid", "quantity"),
    ({"price": UNIT, "events": [{"amount": "1"}, {"size": "1"}]}, "case_invalid", "events[1]"),
    ({"price": UNIT, "quantity": "1", "colour": "red"}, "case_invalid", "colour"),
    ({"price": UNIT, "cumulative": []}, "case_invalid", "cumulative"),
]


@pytest.mark.parametrize(("raw", "code", "field"), WRONG)
def test_a_wrong_case_is_refused_with_its_field(raw: object, code: str, field: str | None) -> None:
    """Each fault by its path, and nothing is worked out."""
    with pytest.raises(Refused) as refused:
        read_case(raw)

    assert refused.value.code == code
    assert [problem.field for problem in refused.value.problems] == ([] if field is None else [field])


def test_cases_in_parts_among_others_are_rated_together() -> None:
    """Each has the answer that it has alone; one that cannot be billed in parts has its error in its place."""
    cases: list[dict[str, Any]] = [
        {"price": GRADUATED, "parts": ["4", "6", "20"]},
        {"price": UNIT, "quantity": "3"},
        {"price": {"model": "per_unit", "unit_price": "1" + "0" * 18}, "cumulative": ["0.00001", "1000000", "2"]},
        {"price": {"model": "percentage", "rate_percent": "1"}, "parts": ["1"]},
        {"price": TEN_FOR_FIVE | {"bucket": "day"}, "cumulative": ["1"]},
        {"price": PRICES["minimum"], "cumulative": ["1", "2"]},
    ]

    answers = simulate({"cases": cases})["cases"]

    assert [answers[place] for place in (0, 1, 2, 5)] == [simulate(cases[place]) for place in (0, 1, 2, 5)]
    assert (len(answers[2]["parts"]), "does not fit" in answers[2]["parked_reason"]) == (2, True)
    faults = [answers[place]["error"]["problems"][0] for place in (3, 4)]
    assert [(fault["field"], fault["code"]) for fault in faults] == [
        ("cases[3].parts", "parts_not_possible"),
        ("cases[4].cumulative", "parts_not_possible"),
    ]


def test_one_wrong_case_among_many_has_its_error_in_its_place() -> None:
    """The others are answered."""
    cases = [{"name": "good", "price": UNIT, "quantity": 2}, {"name": "bad", "price": {"model": "per_moon"}}]

    good, bad = simulate({"cases": cases})["cases"]

    assert (good["name"], good["unrounded"]) == ("good", "2")
    assert (bad["name"], bad["error"]["problems"][0]["field"]) == ("bad", "cases[1].price.model")


def test_usage_by_group_needs_groups() -> None:
    """A price by group is not tried on a quantity of nobody's group; events may carry their group."""
    price: dict[str, object] = {"model": "matrix", "group_by": ["region"], "default": "hold"}
    price |= {"prices": [{"group": {"region": "eu"}, "unit_price": "2"}]}
    event = {"region": "eu", "amount": "3"}

    assert simulate({"price": price, "events": [event, event]})["unrounded"] == "12"
    held = simulate({"price": price, "groups": [{"group": {"region": "ap"}, "quantity": "1"}]})
    assert "is held" in held["parked_reason"]
    with pytest.raises(Refused, match="needs groups"):
        simulate({"price": price, "quantity": "5"})
