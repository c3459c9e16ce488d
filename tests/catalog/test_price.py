"""Prices: one spelling, every fault by its path."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.fields import Faults
from catalog.price import Definition, parse_price, price_text


def read(raw: dict[str, object]) -> tuple[Definition | None, list[tuple[str | None, str]]]:
    """A price and the paths and codes of its faults."""
    faults = Faults()
    found = parse_price(raw, "price", faults)
    return found, [(problem.field, problem.code) for problem in faults.problems]


def tiers(*entries: object) -> dict[str, object]:
    """A graduated price."""
    return {"model": "graduated", "tiers": list(entries)}


def tier(up_to: object, unit_price: object = "1", **more: object) -> dict[str, object]:
    """One tier."""
    return {"up_to": up_to, "unit_price": unit_price, **more}


def test_a_unit_price_has_one_spelling() -> None:
    """However a number is written, the definition is the same."""
    spellings: list[object] = ["2.5", "2.50", "02.5", "25e-1"]
    texts = {price_text(read({"model": "per_unit", "unit_price": one})[0] or {}) for one in spellings}

    assert texts == {'{"model":"per_unit","unit_price":"2.5"}'}


def test_graduated_tiers_are_written_out() -> None:
    """A tier without a flat price has a flat price of zero, the last is without end."""
    found, faults = read(tiers(tier("1000", "0.50", flat_price="3.00"), tier(None, "1e-6")))

    assert faults == []
    assert found == {
        "model": "graduated",
        "tiers": [
            {"up_to": "1000", "unit_price": "0.5", "flat_price": "3"},
            {"up_to": None, "unit_price": "0.000001", "flat_price": "0"},
        ],
    }


@given(st.decimals(min_value=0, max_value=10**18, places=12))
def test_a_price_keeps_every_digit(price: Decimal) -> None:
    """What is stored is exactly what was declared."""
    found, faults = read({"model": "per_unit", "unit_price": f"{price:f}"})

    assert faults == []
    assert found is not None
    assert Decimal(str(found["unit_price"])) == price


@pytest.mark.parametrize(
    ("raw", "faults"),
    [
        ({}, [("price.model", "field_missing")]),
        ({"model": "magic", "unit_price": "1"}, [("price.model", "choice_unknown")]),
        ({"model": "per_unit"}, [("price.unit_price", "field_missing")]),
        ({"model": "per_unit", "unit_price": "-1"}, [("price.unit_price", "value_negative")]),
        ({"model": "per_unit", "unit_price": "1e-13"}, [("price.unit_price", "value_too_precise")]),
        ({"model": "per_unit", "unit_price": "1e30"}, [("price.unit_price", "value_too_large")]),
        ({"model": "per_unit", "unit_price": "NaN"}, [("price.unit_price", "value_not_numeric")]),
        ({"model": "per_unit", "unit_price": 0.1}, [("price.unit_price", "value_not_numeric")]),
        ({"model": "per_unit", "unit_price": True}, [("price.unit_price", "value_not_numeric")]),
        ({"model": "per_unit", "unit_price": "1", "tiers": []}, [("price.tiers", "field_unknown")]),
        (tiers(), [("price.tiers", "field_missing")]),
        (tiers(tier("10")), [("price.tiers[0].up_to", "tier_bounded")]),
        (tiers(tier(None), tier(None)), [("price.tiers[0].up_to", "tier_endless")]),
        (tiers(tier("0"), tier(None)), [("price.tiers[0].up_to", "tier_not_rising")]),
        (tiers(tier("10"), tier("10"), tier(None)), [("price.tiers[1].up_to", "tier_not_rising")]),
        (tiers(tier("10"), tier("9"), tier(None)), [("price.tiers[1].up_to", "tier_not_rising")]),
        (tiers(tier("x"), tier(None)), [("price.tiers[0].up_to", "value_not_numeric")]),
        (tiers(tier(None, "1", surprise="x")), [("price.tiers[0].surprise", "field_unknown")]),
        (tiers("ten"), [("price.tiers[0]", "not_mapping")]),
        ({"model": "graduated", "tiers": "all"}, [("price.tiers", "not_list")]),
        (
            tiers(tier("10", "-1", flat_price="z"), tier("5")),
            [
                ("price.tiers[0].unit_price", "value_negative"),
                ("price.tiers[0].flat_price", "value_not_numeric"),
                ("price.tiers[1].up_to", "tier_bounded"),
            ],
        ),
    ],
)
def test_every_fault_is_reported_by_its_path(raw: dict[str, object], faults: list[tuple[str, str]]) -> None:
    """A wrong price says where it is wrong, in all places at once."""
    assert read(raw)[1] == faults


@given(st.lists(st.integers(1, 10**12), min_size=1, max_size=6, unique=True))
def test_bounds_are_accepted_exactly_when_they_rise(bounds: list[int]) -> None:
    """Any rising bounds make a price, any other order makes a fault."""
    _, faults = read(tiers(*(tier(str(bound)) for bound in bounds), tier(None)))

    assert (faults == []) == (bounds == sorted(bounds))
