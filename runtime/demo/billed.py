"""What the product billed, read from its public stores: lines, invoices, and the events behind them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

import polars as pl
from sqlalchemy import Connection, text

from clickhouse.client import UsageStore
from core.money import Money

LINES = text("""
    SELECT m.code, i.subject, l.meter, l.quantity, l.amount_minor, i.currency
    FROM invoice_lines AS l JOIN invoices AS i USING (invoice_id) JOIN merchants AS m ON m.merchant_id = i.merchant_id
    WHERE i.period = :period AND l.kind = 'usage'
""")
INVOICES = text("""
    SELECT m.code, i.subject, i.number, i.total_minor, i.currency
    FROM invoices AS i JOIN merchants AS m USING (merchant_id)
    WHERE i.period = :period AND i.state = 'finalized' ORDER BY 1, 2
""")
PERIODS = text("""
    SELECT period_start, period_end, cutoff, array_agg(customer_id) AS customers
    FROM invoices WHERE period = :period AND state = 'finalized' GROUP BY period_start, period_end, cutoff
""")
EVENTS = """
    SELECT customer_id, toInt64(count()) AS events FROM usage_events
    WHERE fate = 'stored' AND stored_at <= {cutoff:DateTime64(6, 'UTC')}
        AND occurred_at >= {start:DateTime64(6, 'UTC')} AND occurred_at < {end:DateTime64(6, 'UTC')}
    GROUP BY customer_id
"""


@dataclass(frozen=True, slots=True)
class BilledLine:
    """One line of one invoice."""

    merchant: str
    customer: str
    meter: str
    quantity: Decimal
    amount: Money


@dataclass(frozen=True, slots=True)
class BilledInvoice:
    """One finalized invoice."""

    merchant: str
    customer: str
    number: str
    total: Money


def billed_lines(connection: Connection, period: str) -> list[BilledLine]:
    """Every invoice line of a period."""
    return [
        BilledLine(merchant, customer, meter, quantity, Money(minor, currency))
        for merchant, customer, meter, quantity, minor, currency in connection.execute(LINES, {"period": period})
    ]


def billed_invoices(connection: Connection, period: str) -> list[BilledInvoice]:
    """Every finalized invoice of a period, by merchant and customer."""
    return [
        BilledInvoice(merchant, customer, number, Money(minor, currency))
        for merchant, customer, number, minor, currency in connection.execute(INVOICES, {"period": period})
    ]


def billed_events(connection: Connection, store: UsageStore, period: str) -> int:
    """How many stored events lie in the periods of finalized invoices; each once, however many lines it is on."""
    total = 0
    for start, end, cutoff, customers in connection.execute(PERIODS, {"period": period}).all():
        total += _events_of(store, start, end, cutoff, customers)
    return total


def _events_of(store: UsageStore, start: datetime, end: datetime, cutoff: datetime, customers: list[str]) -> int:
    counted = store.query_frame(EVENTS, {"start": start, "end": end, "cutoff": cutoff})
    return int(counted.filter(pl.col("customer_id").is_in(customers))["events"].sum())
