"""The checks of adjustments and credit: whatever is changed behind everybody's back is told."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from sqlalchemy import Engine, text

from clickhouse.client import UsageStore
from core.db import transaction
from runtime.conservation.charges import charge_faults, invoice_faults
from tests.rating.late_month import close_month, come_late
from tests.rating.month import Month, merchant_yaml

OCTOBER = datetime(2023, 10, 20, 12, tzinfo=UTC)


@pytest.fixture
def month(books: Engine, usage_store: UsageStore) -> Month:
    """Acme with two customers, whose October is billed."""
    made = Month(books, usage_store)
    made.sell(merchant_yaml("acme", ["a-1", "a-2"], start="2023-10-01"))
    made.use("a-1", "context_tokens", 1_000_000, at=OCTOBER)
    close_month(made, "2023-10")
    return made


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("UPDATE charge_adjustments SET new_quantity = 7, quantity = 7 - old_quantity", "was charged"),
        ("UPDATE charge_adjustments SET sequence = 2", "begin where the one before ended"),
        ("UPDATE charge_adjustments SET old_amount = 1, amount = new_amount - 1", "begin where the one before ended"),
        ("UPDATE invoice_lines SET unrounded = 1.001 WHERE kind = 'adjustment'", "adjustments are not on an invoice"),
        ("DELETE FROM charge_adjustments", "invoice lines"),
        ("DELETE FROM charge_prices", "charge lines have no price"),
        ("UPDATE invoices SET credit_minor = 1, total_minor = 1 WHERE total_minor = 0", "moved credit"),
        ("INSERT INTO credit_entries VALUES ('m', 'c', 'USD', 1, 'i', 5, 6)", "balances of credit"),
    ],
)
def test_a_tampered_adjustment_is_found(month: Month, change: str, words: str) -> None:
    """Windows, lines, chain, rounding and credit are held against each other."""
    come_late(month, "a-1", "context_tokens", 400_000, at=OCTOBER)
    close_month(month, "2023-11")
    with transaction(month.books) as connection:
        assert connection.execute(text(change)).rowcount > 0

    with transaction(month.books) as connection:
        found = [*map(str, charge_faults(connection, month.store)), *invoice_faults(connection)]

    assert any(words in fault for fault in found), found
