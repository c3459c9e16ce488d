"""What rating sees of the catalog."""

from __future__ import annotations

from datetime import UTC, date, datetime

import polars as pl
from sqlalchemy import Engine

from catalog.apply import apply_text
from catalog.pricing import PRICED_SUBSCRIPTIONS, load_priced_subscriptions
from core.db import transaction
from tests.catalog.builders import PLAN, SUBSCRIPTION, catalog_text, plan_text


def priced(books: Engine, version: int) -> pl.DataFrame:
    """The frame of a version."""
    with transaction(books) as connection:
        return load_priced_subscriptions(connection, version)


def test_an_empty_catalog_prices_nothing(books: Engine) -> None:
    """The frame has its columns even then."""
    frame = priced(books, 0)

    assert frame.is_empty()
    assert dict(frame.schema) == PRICED_SUBSCRIPTIONS


def test_a_row_says_everything_about_a_price_of_a_subscription(books: Engine) -> None:
    """Who, from when, which meter, which price."""
    apply_text(books, catalog_text())

    (row,) = priced(books, 1).drop(pl.selectors.ends_with("_id")).to_dicts()
    assert row == {
        "subject": "c-1",
        "zone": "Europe/Berlin",
        "currency": "USD",
        "starts_at": datetime(2023, 10, 31, 23, tzinfo=UTC),
        "ends_at": None,
        "anchor": date(2023, 11, 1),
        "plan": "payg",
        "meter": "tokens",
        "aggregation": "sum",
        "model": "per_unit",
        "definition": '{"model":"per_unit","unit_price":"0.5"}',
        "priced_from": None,
        "priced_until": None,
    }


def test_ids_are_those_of_the_books(books: Engine) -> None:
    """Each id leads back to its row."""
    apply_text(books, catalog_text())

    row = priced(books, 1).row(0, named=True)
    prefixes = {name: value.split("_")[0] for name, value in row.items() if name.endswith("_id")}
    assert prefixes == {
        "merchant_id": "mer",
        "subscription_id": "sub",
        "customer_id": "cus",
        "plan_id": "plan",
        "price_id": "price",
        "meter_id": "met",
    }


def test_all_subscriptions_meet_all_prices_of_their_plan(books: Engine) -> None:
    """Two subscriptions to a plan of two prices are four rows, sorted."""
    two_prices = PLAN.replace("prices: [", "prices: [{meter: gpu, model: per_unit, unit_price: 2}, ")
    customers = "{key: c-1, currency: USD}, {key: c-2, currency: USD}"
    subscriptions = f"{SUBSCRIPTION}, {{customer: c-2, plan: payg, start: 2023-12-05}}"
    source = catalog_text(plans=two_prices, customers=customers, subscriptions=subscriptions)
    apply_text(books, source + "skus: [{code: gpu}]\n")

    frame = priced(books, 1)
    assert frame.select("subject", "meter").sort("subject", "meter").rows() == [
        ("c-1", "gpu"),
        ("c-1", "tokens"),
        ("c-2", "gpu"),
        ("c-2", "tokens"),
    ]
    assert frame.equals(frame.sort("merchant_id", "subscription_id", "price_id"))


def test_a_version_keeps_its_prices_and_ends(books: Engine) -> None:
    """A price or an end that comes later is not seen from an earlier version."""
    apply_text(books, catalog_text())
    before = priced(books, 1)
    apply_text(books, catalog_text(plans=plan_text("model: per_unit, unit_price: 0.6")))
    apply_text(books, catalog_text(plans="", subscriptions=SUBSCRIPTION.replace("}", ", end: 2024-02-01}")))

    assert priced(books, 1).equals(before)
    assert priced(books, 2)["definition"].to_list() == ['{"model":"per_unit","unit_price":"0.6"}']
    assert priced(books, 2)["ends_at"].to_list() == [None]
    assert priced(books, 3)["ends_at"].to_list() == [datetime(2024, 1, 31, 23, tzinfo=UTC)]
