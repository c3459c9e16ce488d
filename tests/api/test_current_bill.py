"""``GET /v1/bill``: what a customer's current periods come to, by the functions of a close."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import httpx
import pytest
from sqlalchemy import Engine

from api.config import ApiParts
from clickhouse.client import UsageStore
from core.clock import ManualClock
from tests.api.conftest import Stream, serving
from tests.api.test_event_fate import Keys, Merchants, close, said

DOOR = "/v1/bill"
IN_NOVEMBER = datetime(2023, 11, 28, tzinfo=UTC)


@pytest.fixture
def parts(parts: ApiParts) -> ApiParts:
    """In the month of the events."""
    return replace(parts, clock=ManualClock(IN_NOVEMBER))


def test_the_bill_so_far_is_what_a_close_then_charges(
    *, api: httpx.Client, keys: Keys, stream: Stream, merchants: Merchants, books: Engine, usage_store: UsageStore
) -> None:
    """Two events of three tokens each: the same quantities, amounts and arithmetic as on the charge lines."""
    stream([said(merchants, "e-1"), said(merchants, "e-2")])

    answer = api.get(DOOR, params={"customer": "c-1"}, headers=keys["acme"])

    assert answer.status_code == 200, answer.text
    (bill,) = answer.json()["bills"]
    assert (bill["plan"], bill["period_start"], bill["period_end"]) == (
        "payg", "2023-11-01T00:00:00+00:00", "2023-12-01T00:00:00+00:00"
    )  # fmt: skip
    assert {line["meter"]: (line["quantity"], line["amount"], line["events"]) for line in bill["lines"]} == {
        "calls": ("2", "0.02", 2), "tokens": ("6", "3.00", 2)
    }  # fmt: skip
    assert (bill["total"], bill["total_minor"], bill["currency"]) == ("3.02", 302, "USD")
    close(books, usage_store)
    with books.connect() as connection:
        rows = connection.exec_driver_sql("SELECT meter, amount, tiers FROM charge_lines").all()
    charged = {meter: (f"{amount:.2f}", tiers) for meter, amount, tiers in rows}
    assert charged == {line["meter"]: (line["amount"], line["tiers"]) for line in bill["lines"]}


def test_a_customer_without_a_subscription_has_no_bills(api: httpx.Client, keys: Keys, merchants: Merchants) -> None:
    """It is known all the same."""
    assert merchants
    answer = api.get(DOOR, params={"customer": "c-2"}, headers=keys["acme"])

    assert (answer.status_code, answer.json()["bills"]) == (200, [])


def test_nothing_is_billed_before_a_subscription_begins(parts: ApiParts, keys: Keys, books: Engine) -> None:
    """The subscription begins with 2023."""
    with serving(replace(parts, clock=ManualClock(datetime(2022, 12, 31, tzinfo=UTC)))) as early:
        answer = early.get(DOOR, params={"customer": "c-1"}, headers=keys["acme"])

    assert (answer.status_code, answer.json()["bills"]) == (200, [])


def test_a_line_that_cannot_be_charged_says_so_and_there_is_no_total(
    api: httpx.Client, keys: Keys, merchants: Merchants, books: Engine
) -> None:
    """A price in another currency than the subscription's is left to the reader to mend, and nothing is added up."""
    assert merchants
    with books.begin() as connection:
        connection.exec_driver_sql("UPDATE prices SET currency = 'XXX' WHERE currency = 'USD'")

    (bill,) = api.get(DOOR, params={"customer": "c-1"}, headers=keys["acme"]).json()["bills"]

    assert "total" not in bill
    assert all("XXX" in line["parked_reason"] and "amount" not in line for line in bill["lines"])


@pytest.mark.parametrize(
    ("merchant", "params", "status", "code"),
    [
        ("acme", {"customer": "nobody"}, 404, "customer_unknown"),
        ("acme", {}, 422, "parameter_missing"),
        ("acme", {"customer": "c-1", "at": "now"}, 422, "parameter_unknown"),
        ("other", {"customer": "c-2"}, 404, "customer_unknown"),
    ],
)
def test_a_question_that_cannot_be_answered_is_refused(
    *, api: httpx.Client, keys: Keys, merchant: str, params: dict[str, str], status: int, code: str
) -> None:
    """With its code; a customer of another merchant is unknown."""
    answer = api.get(DOOR, params=params, headers=keys[merchant])

    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert api.get(DOOR, params=params).status_code == 401
