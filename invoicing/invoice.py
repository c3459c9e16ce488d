"""An invoice as people and programs read it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal

from core.money import Money
from core.quantity import plain_text

Kind = Literal["usage", "adjustment"]


@dataclass(frozen=True, slots=True)
class InvoiceLine:
    """One line: what was used, what it costs exactly, and what that is in money."""

    position: int
    description: str
    price_id: str
    meter_id: str
    meter: str
    aggregation: str
    model: str
    quantity: Decimal
    unrounded: Decimal
    amount: Money
    tiers: list[dict[str, Any]]
    price: dict[str, Any]
    events: int
    windows: int
    input_hash: str
    kind: Kind = "usage"
    # Of an adjustment: the period that it belongs to, and what had been billed for that one and what it comes to now.
    for_period: str | None = None
    adjusts: dict[str, Any] | None = None

    @property
    def whole_quantity(self) -> Decimal:
        """The quantity that the tiers charge: that of an adjustment's whole period, not the difference."""
        return self.quantity if self.adjusts is None else Decimal(self.adjusts["new_quantity"])

    @property
    def billed_before(self) -> Decimal:
        """What had been billed of it, exactly: nothing, or what the earlier lines of an adjusted period came to."""
        return Decimal(0) if self.adjusts is None else Decimal(self.adjusts["old_amount"])


@dataclass(frozen=True, slots=True)
class Invoice:
    """A header with its lines; ``number`` and ``issued_at`` are there once it is finalized.

    ``subtotal`` is the sum of the lines, ``total`` what is owed: never below zero, for ``credit`` makes up for it.
    """

    invoice_id: str
    merchant_id: str
    merchant: str
    subscription_id: str
    customer_id: str
    subject: str
    plan: str
    number: str | None
    state: str
    period: str
    period_start: datetime
    period_end: datetime
    version: int
    subtotal: Money
    credit: Money
    total: Money
    run_id: str
    cutoff: datetime
    catalog_version: int
    created_at: datetime
    issued_at: datetime | None
    lines: tuple[InvoiceLine, ...]

    def period_of(self, line: InvoiceLine) -> tuple[datetime, datetime]:
        """From when until when a line's usage happened: the invoice's period, or the one that it adjusts."""
        if line.adjusts is None:
            return self.period_start, self.period_end
        start, end = (datetime.fromisoformat(line.adjusts[name]) for name in ("for_start", "for_end"))
        return start, end


def header_json(invoice: Invoice) -> dict[str, Any]:
    """The header for programs: money as text in major units and as minor units, instants in ISO 8601."""
    plain = ("invoice_id", "number", "state", "merchant", "merchant_id", "customer_id", "subject", "subscription_id")
    return {
        **{name: getattr(invoice, name) for name in plain},
        "plan": invoice.plan,
        "period": invoice.period,
        "period_start": invoice.period_start.isoformat(),
        "period_end": invoice.period_end.isoformat(),
        "version": invoice.version,
        "currency": invoice.total.currency,
        "subtotal": str(invoice.subtotal.decimal()),
        "credit": str(invoice.credit.decimal()),
        "total": str(invoice.total.decimal()),
        "total_minor": invoice.total.minor,
        "run_id": invoice.run_id,
        "cutoff": invoice.cutoff.isoformat(),
        "catalog_version": invoice.catalog_version,
        "issued_at": invoice.issued_at and invoice.issued_at.isoformat(),
    }


def line_json(line: InvoiceLine) -> dict[str, Any]:
    """A line for programs; every number that is not a count is a text."""
    return {
        "position": line.position,
        "kind": line.kind,
        "description": line.description,
        "meter": line.meter,
        "aggregation": line.aggregation,
        "quantity": plain_text(line.quantity),
        "unrounded": plain_text(line.unrounded),
        "amount": str(line.amount.decimal()),
        "amount_minor": line.amount.minor,
        "model": line.model,
        "price_id": line.price_id,
        "price": line.price,
        "tiers": line.tiers,
        "events": line.events,
        "windows": line.windows,
        "input_hash": line.input_hash,
        **({} if line.adjusts is None else {"for_period": line.for_period, "adjusts": line.adjusts}),
    }


def invoice_json(invoice: Invoice) -> dict[str, Any]:
    """The whole invoice for programs."""
    return {**header_json(invoice), "lines": [line_json(line) for line in invoice.lines]}
