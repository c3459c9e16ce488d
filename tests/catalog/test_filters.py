"""Filters of a meter: what may stand in them, and how what stands inside each other is written out."""

from __future__ import annotations

from collections.abc import Mapping

import orjson
import pytest
from sqlalchemy import Engine

from catalog.document import read_catalog
from catalog.meter import Filter, as_filters, filters_json
from core.errors import Refused
from tests.catalog.builders import apply_counts, catalog_text

EU = {"property": "region", "op": "eq", "values": ["eu"]}
BIG = {"property": "size", "op": "gte", "values": ["1e3"]}
TEST = {"property": "test", "op": "exists"}


def source(*filters: object) -> str:
    """A catalog whose meter has these filters."""
    meter = "{code: tokens, event_type: call, aggregation: sum, value: Tokens, filters: %s}"
    return catalog_text(meters=meter % orjson.dumps(filters).decode())


def written(*filters: object) -> list[str]:
    """The filters written out, in short: ``or`` before alternatives, ``not`` before what must not hold."""
    (declared,) = read_catalog(source(*filters).encode())
    return [
        f"{'or ' * one.alternative}{'not ' * one.negated}{one.property} {one.op} {','.join(one.values)}".strip()
        for one in declared.meters[0].filters
    ]


def test_conditions_must_all_hold() -> None:
    """A list of them, as before; numbers of comparisons have one spelling."""
    assert written(EU, BIG, TEST) == ["region eq eu", "size gte 1000", "test exists"]


def test_groups_are_written_out() -> None:
    """Alternatives stay beside each other, and what is negated is turned inside out."""
    assert written({"any": [EU, BIG]}, TEST) == ["region eq eu", "or size gte 1000", "test exists"]
    assert written({"any": [{"all": [EU, BIG]}, TEST]}) == [
        "region eq eu",
        "or test exists",
        "size gte 1000",
        "or test exists",
    ]
    assert written({"not": {"all": [EU, BIG]}}) == ["region ne eu", "or not size gte 1000"]
    assert written({"not": {"any": [EU, {"not": TEST}]}}) == ["region ne eu", "test exists"]


def test_filters_go_into_the_books_and_back(books: Engine) -> None:
    """Applying the same again finds nothing to do."""
    found = (
        Filter("a", "prefix", ("x",), negated=True),
        Filter("b", "exists", alternative=True),
        Filter("c", "exists"),
    )
    assert as_filters(filters_json(found)) == found

    text = source({"any": [{"not": EU}, BIG]}, {"not": TEST}, {"property": "p", "op": "contains", "values": ["x", "y"]})
    assert apply_counts(books, text) == (6, 0, 0)
    assert apply_counts(books, text) == (0, 0, 6)


@pytest.mark.parametrize(
    ("entry", "code", "path"),
    [
        (EU | {"op": "like"}, "choice_unknown", "op"),
        (BIG | {"values": ["many"]}, "value_not_numeric", "values[0]"),
        (BIG | {"values": ["1", "2"]}, "values_count", "values"),
        (BIG | {"op": "prefix", "values": []}, "values_count", "values"),
        ({"any": []}, "field_missing", "any"),
        ({"any": [EU], "not": EU}, "filter_invalid", "any"),
        ({"any": [EU], "op": "eq"}, "field_unknown", "op"),
        ({"not": [EU]}, "not_mapping", "not"),
        ({"all": [EU | {"property": None}]}, "field_missing", "all[0].property"),
        ({"any": [{"all": [EU] * 9}, {"all": [EU] * 9}]}, "filters_too_many", "any"),
    ],
)
def test_filters_that_say_nothing_clear_are_refused(entry: object, code: str, path: str) -> None:
    """With the place of the fault."""
    with pytest.raises(Refused) as refused:
        read_catalog(source(entry).encode())

    assert (code, f"meters[0].filters[0].{path}") in {(p.code, p.field) for p in refused.value.problems}


def test_filters_too_deep_are_refused() -> None:
    """Three groups may stand inside each other."""
    entry: Mapping[str, object] = EU
    for _ in range(4):
        entry = {"not": entry}

    with pytest.raises(Refused) as refused:
        read_catalog(source(entry).encode())

    assert {problem.code for problem in refused.value.problems} == {"filter_invalid"}
