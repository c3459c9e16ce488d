"""A price with a body for each of several currencies: the customer's currency chooses, and nobody guesses."""

from __future__ import annotations

from decimal import Decimal

import pytest
from sqlalchemy import Engine

from catalog.apply import apply_text
from clickhouse.client import UsageStore
from core.errors import Refused
from rating.engine import rate
from rating.preview import simulate
from tests.catalog.builders import catalog_text, plan_text
from tests.rating.month import Month
from tests.rating.rows import due_frame, due_price, usage_frame, used

BOTH = {"model": "per_unit", "currencies": {"EUR": {"unit_price": "0.9"}, "JPY": {"unit_price": "150"}}}
PLAN = plan_text("model: per_unit, currencies: {JPY: {unit_price: 150}, EUR: {unit_price: '0.90'}}")
CUSTOMERS = "{key: e, currency: EUR}, {key: j, currency: JPY}"
SUBSCRIPTIONS = "{customer: e, plan: payg, start: 2023-11-01}, {customer: j, plan: payg, start: 2023-11-01}"


def test_each_customer_is_billed_in_its_own_currency(books: Engine, usage_store: UsageStore) -> None:
    """One price, two bodies, and invoices in euros and in yen."""
    month = Month(books, usage_store)
    month.sell(catalog_text(plans=PLAN, customers=CUSTOMERS, subscriptions=SUBSCRIPTIONS))
    for subject in ("e", "j"):
        month.use(subject, "tokens", "1.5")

    lines = month.close().closing.lines.sort("subject")

    assert lines.select("currency", "amount").rows() == [("EUR", Decimal("1.35")), ("JPY", Decimal(225))]
    assert lines["price_id"].n_unique() == 1


def test_a_currency_without_a_body_is_refused_for_a_subscription(books: Engine) -> None:
    """By the path of the subscription that could not be billed."""
    source = catalog_text(plans=PLAN, customers="{key: d, currency: USD}", subscriptions=SUBSCRIPTIONS[:44])

    with pytest.raises(Refused) as refused:
        apply_text(books, source.replace("customer: e", "customer: d"))

    assert [(one.field, one.code) for one in refused.value.problems] == [("subscriptions[0].plan", "currency_differs")]
    assert "the plan is in EUR, JPY, the customer pays in USD" in refused.value.problems[0].message


def test_a_new_price_must_say_something_in_the_currencies_of_the_subscriptions(books: Engine) -> None:
    """Otherwise what they use from then on would be parked."""
    apply_text(books, catalog_text(plans=PLAN, customers=CUSTOMERS, subscriptions=SUBSCRIPTIONS))

    with pytest.raises(Refused) as refused:
        apply_text(
            books,
            "merchant: {code: acme}\nskus: [{code: gpu}]\nplans: [{code: payg, currency: USD, prices: "
            "[{meter: gpu, model: per_unit, currencies: {EUR: {unit_price: 1}}}]}]",
        )

    assert [(one.field, one.code) for one in refused.value.problems] == [("plans[0].prices", "currency_not_priced")]


def test_a_line_in_another_currency_is_parked_with_the_reason() -> None:
    """Rating does not rely on what the catalog has checked."""
    due = [due_price(BOTH, place, price_id="pri_1", currency=code) for place, code in enumerate(("EUR", "JPY", "USD"))]

    lines = rate(usage_frame([used(row, "2") for row in due]), due_frame(due))

    assert lines["amount"].to_list() == [Decimal("1.8"), Decimal(300), None]
    assert lines["parked_reason"][2] == "the price says nothing in USD; it has EUR, JPY"


def test_a_case_chooses_its_currency() -> None:
    """As tried out by whoever asks."""
    assert simulate({"price": BOTH, "currency": "JPY", "quantity": "2"})["amount"] == "300"
    with pytest.raises(Refused) as refused:
        simulate({"price": BOTH, "quantity": "2"})
    assert [(one.field, one.code) for one in refused.value.problems] == [("price.currencies", "currency_not_priced")]
