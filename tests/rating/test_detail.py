"""Usage in more detail finds its line, whatever the order in which it comes."""

from __future__ import annotations

from decimal import Decimal

import polars as pl

from rating.detail import USAGE_BUCKETS, USAGE_EVENTS, USAGE_GROUPS, Detail
from tests.rating.rows import DECEMBER, NOVEMBER

LINES = pl.DataFrame(
    {
        "line": [7, 8, 9],
        "subscription_id": ["sub_a", "sub_b", "sub_a"],
        "price_id": ["pri_1", "pri_1", "pri_2"],
    },
    schema={"line": pl.UInt32(), "subscription_id": pl.String(), "price_id": pl.String()},
)
EVENTS = [
    ("sub_a", "pri_1", 2, Decimal(5)),
    ("sub_b", "pri_1", 1, Decimal(6)),
    # Of no line.
    ("sub_b", "pri_2", 1, Decimal(99)),
    ("sub_a", "pri_1", 1, Decimal(4)),
    ("sub_a", "pri_1", 1, Decimal(3)),
]
GROUPS = [("sub_a", "pri_2", "{}", Decimal(1)), ("sub_b", "pri_2", "{}", Decimal(99))]
BUCKETS = [("sub_b", "pri_1", DECEMBER, 1, Decimal(2)), ("sub_b", "pri_1", NOVEMBER, 1, Decimal(1))]


def detail_of(places: list[int]) -> Detail:
    """EVENTS in another order, with groups and buckets."""
    return Detail(
        pl.DataFrame([EVENTS[place] for place in places], schema=USAGE_EVENTS, orient="row"),
        pl.DataFrame(GROUPS, schema=USAGE_GROUPS, orient="row"),
        pl.DataFrame(BUCKETS, schema=USAGE_BUCKETS, orient="row"),
        of_period=True,
    )


def test_every_row_finds_its_line_whatever_the_order() -> None:
    """Rows of a line that lie apart too; in order of line, time and value, and without those of no line."""
    for places in ([0, 1, 2, 3, 4], [4, 3, 2, 1, 0], [2, 0, 3, 4, 1]):
        found = detail_of(places).of(LINES)

        assert found.events is not None and found.groups is not None and found.buckets is not None
        assert found.events.rows() == [(7, 1, Decimal(3)), (7, 1, Decimal(4)), (7, 2, Decimal(5)), (8, 1, Decimal(6))]
        assert found.groups.rows() == [(9, "{}", Decimal(1))]
        assert found.buckets.rows() == [(8, NOVEMBER, 1, Decimal(1)), (8, DECEMBER, 1, Decimal(2))]
        assert found.of_period


def test_no_detail_stays_none() -> None:
    """Neither what was not given nor what has no rows is there."""
    found = Detail(groups=pl.DataFrame(schema=USAGE_GROUPS)).of(LINES)

    assert (found.events, found.groups, found.buckets) == (None, None, None)
