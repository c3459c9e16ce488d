"""On which invoice lines a window's usage stands, or why it is on none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Literal

from sqlalchemy import Connection, Row, text

from api.find_copies import Copy
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
        coalesce(a.cutoff, c.cutoff) AS cutoff, c.cutoff AS closed_at,
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

HAPPENED = {"retract": "taken back", "amend": "amended", "release": "released"}


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
    connection: Connection, merchant_id: str, copy: Copy, windows: Sequence[WindowOf], was: Copy | None = None
) -> list[BillOf]:
    """For each window what became of its usage; several when several subscriptions price the meter.

    ``copy`` is what counts; or a retraction, and ``was`` what counted until then: of that only bills are told that had
    it on them.
    """
    bills: list[BillOf] = []
    for window in windows:
        stored_at = window.counted_at if was is None else max(window.counted_at, copy.stored_at)
        bound: dict[str, Any] = {
            "merchant_id": merchant_id,
            "customer_id": (was or copy).customer_id,
            "meter_ids": [window.meter_id],
            "minute": window.minute,
            "stored_at": stored_at,
        }
        priced = connection.execute(SUBSCRIPTIONS, bound).all()
        bound["subscription_ids"] = [row.subscription_id for row in priced]
        bound["periods"] = months_around(window.minute)
        lines = connection.execute(LINES, bound).all()
        if was is not None:
            had = [row for row in lines if window.counted_at <= row.closed_at < copy.stored_at]
            bills += [bill_of_line(window, row, stored_at, copy) for row in had]
            continue
        own = [bill_of_line(window, row, stored_at, copy) for row in lines]
        charged = {row.subscription_id for row in lines}
        if any(row.priced and row.subscription_id not in charged for row in priced):
            own.append(BillOf(window.meter, "open", "its period is not closed yet", None))
        bills += own or [BillOf(window.meter, "unpriced", "no subscription of the customer prices this meter", None)]
    return bills


def months_around(minute: datetime) -> list[str]:
    """The months in which a period that holds the minute may begin, in any zone."""
    days = [minute + timedelta(days=days) for days in (1, 0, -1, -28, -31, -32)]
    return sorted({f"{day:%Y-%m}" for day in days})


def bill_of_line(window: WindowOf, row: Row[Any], stored_at: datetime, copy: Copy) -> BillOf:
    """A charge line as what it means for an event that was stored, or changed by ``copy``, at ``stored_at``."""
    if row.parked_reason is not None:
        return BillOf(window.meter, "parked", f"the charge for {row.period} is parked: {row.parked_reason}", None)
    if stored_at > row.cutoff:
        how = HAPPENED.get(copy.action, "stored") if stored_at == copy.stored_at else "filled in"
        why = f"{row.period} was closed at {row.cutoff.isoformat()}, before the event was {how}: it is carried over"
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
