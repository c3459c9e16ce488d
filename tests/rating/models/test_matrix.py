"""Matrix: a price by group, with a default or a halt, and never a silent 0."""

from __future__ import annotations

from typing import Any

import pytest

from rating.preview import simulate
from tests.rating.rows import rate_all
from tests.rating.text_table import table

EU = {"group": {"region": "eu", "size": "L"}, "unit_price": "2"}
US = {"group": {"size": "L", "region": "us"}, "unit_price": "3"}
HELD: dict[str, Any] = {"model": "matrix", "group_by": ["region", "size"], "prices": [EU, US], "default": "hold"}
DEFAULT = HELD | {"default": {"unit_price": "5"}}


def used(*groups: tuple[str, str, str]) -> list[dict[str, object]]:
    """Usage by region and size."""
    return [{"group": {"region": region, "size": size}, "quantity": quantity} for region, size, quantity in groups]


def test_each_group_has_its_price_and_the_rest_the_default() -> None:
    """In whatever order a group names its keys."""
    answer = simulate({"price": DEFAULT, "groups": used(("eu", "L", "1.5"), ("us", "L", "1"), ("ap", "S", "10"))})

    assert answer["unrounded"] == "56"
    assert [(tier["group"], tier["amount"]) for tier in answer["tiers"]] == [
        ('{"region":"ap","size":"S"}', "50"),
        ('{"region":"eu","size":"L"}', "3"),
        ('{"region":"us","size":"L"}', "3"),
    ]


def test_usage_of_an_unknown_group_is_held_and_told() -> None:
    """Nothing of it is charged, and the reason names the group; a group of nothing holds nothing up."""
    held = simulate({"price": HELD, "groups": used(("eu", "L", "1"), ("ap", "S", "10"))})
    empty = simulate({"price": HELD, "groups": used(("eu", "L", "1"), ("ap", "S", "0"))})

    assert 'usage of the group {"region":"ap","size":"S"} has no price and is held' in held["parked_reason"]
    assert "unrounded" not in held
    assert empty["unrounded"] == "2"


def test_no_usage_costs_nothing() -> None:
    """A line of no groups."""
    assert simulate({"price": HELD, "groups": []})["unrounded"] == "0"


def test_a_quantity_without_groups_is_not_charged() -> None:
    """A quantity of nobody knows which group has no price, not even the default."""
    line = rate_all([(DEFAULT, "5")])[0]

    assert "the price is by group" in line["parked_reason"]


TINY = {"model": "matrix", "group_by": ["region"], "prices": [{"group": {"region": "eu"}, "unit_price": "0.000000001"}],
        "default": {"unit_price": "4.5"}}  # fmt: skip
EDGES = """
    eu                  | other           | unrounded                 | USD           | JPY        | KWD
    0                   | 0               | 0                         | 0.00          | 0          | 0.000
    0.000000000001      | 0               | 0.000000000000000000001   | 0.00          | 0          | 0.000
    500000              | 0               | 0.0005                    | 0.00          | 0          | 0.001
    5000000             | 0               | 0.005                     | 0.01          | 0          | 0.005
    500000000           | 0               | 0.5                       | 0.50          | 1          | 0.500
    1000000000000000000 | 0               | 1000000000                | 1000000000.00 | 1000000000 | 1000000000.000
    1000000000000000000 | 1               | 1000000004.5              | 1000000004.50 | 1000000005 | 1000000004.500
    0                   | 1.000000000001  | 4.5000000000045           | 4.50          | 5          | 4.500
    -5000000            | 0               | -0.005                    | -0.01         | 0          | -0.005
    -500000000          | 0               | -0.5                      | -0.50         | -1         | -0.500
    1                   | -1              | -4.499999999              | -4.50         | -4         | -4.500
"""


@pytest.mark.parametrize("row", list(table(EDGES)))
def test_groups_are_exact_at_their_edges_in_every_currency(row: list[str]) -> None:
    """At 0, the smallest fraction, the largest quantities and below zero, rounded once on the sum of the groups."""
    groups = [{"group": {"region": "eu"}, "quantity": row[0]}, {"group": {"region": "us"}, "quantity": row[1]}]

    for currency, expected in zip(("USD", "JPY", "KWD"), row[3:], strict=True):
        answer = simulate({"price": TINY, "groups": groups, "currency": currency})
        assert (answer["unrounded"], answer["amount"]) == (row[2], expected)
