"""What stands against a change."""

from __future__ import annotations

import pytest
from sqlalchemy import Engine

from catalog.apply import apply_text
from core.errors import Conflict, Refused
from tests.catalog.builders import CUSTOMER, PLAN, PRICE, SUBSCRIPTION, apply_counts, bill, catalog_text, plan_text

OTHER_PLAN = f"{{code: pro, currency: USD, prices: [{PRICE}]}}"


def test_a_billed_price_cannot_change(books: Engine) -> None:
    """The refusal names the price and says what to do instead."""
    apply_text(books, catalog_text())
    bill(books, "0.5")

    with pytest.raises(Conflict) as conflict:
        apply_text(books, catalog_text(plans=plan_text("model: per_unit, unit_price: 0.6")))

    (problem,) = conflict.value.problems
    assert (conflict.value.code, conflict.value.status) == ("price_already_billed", 409)
    assert problem.field == "plans[0].prices[0]"
    assert "declare another version of it with a 'from'" in problem.message
    assert apply_counts(books, catalog_text()) == (0, 0, 6)


def test_a_price_that_replaced_a_billed_one_can_change(books: Engine) -> None:
    """Only the price that was charged is fixed, not its successors."""
    apply_text(books, catalog_text())
    apply_text(books, catalog_text(plans=plan_text("model: per_unit, unit_price: 0.6")))
    bill(books, "0.5")

    assert apply_counts(books, catalog_text(plans=plan_text("model: per_unit, unit_price: 0.7"))) == (0, 1, 5)


def test_a_price_of_a_parked_line_can_be_mended(books: Engine) -> None:
    """A line without an amount was never billed, and may wait for just this change."""
    apply_text(books, catalog_text())
    bill(books, "0.5", amount="")

    assert apply_counts(books, catalog_text(plans=plan_text("model: per_unit, unit_price: 0.7"))) == (0, 1, 5)


@pytest.mark.parametrize(
    ("parts", "code", "path"),
    [
        (
            {"plans": "{code: payg, currency: EUR}", "customers": CUSTOMER.replace("USD", "EUR")},
            "plan_currency_fixed",
            "plans[0].currency",
        ),
        ({"customers": CUSTOMER.replace("Europe/Berlin", "Asia/Tokyo")}, "customer_zone_fixed", "customers[0].zone"),
        (
            {"subscriptions": "{customer: c-1, plan: payg, start: 2023-12-01}"},
            "subscriptions_overlap",
            "subscriptions[0]",
        ),
        (
            {"plans": OTHER_PLAN, "subscriptions": "{customer: c-1, plan: pro, start: 2024-12-01}"},
            "subscriptions_overlap",
            "subscriptions[0]",
        ),
    ],
)
def test_what_would_make_old_invoices_wrong_is_a_conflict(
    books: Engine, parts: dict[str, str], code: str, path: str
) -> None:
    """Currency, zone and the days of a subscription are fixed once there is one; no event is sold twice."""
    apply_text(books, catalog_text())

    with pytest.raises(Conflict) as conflict:
        apply_text(books, catalog_text(**parts))

    assert conflict.value.code == code
    assert path in [problem.field for problem in conflict.value.problems]


def test_a_customer_moves_to_another_plan(books: Engine) -> None:
    """The old subscription is ended on the day on which the new one starts."""
    apply_text(books, catalog_text())
    moved = (
        "{customer: c-1, plan: payg, start: 2023-11-01, end: 2024-01-01}, {customer: c-1, plan: pro, start: 2024-01-01}"
    )

    assert apply_counts(books, catalog_text(plans=f"{PLAN}, {OTHER_PLAN}", subscriptions=moved)) == (3, 1, 5)


def test_an_end_cannot_be_moved(books: Engine) -> None:
    """A subscription ends once; without an end in the file it stays ended."""
    ended = SUBSCRIPTION.replace("}", ", end: 2024-02-01}")
    apply_text(books, catalog_text(subscriptions=ended))

    with pytest.raises(Conflict) as conflict:
        apply_text(books, catalog_text(subscriptions=ended.replace("2024-02-01", "2024-03-01")))

    assert conflict.value.code == "subscription_end_fixed"
    assert apply_counts(books, catalog_text()) == (0, 0, 6)


def test_a_new_price_that_sells_a_meter_twice_is_a_conflict(books: Engine) -> None:
    """Two plans of one customer may run side by side only as long as they sell different meters."""
    side = "{code: side, currency: USD}"
    both = f"{SUBSCRIPTION}, {{customer: c-1, plan: side, start: 2023-11-15}}"
    apply_text(books, catalog_text(plans=f"{PLAN}, {side}", subscriptions=both))

    with pytest.raises(Conflict) as conflict:
        apply_text(books, catalog_text(plans=f"{{code: side, currency: USD, prices: [{PRICE}]}}", subscriptions=""))

    assert conflict.value.problems[0].code == "subscriptions_overlap"


@pytest.mark.parametrize(
    ("parts", "code", "path"),
    [
        ({"meters": ""}, "meter_unknown", "plans[0].prices[0].meter"),
        ({"plans": ""}, "plan_unknown", "subscriptions[0].plan"),
        ({"customers": ""}, "customer_unknown", "subscriptions[0].customer"),
        ({"customers": CUSTOMER.replace("USD", "EUR")}, "currency_differs", "subscriptions[0].plan"),
    ],
)
def test_names_that_lead_nowhere_are_refused(books: Engine, parts: dict[str, str], code: str, path: str) -> None:
    """A reference is looked up in the file and in the books."""
    with pytest.raises(Refused) as refused:
        apply_text(books, catalog_text(**parts))

    assert [(problem.code, problem.field) for problem in refused.value.problems] == [(code, path)]
