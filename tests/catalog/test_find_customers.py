"""Customers by the merchant's own keys."""

from __future__ import annotations

from sqlalchemy import Engine, text

from catalog.apply import apply_text
from catalog.find_customers import counts_distinct, find_customer_ids
from core.db import transaction
from tests.catalog.builders import METER, catalog_text

UNIQUE = "{code: users, event_type: call, aggregation: unique, value: user}"
COUNT = "{code: calls, event_type: call, aggregation: count}"


def test_a_key_has_one_id_whatever_changes_about_its_customer(books: Engine) -> None:
    """So that usage found by the id is all usage of the key; unknown keys have none."""
    apply_text(
        books, catalog_text(customers="{key: c-1, zone: Europe/Berlin, currency: USD}, {key: c-2, currency: USD}")
    )
    with transaction(books) as connection:
        merchant_id = connection.scalar(text("SELECT merchant_id FROM merchants"))
        before = find_customer_ids(connection, merchant_id, ["c-1"])
    apply_text(books, catalog_text(customers="{key: c-1, name: Renamed, zone: Europe/Berlin, currency: USD}"))

    with transaction(books) as connection:
        ever = connection.scalars(text("SELECT DISTINCT customer_id FROM customers WHERE subject = 'c-1'")).all()
        assert find_customer_ids(connection, merchant_id, ["c-1", "c-9"]) == before
        assert list(before.values()) == list(ever)
        assert len(find_customer_ids(connection, merchant_id, ["c-1", "c-2"])) == 2
        assert find_customer_ids(connection, "mer_other", ["c-1"]) == {}


def test_meters_of_distinct_values_are_known(books: Engine) -> None:
    """Those asked for, or any of the merchant's."""
    apply_text(books, catalog_text(meters=f"{METER}, {UNIQUE}, {COUNT}"))
    with transaction(books) as connection:
        merchant_id = connection.scalar(text("SELECT merchant_id FROM merchants"))
        asked = {codes: counts_distinct(connection, merchant_id, codes) for codes in ((), ("users",), ("calls",))}

    assert asked == {(): True, ("users",): True, ("calls",): False}
