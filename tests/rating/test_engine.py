"""The engine against a naive oracle, and what a run must promise: the same lines for the same inputs."""

from __future__ import annotations

import random
from decimal import Decimal
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rating.charge import RATED_LINES
from rating.engine import rate
from tests.rating.oracle.charges import charge
from tests.rating.rows import due_frame, due_price, rate_all, usage_frame, used

PLACES = Decimal("0.000000000001")


def decimals(digits_max: int, *, lowest: int = 0) -> st.SearchStrategy[Decimal]:
    """Decimals of scale 12 whose size is spread over all magnitudes."""
    wholes = st.integers(0, digits_max).flatmap(lambda digits: st.integers(lowest * 10**digits, 10**digits))
    return wholes.map(lambda whole: Decimal(whole) * PLACES)


UNIT_PRICES = decimals(26)
QUANTITIES = decimals(37, lowest=-1)


@st.composite
def graduated_prices(draw: st.DrawFn) -> dict[str, Any]:
    """Prices of one to six tiers with any bounds, unit prices and flat prices."""
    bounds = sorted({bound for bound in draw(st.lists(decimals(30), max_size=5)) if bound > 0})
    tiers: list[dict[str, object]] = []
    for bound in [*bounds, None]:
        tier: dict[str, object] = {
            "up_to": None if bound is None else format(bound, "f"),
            "unit_price": format(draw(UNIT_PRICES), "f"),
        }
        if draw(st.booleans()):
            tier["flat_price"] = format(draw(UNIT_PRICES), "f")
        tiers.append(tier)
    return {"model": "graduated", "tiers": tiers}


def per_unit_price(price: Decimal) -> dict[str, Any]:
    """A price of one unit price."""
    return {"model": "per_unit", "unit_price": format(price, "f")}


PRICES = graduated_prices() | UNIT_PRICES.map(per_unit_price)


@st.composite
def cases(draw: st.DrawFn) -> list[tuple[dict[str, Any], Decimal]]:
    """Prices with quantities anywhere, exactly at a bound, and the smallest step to either side of one."""
    found = []
    for price in draw(st.lists(PRICES, min_size=20, max_size=60)):
        tiers: list[dict[str, Any]] = price.get("tiers", [])
        bounds = [Decimal(tier["up_to"]) for tier in tiers if tier["up_to"]]
        near = [bound + step for bound in bounds for step in (-PLACES, Decimal(0), PLACES)]
        found += [(price, quantity) for quantity in (draw(QUANTITIES), *near, Decimal(0))]
    return found


@settings(max_examples=60, deadline=None)
@given(cases())
def test_the_engine_equals_the_oracle_to_the_last_digit(priced: list[tuple[dict[str, Any], Decimal]]) -> None:
    """Over random prices and quantities: the same unrounded amount, or parked where the amount does not fit."""
    lines = rate_all(priced)

    for line, (price, quantity) in zip(lines, priced, strict=True):
        answer = charge(price, quantity)
        assert (line["parked_reason"] is None) == answer.fits
        if answer.fits:
            assert line["amount"] == answer.amount
            assert line["quantity"] == quantity


SMALL = decimals(19).map(lambda number: format(number, "f"))


@st.composite
def small_prices(draw: st.DrawFn, model: str) -> dict[str, Any]:
    """Prices of a model that multiplies small numbers without checking each, some with a most and a flat at 0."""
    if model in ("per_unit", "dynamic"):
        return {"model": model} | ({"unit_price": draw(SMALL)} if model == "per_unit" else {})
    bounds = sorted({bound for bound in draw(st.lists(decimals(20), max_size=3)) if bound > 0})
    names = ("flat_price",) if model == "stair_step" else ("unit_price", "flat_price")
    tiers: list[dict[str, Any]] = [{name: draw(SMALL) for name in names} for _ in range(len(bounds) + 1)]
    if model in ("graduated", "volume") and draw(st.booleans()):
        tiers[0]["max_amount"] = draw(SMALL)
    for tier, bound in zip(tiers, [*bounds, None], strict=True):
        tier["up_to"] = None if bound is None else format(bound, "f")
    return {"model": model, "tiers": tiers, "zero_usage": draw(st.sampled_from(["no_charge", "first_tier_flat"]))}


@pytest.mark.parametrize("model", ["per_unit", "dynamic", "graduated", "volume", "stair_step"])
@settings(max_examples=8, deadline=None)
@given(st.data())
def test_small_numbers_cost_the_same_whether_each_is_checked_or_none(model: str, data: st.DataObject) -> None:
    """One line more, too large to go unchecked, changes nothing of the others; and all are what the oracle says."""
    quantities = st.lists(decimals(19, lowest=-1), min_size=1, max_size=8)
    drawn = [(price, data.draw(quantities)) for price in data.draw(st.lists(small_prices(model), max_size=12))]
    priced = [(price, quantity) for price, some in drawn for quantity in (*some, Decimal(0))]
    huge: list[tuple[dict[str, Any], Decimal]] = [(data.draw(small_prices(model)), Decimal(10**25))]

    lines = rate_all(priced)

    assert lines == rate_all(priced + huge)[:-1]
    assert [line["amount"] for line in lines] == [charge(price, quantity).amount for price, quantity in priced]


def test_a_rerun_gives_the_same_bytes_whatever_the_order() -> None:
    """Shuffled inputs give the same lines and the same hashes."""
    rng = random.Random(7)
    due = [due_price({"model": "per_unit", "unit_price": f"0.{n + 1}"}, n) for n in range(50)]
    usage = [used(row, str(n)) for n, row in enumerate(due)]
    first = rate(usage_frame(usage), due_frame(due)).sort("subscription_id")
    rng.shuffle(due)
    rng.shuffle(usage)

    again = rate(usage_frame(usage), due_frame(due)).sort("subscription_id")

    assert again.equals(first)
    assert first["input_hash"].n_unique() == 50


def test_a_line_that_is_given_twice_is_not_charged_twice() -> None:
    """Neither where usage lies beside its prices row by row, nor where it has to be joined to them."""
    due = [due_price({"model": "per_unit", "unit_price": "1"})] * 2
    usage = [used(due[0], "2")] * 2

    for rows in (usage, usage[:1]):
        with pytest.raises(pl.exceptions.ComputeError, match="1:1"):
            rate(usage_frame(rows), due_frame(due))


@pytest.mark.parametrize(
    "change",
    [
        {"customer_id": "cus_9"},
        {"currency": "EUR"},
        {"definition": '{"model": "per_unit", "unit_price": "0.2"}'},
        {"meter": "other"},
        {"quantity": "2.000000000001"},
    ],
)
def test_the_hash_changes_with_every_input(change: dict[str, Any]) -> None:
    """Whatever determines a line is under its hash."""
    due = due_price({"model": "per_unit", "unit_price": "0.1"})
    quantity = change.pop("quantity", "2")

    before = rate(usage_frame([used(due, "2")]), due_frame([due]))["input_hash"]
    after = rate(usage_frame([used(due, quantity)]), due_frame([due | change]))["input_hash"]

    assert before[0] != after[0]


def test_a_price_without_usage_keeps_a_line_of_zero() -> None:
    """That nothing was used is said, not left out."""
    due = due_price({"model": "per_unit", "unit_price": "0.1"})

    line = rate(usage_frame([]), due_frame([due])).to_dicts()[0]

    assert (line["quantity"], line["amount"], line["events"], line["parked_reason"]) == (0, 0, 0, None)


def test_the_lines_have_the_declared_schema_even_when_there_are_none() -> None:
    """No due price is an empty frame, not an error."""
    assert rate(usage_frame([]), due_frame([])).schema == RATED_LINES


def test_an_unknown_currency_parks_the_line() -> None:
    """What could not be rounded later is not charged now."""
    due = due_price({"model": "per_unit", "unit_price": "1"}, currency="XXX")

    assert "XXX" in rate(usage_frame([]), due_frame([due]))["parked_reason"][0]


def test_a_problem_known_before_parks_the_line() -> None:
    """A reason that the caller gives wins over anything the engine would say."""
    due = due_price({"model": "per_unit", "unit_price": "1"})

    line = rate(usage_frame([used(due, "0", problem="the sum is too large")]), due_frame([due])).to_dicts()[0]

    assert (line["parked_reason"], line["amount"], line["tiers"]) == ("the sum is too large", None, [])
