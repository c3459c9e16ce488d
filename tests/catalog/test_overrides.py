"""Prices of single subscriptions: declared, checked, kept by versions, and read within their days."""

from __future__ import annotations

import pytest
from sqlalchemy import Engine

from catalog.apply import apply_text
from catalog.pricing import load_priced_subscriptions
from catalog.version import current_version
from core.db import transaction
from core.errors import Conflict, Refused
from tests.catalog.builders import CUSTOMER, METER, PRICE, apply_counts, bill, catalog_text, signs

OTHER = "{code: calls, event_type: call, aggregation: count}"
NEXT = "{meter: tokens, from: 2024-01-01, model: per_unit, unit_price: 0.4}"
BOTH = f"{CUSTOMER}, {{key: c-2, name: Two, zone: Asia/Tokyo, currency: USD}}"


def own(*prices: str) -> str:
    """The subscription with prices of its own for the usual meter."""
    entries = ", ".join(f"{{meter: tokens, model: per_unit, {price}}}" for price in prices)
    return f"{{customer: c-1, plan: payg, start: 2023-11-01, prices: [{entries}]}}"


def spans(books: Engine, subject: str = "c-1") -> list[tuple[str, str | None, str | None]]:
    """What a customer pays: the unit price, and between which days, by the clocks of its zone."""
    with transaction(books) as connection:
        frame = load_priced_subscriptions(connection, current_version(connection))
    rows = frame.filter(frame["subject"] == subject).sort("priced_from", nulls_last=False)
    days = [
        tuple(None if at is None else str(at.date()) for at in pair)
        for pair in rows.select(
            rows["priced_from"].dt.convert_time_zone(rows["zone"][0]),
            rows["priced_until"].dt.convert_time_zone(rows["zone"][0]),
        ).iter_rows()
    ]
    prices = [text.split('"unit_price":"')[1].split('"')[0] for text in rows["definition"]]
    return [(price, since, until) for price, (since, until) in zip(prices, days, strict=True)]


def test_a_subscription_has_its_own_price_from_a_day_until_another(books: Engine) -> None:
    """Before and after it the plan's; other subscriptions do not see it."""
    applied = apply_text(
        books,
        catalog_text(
            customers=BOTH,
            subscriptions=own("unit_price: 0.1, from: 2023-12-01, until: 2024-03-01")
            + ", {customer: c-2, plan: payg, start: 2023-11-01}",
        ),
    )

    assert signs(applied)[-1] == "+override c-1 on payg from 2023-11-01/tokens from 2023-12-01"
    assert spans(books) == [
        ("0.5", None, "2023-12-01"),
        ("0.1", "2023-12-01", "2024-03-01"),
        ("0.5", "2024-03-01", None),
    ]
    assert spans(books, "c-2") == [("0.5", None, None)]


def test_a_price_without_days_holds_for_ever(books: Engine) -> None:
    """The plan's is never used; declaring the same again changes nothing."""
    source = catalog_text(subscriptions=own("unit_price: 0.1"))
    apply_text(books, source)

    assert spans(books) == [("0.1", None, None)]
    assert apply_counts(books, source) == (0, 0, 7)


def test_the_one_that_began_last_decides_and_after_its_end_the_plan(books: Engine) -> None:
    """Also when an earlier one would have gone on; and a version of the plan's price does not touch it."""
    apply_text(
        books,
        catalog_text(
            subscriptions=own("unit_price: 0.1", "unit_price: 0.2, from: 2024-02-01, until: 2024-04-01"),
        ),
    )
    apply_text(books, catalog_text(plans=f"{{code: payg, currency: USD, prices: [{PRICE}, {NEXT}]}}"))

    assert spans(books) == [
        ("0.1", None, "2024-02-01"),
        ("0.2", "2024-02-01", "2024-04-01"),
        ("0.5", "2024-04-01", None),
    ]


def test_what_was_billed_keeps_its_price(books: Engine) -> None:
    """A price for a billed period is refused; from the next period on it is not, nor is an end after it."""
    apply_text(books, catalog_text())
    bill(books, "0.5")
    for price in ("unit_price: 0.1", "unit_price: 0.1, from: 2023-11-01", "unit_price: 0.1, until: 2023-11-02"):
        with pytest.raises(Conflict) as conflict:
            apply_text(books, catalog_text(subscriptions=own(price)))
        (problem,) = conflict.value.problems
        assert (problem.code, problem.field) == ("period_already_billed", "subscriptions[0].prices[0]")

    assert apply_counts(books, catalog_text(subscriptions=own("unit_price: 0.1, from: 2023-11-02"))) == (1, 0, 6)
    later = "unit_price: 0.1, from: 2023-11-02, until: 2024-01-01"
    assert apply_counts(books, catalog_text(subscriptions=own(later))) == (0, 1, 6)
    assert spans(books)[-1] == ("0.5", "2024-01-01", None)


def test_old_catalog_versions_keep_their_prices(books: Engine) -> None:
    """A price that came later is not there as of a version before it."""
    apply_text(books, catalog_text())
    apply_text(books, catalog_text(subscriptions=own("unit_price: 0.1")))

    with transaction(books) as connection:
        before = load_priced_subscriptions(connection, 1)
    assert before["priced_from"].to_list() == [None]
    assert "0.5" in before["definition"][0]


AT = "subscriptions[0].prices[0]"


@pytest.mark.parametrize(
    ("price", "code", "path"),
    [
        ("meter: calls, model: per_unit, unit_price: 1", "override_without_price", f"{AT}.meter"),
        ("meter: tokens, model: per_unit, currencies: {EUR: {unit_price: 1}}", "currency_not_priced", AT),
        (
            "meter: tokens, model: matrix, group_by: [m], prices: [{group: {m: x}, unit_price: 1}], default: hold",
            "group_not_counted",
            f"{AT}.group_by",
        ),
        (
            "meter: tokens, model: per_unit, unit_price: 1, from: 2024-01-02, until: 2024-01-02",
            "end_before_start",
            f"{AT}.until",
        ),
        ("meter: tokens, model: per_unit, unit_price: -1", "value_negative", f"{AT}.unit_price"),
    ],
)
def test_a_price_that_could_not_be_charged_is_refused(books: Engine, price: str, code: str, path: str) -> None:
    """With the place in the file."""
    source = f"{{customer: c-1, plan: payg, start: 2023-11-01, prices: [{{{price}}}]}}"

    with pytest.raises(Refused) as refused:
        apply_text(books, catalog_text(meters=f"{METER}, {OTHER}", subscriptions=source))

    assert (code, path) in {(problem.code, problem.field) for problem in refused.value.problems}


def test_the_same_price_twice_is_refused(books: Engine) -> None:
    """Two of one meter from the same day on."""
    with pytest.raises(Refused) as refused:
        apply_text(books, catalog_text(subscriptions=own("unit_price: 0.1", "unit_price: 0.2")))

    assert [problem.code for problem in refused.value.problems] == ["given_twice"]
