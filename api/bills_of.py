"""On which invoice lines a window's usage stands, or why it is on none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Literal

from sqlalchemy import Connection, Row, text

from api.windows_of import WindowOf
from core.money import Money

Outcome = Literal["billed", "drafted", "late", "parked", "open", "unpriced"]

SUBSCRIPTIONS = text("""
    SELECT s.subscription_id, p.meter_id, bool_or(p.until_version IS NULL) AS priced
    FROM subscriptions AS s JOIN prices AS p ON p.plan_id = s.plan_id
    WHERE s.merchant_id = :merchant_id AND s.customer_id = :customer_id AND p.meter_id = ANY(:meter_ids)
        AND s.starts_at <= :minute AND (s.ends_at IS NULL OR s.ends_at > :minute)
    GROUP BY 1, 2
""")
# ``period`` names the month in which a period begins: that of the minute, in any zone, or one before. What came after
# the cut-off of its period is on the line of the first adjustment that counted it, if there is one.
LINES = text("""
    SELECT c.meter_id, c.subscription_id, c.period, c.period_start, c.period_end, c.parked_reason,
        coalesce(a.cutoff, c.cutoff) AS cutoff,
        i.invoice_id, i.number, i.state, i.currency, i.version, l.position, l.description, l.quantity, l.unrounded,
        l.amount_minor
    FROM charge_lines AS c
    LEFT JOIN LATERAL (
        SELECT s.for_period, s.period_start, s.cutoff FROM charge_adjustments AS s
        WHERE s.for_period = c.period AND s.subscription_id = c.subscription_id AND s.price_id = c.price_id
            AND c.cutoff < :stored_at AND s.cutoff >= :stored_at
        ORDER BY s.sequence LIMIT 1
    ) AS a ON true
    LEFT JOIN invoices AS i ON i.subscription_id = c.subscription_id
        AND i.period_start = coalesce(a.period_start, c.period_start)
    LEFT JOIN invoice_lines AS l ON l.invoice_id = i.invoice_id AND l.price_id = c.price_id
        AND l.for_period IS NOT DISTINCT FROM a.for_period
    WHERE c.period = ANY(:periods) AND c.subscription_id = ANY(:subscription_ids) AND c.merchant_id = :merchant_id
        AND c.meter_id = ANY(:meter_ids) AND c.period_start <= :minute AND :minute < c.period_end
    ORDER BY c.period, i.number, l.position
""")


@dataclass(frozen=True, slots=True)
class InvoiceLineOf:
    """The line of an invoice that a window's usage is part of."""

    invoice_id: str
    number: str | None
    state: str
    period: str
    line: int
    description: str
    quantity: Decimal
    unrounded: Decimal
    amount: Money


@dataclass(frozen=True, slots=True)
class BillOf:
    """What became of one window's usage; ``why`` is a sentence, and ``line`` is there once an invoice is."""

    meter: str
    outcome: Outcome
    why: str
    line: InvoiceLineOf | None


def bills_of(
    connection: Connection, merchant_id: str, customer_id: str, stored_at: datetime, windows: Sequence[WindowOf]
) -> list[BillOf]:
    """For each window what became of its usage; several when several subscriptions price the meter."""
    if not windows:
        return []
    minute = windows[0].minute
    bound: dict[str, Any] = {
        "merchant_id": merchant_id,
        "customer_id": customer_id,
        "meter_ids": [window.meter_id for window in windows],
        "minute": minute,
        "stored_at": stored_at,
    }
    priced = connection.execute(SUBSCRIPTIONS, bound).all()
    bound["subscription_ids"] = [row.subscription_id for row in priced]
    bound["periods"] = months_around(minute)
    lines = connection.execute(LINES, bound).all()
    bills: list[BillOf] = []
    for window in windows:
        own = [bill_of_line(window, row, stored_at) for row in lines if row.meter_id == window.meter_id]
        charged = {row.subscription_id for row in lines if row.meter_id == window.meter_id}
        waiting = any(
            row.priced and row.meter_id == window.meter_id and row.subscription_id not in charged for row in priced
        )
        if waiting:
            own.append(BillOf(window.meter, "open", "its period is not closed yet", None))
        bills += own or [BillOf(window.meter, "unpriced", "no subscription of the customer prices this meter", None)]
    return bills


def months_around(minute: datetime) -> list[str]:
    """The months in which a period that holds the minute may begin, in any zone."""
    days = [minute + timedelta(days=days) for days in (1, 0, -1, -28, -31, -32)]
    return sorted({f"{day:%Y-%m}" for day in days})


def bill_of_line(window: WindowOf, row: Row[Any], stored_at: datetime) -> BillOf:
    """A charge line as what it means for an event stored at ``stored_at``."""
    if row.parked_reason is not None:
        return BillOf(window.meter, "parked", f"the charge for {row.period} is parked: {row.parked_reason}", None)
    if stored_at > row.cutoff:
        why = f"{row.period} was closed at {row.cutoff.isoformat()}, before the event was stored: it is carried over"
        return BillOf(window.meter, "late", why, None)
    if row.invoice_id is None or row.position is None:
        return BillOf(window.meter, "drafted", f"it is charged for {row.period}, and on no invoice yet", None)
    line = InvoiceLineOf(
        invoice_id=row.invoice_id,
        number=row.number,
        state=row.state,
        period=row.period,
        line=row.position,
        description=row.description,
        quantity=row.quantity,
        unrounded=row.unrounded,
        amount=Money(row.amount_minor, row.currency),
    )
    if row.state == "draft":
        return BillOf(window.meter, "drafted", f"it is on a draft for {row.period}, which has no number yet", line)
    return BillOf(
        window.meter, "billed", f"it is on line {row.position} of invoice {row.number or row.invoice_id}", line
    )
