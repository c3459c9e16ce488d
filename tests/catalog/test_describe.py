"""A diff in words."""

from __future__ import annotations

import orjson
from sqlalchemy import Engine

from catalog.apply import apply_text
from catalog.describe import as_json, describe
from tests.catalog.builders import CUSTOMER, METER, catalog_text, plan_text, planned


def test_a_change_shows_old_and_new(books: Engine) -> None:
    """What is created has a plus, what changes a tilde with both values, the rest is counted."""
    apply_text(books, catalog_text())
    meters = METER.replace("sum", "max") + ", {code: calls, event_type: call, aggregation: count}"
    (diff,) = planned(books, catalog_text(meters=meters, plans=plan_text("model: per_unit, unit_price: 0.6")))

    assert list(describe(diff)) == [
        "merchant acme",
        "  + meter calls: event_type call; aggregation count; group_by []; filters []",
        "  ~ meter tokens: aggregation sum -> max",
        (
            '  ~ price payg/tokens: definition {"model":"per_unit","unit_price":"0.5"} -> '
            '{"model":"per_unit","unit_price":"0.6"}'
        ),
        "  = 4 unchanged",
    ]


def test_many_alike_are_counted(books: Engine) -> None:
    """A merchant with thousands of customers does not scroll the rest away."""
    customers = ", ".join(f"{{key: c-{number}, currency: USD}}" for number in range(1, 1004))
    (diff,) = planned(books, catalog_text(customers=customers))

    lines = list(describe(diff, shown_max=3))
    assert lines[5:9] == [
        "  + customer c-1: currency USD",
        "  + customer c-2: currency USD",
        "  + customer c-3: currency USD",
        "  + customer: 1,000 more",
    ]


def test_json_holds_every_change(books: Engine) -> None:
    """Programs get all of it, with the path of each change in the file."""
    apply_text(books, catalog_text())
    (diff,) = planned(books, catalog_text(customers=CUSTOMER.replace("One", "Uno")))

    assert orjson.loads(orjson.dumps(as_json(diff))) == {
        "merchant": "acme",
        "created": 0,
        "changed": 1,
        "unchanged": 5,
        "changes": [
            {
                "action": "change",
                "kind": "customer",
                "code": "c-1",
                "path": "customers[0]",
                "fields": [{"name": "name", "old": "One", "new": "Uno"}],
            }
        ],
    }
