"""Finds invoices: one by number or id with its lines, or the headers of many."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, Select, func, or_, select

from catalog.tables import merchants
from core.errors import Refused
from core.money import Money
from invoicing.invoice import Invoice, InvoiceLine
from invoicing.tables import invoice_lines, invoices


@dataclass(frozen=True, slots=True)
class Filter:
    """Which invoices: of one merchant (by code), of one period, both or all."""

    merchant: str | None = None
    period: str | None = None


@dataclass(frozen=True, slots=True)
class Total:
    """How many invoices of one state and currency there are, and what they add up to."""

    state: str
    count: int
    amount: Money


def find_invoice(connection: Connection, reference: str, merchant: str | None = None) -> Invoice:
    """The invoice with this number or id; raises ``Refused`` when there is none, or more than one merchant's."""
    found = connection.execute(
        headers(Filter(merchant))
        .where(or_(invoices.c.invoice_id == reference, invoices.c.number == reference))
        .limit(2)
    ).all()
    if not found:
        raise Refused("invoice_unknown", f"there is no invoice {reference}", status=404)
    if len(found) > 1:
        raise Refused("invoice_ambiguous", f"several merchants have an invoice {reference}; name one")
    lines = connection.execute(
        select(invoice_lines)
        .where(invoice_lines.c.invoice_id == found[0].invoice_id)
        .order_by(invoice_lines.c.position)
    )
    return as_invoice(found[0], tuple(as_line(line, found[0].currency) for line in lines))


def list_invoices(connection: Connection, wanted: Filter, limit: int) -> list[Invoice]:
    """At most ``limit`` headers (without lines), by merchant, period and number."""
    order = (merchants.c.code, invoices.c.period, invoices.c.number.nulls_last(), invoices.c.invoice_id)
    return [as_invoice(row, ()) for row in connection.execute(headers(wanted).order_by(*order).limit(limit))]


def total_invoices(connection: Connection, wanted: Filter) -> list[Total]:
    """What all the invoices add up to, by state and currency."""
    columns = invoices.c
    statement = narrowed(
        select(columns.state, columns.currency, func.count(), func.sum(columns.total_minor)), wanted
    ).group_by(columns.state, columns.currency)
    rows = connection.execute(statement.order_by(columns.state, columns.currency))
    return [Total(state, count, Money(int(minor), currency)) for state, currency, count, minor in rows]


def headers(wanted: Filter) -> Select[Any]:
    """Invoices with the code of their merchant."""
    return narrowed(select(invoices, merchants.c.code.label("merchant")), wanted)


def narrowed(statement: Select[Any], wanted: Filter) -> Select[Any]:
    """The statement joined with merchants and kept to what is wanted."""
    joined = statement.join(merchants, merchants.c.merchant_id == invoices.c.merchant_id)
    if wanted.merchant is not None:
        joined = joined.where(merchants.c.code == wanted.merchant)
    return joined if wanted.period is None else joined.where(invoices.c.period == wanted.period)


def as_invoice(row: Row[Any], lines: tuple[InvoiceLine, ...]) -> Invoice:
    """A row of ``headers`` as the value that it stands for."""
    fields = dict(row._mapping)
    currency = fields.pop("currency")
    amounts = (Money(fields.pop(f"{name}_minor"), currency) for name in ("subtotal", "credit", "total"))
    subtotal, credit, total = amounts
    return Invoice(**fields, subtotal=subtotal, credit=credit, total=total, lines=lines)


def as_line(row: Row[Any], currency: str) -> InvoiceLine:
    """A row of ``invoice_lines`` as the value that it stands for."""
    fields = dict(row._mapping)
    del fields["invoice_id"], fields["merchant_id"]
    amount = Money(fields.pop("amount_minor"), currency)
    return InvoiceLine(**fields, amount=amount)
