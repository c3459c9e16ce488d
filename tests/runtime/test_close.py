"""A month from usage to numbered invoices, closed twice, killed anywhere, and by two at once: billed once."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, text

from clickhouse.client import UsageStore
from core.db import transaction
from core.errors import Conflict, Refused
from core.money import Money
from invoicing.explain import explain, hash_inputs
from invoicing.find import Filter, find_invoice, list_invoices, total_invoices
from invoicing.invoice import Invoice, invoice_json
from runtime.close import Closed
from tests.rating.month import PERIOD, Month, merchant_yaml

STEPS = ("freeze", "prices", "claim", "rate", "record", "finalize")
CLOSE_AND_DIE = """
import os, signal, sys
from core.clock import ManualClock
from core.db import open_engine
from clickhouse.client import open_usage_store
from runtime.close import close_books
from tests.rating.month import AFTER, PERIOD

def die(step):
    if step == sys.argv[3]:
        os.kill(os.getpid(), signal.SIGKILL)

close_books(open_engine(sys.argv[1]), open_usage_store(sys.argv[2]), ManualClock(AFTER), PERIOD, on_step=die)
"""


@pytest.fixture
def month(books: Engine, usage_store: UsageStore) -> Month:
    """Acme with the token counts of a real trace, and a customer that used nothing."""
    made = Month(books, usage_store)
    made.sell(merchant_yaml("acme", ["code", "idle"]))
    made.use("code", "context_tokens", 18_000_000, 59_974)
    made.use("code", "generated_tokens", 245_896)
    return made


def invoices(month: Month) -> list[dict[str, Any]]:
    """Every invoice with its lines, as programs read it."""
    with transaction(month.books) as connection:
        found = list_invoices(connection, Filter(period=PERIOD), 100)
        return [invoice_json(find_invoice(connection, header.invoice_id)) for header in found]


def find(month: Month, reference: str) -> Invoice:
    """One invoice."""
    with transaction(month.books) as connection:
        return find_invoice(connection, reference)


def test_the_invoice_of_the_real_trace_is_exact_to_the_last_digit(month: Month) -> None:
    """2.50 and 10.00 dollars per million tokens give 45.15 and 2.46, together 47.61, and each can be explained."""
    closed = month.close()

    found = find(month, "ACME-000001")
    assert (closed.finalized, closed.closing.rated_before) == (1, 0)
    assert [(line.description, str(line.unrounded.normalize()), line.amount) for line in found.lines] == [
        ("context_tokens", "45.149935", Money(4515, "USD")),
        ("generated_tokens", "2.45896", Money(246, "USD")),
    ]
    assert (found.total, found.state, found.subject) == (Money(4761, "USD"), "finalized", "code")
    assert [explain(line).steps[0].sum() for line in found.lines] == [
        "18059974 × 0.0000025 = 45.149935",
        "245896 × 0.00001 = 2.45896",
    ]
    assert all(explain(line).agrees for line in found.lines)
    assert all(hash_inputs(found, line) == line.input_hash for line in found.lines)
    assert hash_inputs(found, replace(found.lines[0], quantity=Decimal(1))) != found.lines[0].input_hash


def test_who_used_nothing_has_a_skipped_invoice(month: Month) -> None:
    """Its two lines of zero are kept; it has no number."""
    month.close()

    with transaction(month.books) as connection:
        totals = total_invoices(connection, Filter("acme", PERIOD))
    assert [(total.state, total.count, str(total.amount)) for total in totals] == [
        ("finalized", 1, "47.61 USD"),
        ("skipped", 1, "0.00 USD"),
    ]


def test_closing_again_leaves_the_same_invoice(month: Month) -> None:
    """The same number and the same bytes, even when more usage has come in."""
    month.close()
    before = invoices(month)
    month.use("code", "context_tokens", 1_000_000)

    again = month.close()

    assert invoices(month) == before
    assert (again.finalized, again.drafts.invoices.height, again.closing.rated_before) == (0, 0, 2)


def test_a_dry_run_shows_the_invoices_and_writes_none(month: Month) -> None:
    """The drafts are those that a close would write."""
    dry = month.close(commit=False)
    assert invoices(month) == []

    real = month.close()

    assert dry.drafts.invoices.drop("run_id", "cutoff").equals(real.drafts.invoices.drop("run_id", "cutoff"))


@pytest.mark.parametrize("step", STEPS)
def test_a_close_killed_at_any_step_is_completed_by_the_next(
    month: Month, postgres_url: str, clickhouse_url: str, step: str
) -> None:
    """SIGKILL before each step: never half an invoice, and afterwards the same invoices as without it."""
    command = [sys.executable, "-c", CLOSE_AND_DIE, postgres_url, clickhouse_url, step]
    killed = subprocess.run(command, check=False, timeout=60, cwd=Path(__file__).parents[2])
    assert killed.returncode == -signal.SIGKILL
    for left in invoices(month):
        assert sum(line["amount_minor"] for line in left["lines"]) == left["total_minor"]

    month.close()

    found = invoices(month)
    assert [(one["number"], one["state"], one["total"]) for one in found] == [
        ("ACME-000001", "finalized", "47.61"),
        (None, "skipped", "0.00"),
    ]
    with transaction(month.books) as connection:
        told, open_runs, lines = connection.execute(
            text("""SELECT (SELECT count(*) FROM outbox), (SELECT count(*) FROM rating_runs WHERE state = 'claimed'),
                (SELECT count(*) FROM charge_lines)""")
        ).one()
    assert (told, open_runs, lines) == (1, 0, 4)


def test_of_two_closes_at_once_one_wins(month: Month) -> None:
    """The other is told so, and does nothing."""
    outcomes: list[Closed | Conflict] = []
    inside, may_go_on = threading.Event(), threading.Event()

    def hold(step: str) -> None:
        if step == "rate":
            inside.set()
            may_go_on.wait(30)

    def close(on_step: Callable[[str], None]) -> None:
        try:
            outcomes.append(month.close(on_step=on_step))
        except Conflict as conflict:
            outcomes.append(conflict)

    winner = threading.Thread(target=close, args=(hold,))
    winner.start()
    assert inside.wait(30)
    close(lambda _step: None)
    may_go_on.set()
    winner.join()

    assert [type(outcome) for outcome in outcomes] == [Conflict, Closed]
    assert [one["number"] for one in invoices(month)] == ["ACME-000001", None]


def test_one_parked_subscription_stops_no_other(month: Month) -> None:
    """It has no invoice and a reason; everybody else has theirs."""
    month.sell(merchant_yaml("dear", ["d-1"]).replace("0.0000025", "999999999999"))
    month.use("d-1", "context_tokens", 1_000_000)

    closed = month.close()

    assert closed.closing.lines["parked_reason"].drop_nulls().len() == 2
    assert [(one["subject"], one["total"]) for one in invoices(month)] == [("code", "47.61"), ("idle", "0.00")]


def test_one_merchant_can_be_closed_alone(month: Month) -> None:
    """The others stay open."""
    month.sell(merchant_yaml("birch", ["b-1"]))
    month.use("b-1", "context_tokens", 1_000_000)

    month.close(merchant="birch")

    assert [(one["number"], one["total"]) for one in invoices(month)] == [("BIRCH-000001", "2.50")]


@pytest.mark.parametrize(("period", "merchant"), [("2023-13", None), ("november", None), (PERIOD, "nobody")])
def test_a_month_or_merchant_that_is_none_is_refused(month: Month, period: str, merchant: str | None) -> None:
    """Nothing is closed by a slip of the hand."""
    with pytest.raises(Refused):
        month.close(period, merchant=merchant)


def test_an_unknown_invoice_is_refused(month: Month) -> None:
    """With the reference that was asked for."""
    with pytest.raises(Refused, match="ACME-000009"):
        find(month, "ACME-000009")
