"""What ``millrace close`` and ``millrace invoice`` say of late usage: waiting, adjusted, carried on as credit."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from sqlalchemy import Engine

from clickhouse.client import UsageStore
from tests.rating.late_month import come_late
from tests.rating.month import Month, merchant_yaml
from tests.runtime.commands.test_close import run, said

OCTOBER, NOVEMBER = (datetime(2023, number, 20, 12, tzinfo=UTC) for number in (10, 11))


@pytest.fixture
def month(books: Engine, usage_store: UsageStore, stack_env: None, monkeypatch: pytest.MonkeyPatch) -> Month:
    """Acme with a customer whose October is billed: one million context tokens for 2.50."""
    monkeypatch.setenv("COLUMNS", "160")
    made = Month(books, usage_store)
    made.sell(merchant_yaml("acme", ["code"], start="2023-10-01"))
    made.use("code", "context_tokens", 1_000_000, at=OCTOBER)
    run("close", "--period", "2023-10")
    return made


def explained(number: str) -> list[dict[str, Any]]:
    """The lines of an invoice that are no usage of its own period."""
    lines: list[dict[str, Any]] = said("invoice", number, "--explain")["lines"]
    return [line for line in lines if line["kind"] == "adjustment"]


def test_an_adjustment_is_told_shown_and_explained(month: Month) -> None:
    """By the close, on the invoice, and down to the windows of the old month, worked out again."""
    come_late(month, "code", "context_tokens", 123, at=OCTOBER)
    month.use("code", "context_tokens", 400_000, at=NOVEMBER)
    words = "Usage of October 2023 that arrived after its invoice: +123 context_tokens"
    assert "1 of them will have the difference on their next invoice" in run("close", "--period", "2023-10").stdout

    dry = said("close", "--period", "2023-11", "--dry-run")
    closed = run("close", "--period", "2023-11").stdout
    shown = run("invoice", "ACME-000002", "--explain").stdout

    (adjusted,) = dry["adjusted"]
    assert {name: adjusted[name] for name in ("for_period", "old_quantity", "new_quantity", "amount", "currency")} == {
        "for_period": "2023-10",
        "old_quantity": "1000000",
        "new_quantity": "1000123",
        "amount": "0.0003075",
        "currency": "USD",
    }
    assert "1 lines for earlier periods" in closed
    assert f"code: {words}, 0.00 USD" in closed
    for said_so in (
        words,
        "was billed 2.5 for 1000000, stored until",
        "2.5003075 - 2.5 = 0.0003075",
        "worked out again: agrees",
    ):
        assert said_so in shown
    assert "DOES NOT AGREE" not in shown
    (line,) = explained("ACME-000002")
    assert (line["for_period"], line["explanation"]["agrees"]) == ("2023-10", True)
    assert line["explanation"]["input_hash_agrees"] is True
    assert [window["quantity"] for window in line["explanation"]["windows"]] == ["1000123"]


def test_credit_is_said_on_both_invoices(month: Month) -> None:
    """What one leaves over, and what the other takes of it."""
    come_late(month, "code", "context_tokens", -800_000, at=OCTOBER)
    month.use("code", "context_tokens", 400_000, at=NOVEMBER)
    month.use("code", "context_tokens", 200_000, at=datetime(2023, 12, 20, tzinfo=UTC))
    for period in ("2023-11", "2023-12"):
        run("close", "--period", period)

    first, second = (run("invoice", f"ACME-00000{number}").stdout for number in (2, 3))

    assert "The lines add up to -1.00 USD: 1.00 USD is credit for the next invoices." in first
    assert "The lines add up to 0.50 USD, of which earlier credit pays 0.50 USD." in second
    assert said("invoice", "ACME-000003")["credit"] == "-0.50"


def test_a_close_says_who_waits_and_until_when(month: Month) -> None:
    """A month whose end lies in the grace is not due."""
    now = datetime.now(UTC)
    first = datetime(now.year, now.month, 1, tzinfo=UTC)
    before = datetime(first.year - (first.month == 1), first.month - 1 or 12, 1, tzinfo=UTC)
    month.sell("merchant: {code: acme, late_usage: {grace: 31d}}")

    outcome = said("close", "--period", f"{before:%Y-%m}", "--dry-run")
    printed = run("close", "--period", f"{before:%Y-%m}", "--dry-run").stdout

    (waiting,) = outcome["waiting"]
    assert (waiting["subscriptions"], outcome["drafted"] + outcome["skipped"]) == (1, 0)
    assert datetime.fromisoformat(waiting["due_at"]) > now
    assert f"1 subscriptions in their grace, until {waiting['due_at'][:10]}" in printed


def test_report_only_is_said_so(month: Month) -> None:
    """Late usage that nobody will be billed for."""
    month.sell("merchant: {code: acme, late_usage: {policy: report_only}}")
    come_late(month, "code", "context_tokens", 5, at=OCTOBER)

    printed = run("close", "--period", "2023-10").stdout

    assert "1 of them are only reported, as their merchant wants it" in printed
    assert (
        orjson.loads(run("close", "--period", "2023-10", "--json").stdout)["late"]["usage"][0]["policy"]
        == "report_only"
    )
