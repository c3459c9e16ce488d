"""Months on the real stores in which usage comes late: stored after a cut-off, and closed again a month later."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import text

from core.db import transaction
from invoicing.find import Filter, find_invoice, list_invoices
from invoicing.invoice import Invoice
from runtime.conservation.charges import charge_faults, invoice_faults, late_events
from tests.rating.month import Month


def rows(month: Month, sql: str) -> list[tuple[Any, ...]]:
    """The rows of a query on the books."""
    with transaction(month.books) as connection:
        return [tuple(row) for row in connection.execute(text(sql))]


def now_of_books(month: Month) -> datetime:
    """The instant by Postgres's clock, which decides what is late."""
    ((moment,),) = rows(month, "SELECT clock_timestamp()")
    return moment  # type: ignore[no-any-return]


def come_late(
    month: Month, subject: str, meter: str, *quantities: Decimal | int | str, at: datetime, minute: int = 0
) -> None:
    """Store window deltas of an old minute now."""
    month.use(subject, meter, *quantities, at=at + timedelta(minutes=minute), stored_at=now_of_books(month))


def close_month(month: Month, period: str) -> None:
    """Close a month a few days after its end."""
    year, number = map(int, period.split("-"))
    month.clock.instant = datetime(year + number // 12, number % 12 + 1, 4, tzinfo=month.clock.instant.tzinfo)
    month.close(period)


def late_and_checked(month: Month) -> int:
    """How many events are late and not billed yet; fails unless lines, adjustments and invoices agree with windows."""
    with transaction(month.books) as connection:
        assert charge_faults(connection, month.store) == []
        assert invoice_faults(connection) == []
        return late_events(connection, month.store, now_of_books(month))


def invoices(month: Month, period: str) -> list[Invoice]:
    """Every invoice of a period with its lines, by subject."""
    with transaction(month.books) as connection:
        found = [
            find_invoice(connection, one.invoice_id) for one in list_invoices(connection, Filter(period=period), 100)
        ]
    return sorted(found, key=lambda one: one.subject)


def lines(invoice: Invoice) -> Sequence[tuple[str, str, str, int]]:
    """What a reader looks at first: kind, description, quantity, minor units; lines of nothing are left out."""
    return [
        (line.kind, line.description, f"{line.quantity.normalize():f}", line.amount.minor)
        for line in invoice.lines
        if line.quantity
    ]
