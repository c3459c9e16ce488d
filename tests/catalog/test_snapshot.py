"""What the stream sees of the catalog."""

from __future__ import annotations

import pytest
from sqlalchemy import Engine

from catalog.apply import apply_text
from catalog.meter import Filter
from catalog.snapshot import SUBJECTS, Snapshot, current_version, load_snapshot
from core.db import transaction
from tests.catalog.builders import METER, catalog_text


def snapshot(books: Engine, version: int) -> Snapshot:
    """The snapshot of a version."""
    with transaction(books) as connection:
        return load_snapshot(connection, version)


def test_an_empty_catalog_has_an_empty_snapshot(books: Engine) -> None:
    """Before anything is declared the stream can run, and holds everything."""
    empty = snapshot(books, 0)

    assert (empty.version, empty.meters) == (0, ())
    assert empty.customers.is_empty()
    assert dict(empty.customers.schema) == SUBJECTS


def test_meters_come_with_all_they_say(books: Engine) -> None:
    """A meter is what was declared, SKUs among them, sorted by code."""
    meters = (
        "{code: tokens, event_type: llm.request, aggregation: sum, value: Tokens, group_by: [model, region],"
        " filters: [{property: region, op: in, values: [eu, us]}]}"
    )
    apply_text(books, catalog_text(meters=meters) + "skus: [{code: gpu}]\n")

    gpu, tokens = snapshot(books, 1).meters
    assert (gpu.code, gpu.event_type, gpu.aggregation, gpu.value_property) == ("gpu", "gpu", "sum", "amount")
    assert (tokens.code, tokens.event_type, tokens.aggregation) == ("tokens", "llm.request", "sum")
    assert (tokens.value_property, tokens.group_by) == ("Tokens", ("model", "region"))
    assert tokens.filters == (Filter("region", "in", ("eu", "us")),)
    assert tokens.expression is None


def test_an_expression_comes_and_goes_by_version(books: Engine) -> None:
    """A meter that works its value out is the same meter, in another version; another spelling is one more."""
    expression = "properties.Tokens * 2"
    apply_text(books, catalog_text())
    apply_text(books, catalog_text(meters=METER.replace("value: Tokens", f"expression: {expression}")))
    apply_text(books, catalog_text(meters=METER.replace("value: Tokens", f"expression: {expression} + 1")))
    apply_text(books, catalog_text())

    found = [snapshot(books, version).meters[0] for version in (1, 2, 3, 4)]
    assert [one.expression for one in found] == [None, expression, f"{expression} + 1", None]
    assert [one.value_property for one in found] == ["Tokens", None, None, "Tokens"]
    assert len({one.meter_id for one in found}) == 1


def test_a_version_always_gives_the_same_snapshot(books: Engine) -> None:
    """What comes later changes nothing of what a block was planned with."""
    apply_text(books, catalog_text())
    before = snapshot(books, 1)
    changed = catalog_text(
        meters="{code: tokens, event_type: llm.request, aggregation: max, value: Tokens}, "
        "{code: calls, event_type: llm.request, aggregation: count}",
        customers="{key: c-1, name: Uno, currency: USD}, {key: c-0, currency: EUR}",
    )
    apply_text(books, changed)

    assert snapshot(books, 1).meters == before.meters
    assert snapshot(books, 1).customers.equals(before.customers)
    assert [(m.code, m.aggregation) for m in snapshot(books, 2).meters] == [("calls", "count"), ("tokens", "max")]
    assert snapshot(books, 2).meters[1].meter_id == before.meters[0].meter_id
    assert snapshot(books, 2).customers["subject"].to_list() == ["c-0", "c-1"]
    assert before.customers["customer_id"][0] in snapshot(books, 2).customers["customer_id"]


def test_a_version_that_is_not_written_yet_has_no_snapshot(books: Engine) -> None:
    """It could still turn out otherwise."""
    with transaction(books) as connection:
        assert current_version(connection) == 0
        with pytest.raises(AssertionError, match="not written yet"):
            load_snapshot(connection, 1)
