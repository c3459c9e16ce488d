"""Numbers: per merchant, in order, without gap or twin, and told in the same transaction."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import Engine, text

import invoicing.finalize
from core.db import transaction
from invoicing.draft import draft, record_drafts
from invoicing.finalize import finalize_drafts, number_batch
from tests.invoicing.lines import charge_lines
from tests.rating.rows import due_price

NOW = datetime(2023, 12, 4, tzinfo=UTC)
PRICE = {"model": "per_unit", "unit_price": "1"}
MERCHANTS = text("INSERT INTO merchants (merchant_id, code, name) VALUES (:merchant_id, :code, :code)")


def write_drafts(books: Engine, merchant_id: str, subscriptions: range) -> None:
    """Drafts of one unit each, of a merchant that is made on first use."""
    due = [due_price(PRICE, n, merchant_id=merchant_id, subscription_id=f"sub_{n:04}") for n in subscriptions]
    with transaction(books) as connection:
        if subscriptions.start == 0:
            connection.execute(MERCHANTS, {"merchant_id": merchant_id, "code": merchant_id.removeprefix("mer_")})
        record_drafts(connection, draft(charge_lines([(row, "1") for row in due])))


def rows(books: Engine, sql: str) -> list[tuple[Any, ...]]:
    """The rows of a query."""
    with transaction(books) as connection:
        return [tuple(row) for row in connection.execute(text(sql))]


def numbers(books: Engine) -> list[str]:
    """All numbers given out, in their order."""
    return [row[0] for row in rows(books, "SELECT number FROM invoices WHERE number IS NOT NULL ORDER BY number")]


def test_drafts_are_numbered_in_order_and_told_once(books: Engine) -> None:
    """Three drafts get 1 to 3; the outbox speaks of each; a second call finds nothing."""
    write_drafts(books, "mer_acme", range(3))

    assert finalize_drafts(books, "2023-11", NOW) == 3
    assert finalize_drafts(books, "2023-11", NOW) == 0

    assert numbers(books) == ["ACME-000001", "ACME-000002", "ACME-000003"]
    assert rows(books, "SELECT DISTINCT state, issued_at FROM invoices") == [("finalized", NOW)]
    told = rows(books, "SELECT event_key, payload->>'number', (payload->>'total_minor')::int FROM outbox ORDER BY 1")
    assert told == [(f"invoice.finalized:inv_000{n}_20231101T0000", f"ACME-00000{n + 1}", 100) for n in range(3)]


def test_batches_and_later_calls_continue_the_numbers(books: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many transactions it takes, the numbers run on without a gap."""
    monkeypatch.setattr(invoicing.finalize, "BATCH_INVOICES_MAX", 4)
    write_drafts(books, "mer_acme", range(10))
    finalize_drafts(books, "2023-11", NOW)
    write_drafts(books, "mer_acme", range(10, 13))
    finalize_drafts(books, "2023-11", NOW)

    assert numbers(books) == [f"ACME-{n:06}" for n in range(1, 14)]


def number_and_fail(books: Engine) -> None:
    """Number a batch in a transaction that does not reach its end."""
    with transaction(books) as connection:
        assert number_batch(connection, "2023-11", "mer_acme", NOW) == 2
        raise RuntimeError("the power went")


def test_a_crash_in_the_middle_of_a_batch_loses_no_number(books: Engine) -> None:
    """The sequence, the invoices and the outbox go back together."""
    write_drafts(books, "mer_acme", range(2))
    with pytest.raises(RuntimeError, match="the power went"):
        number_and_fail(books)
    assert rows(books, "SELECT count(*) FROM outbox") == [(0,)]

    finalize_drafts(books, "2023-11", NOW)

    assert numbers(books) == ["ACME-000001", "ACME-000002"]


def test_merchants_number_apart(books: Engine) -> None:
    """Each merchant has a sequence and a prefix of its own; one of them may be finalized alone."""
    write_drafts(books, "mer_acme", range(2))
    with transaction(books) as connection:
        connection.execute(MERCHANTS, {"merchant_id": "mer_birch", "code": "birch"})
    write_drafts(books, "mer_birch", range(5, 6))

    assert finalize_drafts(books, "2023-11", NOW, ["mer_birch"]) == 1
    assert finalize_drafts(books, "2023-11", NOW) == 2
    assert numbers(books) == ["ACME-000001", "ACME-000002", "BIRCH-000001"]


def test_a_number_of_seven_digits_keeps_them_all(books: Engine) -> None:
    """Six digits are the least that is written, not the most."""
    write_drafts(books, "mer_acme", range(2))
    with transaction(books) as connection:
        connection.execute(text("INSERT INTO invoice_sequences VALUES ('mer_acme', 'ACME', 999999)"))

    finalize_drafts(books, "2023-11", NOW)

    assert sorted(numbers(books), key=len) == ["ACME-999999", "ACME-1000000"]


def test_two_who_number_at_once_give_no_number_twice(books: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sequence's lock puts them in line, batch by batch."""
    monkeypatch.setattr(invoicing.finalize, "BATCH_INVOICES_MAX", 5)
    write_drafts(books, "mer_acme", range(60))
    counts: list[int] = []
    threads = [threading.Thread(target=lambda: counts.append(finalize_drafts(books, "2023-11", NOW))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sum(counts) == 60
    assert numbers(books) == [f"ACME-{n:06}" for n in range(1, 61)]


def test_a_skipped_invoice_gets_no_number(books: Engine) -> None:
    """Nothing used, nothing numbered, nothing told."""
    with transaction(books) as connection:
        connection.execute(MERCHANTS, {"merchant_id": "mer_1", "code": "one"})
        record_drafts(connection, draft(charge_lines([(due_price(PRICE), "0")])))

    assert finalize_drafts(books, "2023-11", NOW) == 0
    assert rows(books, "SELECT state, number FROM invoices") == [("skipped", None)]
