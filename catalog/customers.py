"""Customers in the books: one row for each version of who they are."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl
from sqlalchemy import Connection, select

from catalog.change import Change, Known, Naming
from catalog.declaration import DEFAULT_ZONE, CustomerDeclaration
from catalog.read_frame import read_frame
from catalog.tables import customers
from catalog.version import close_rows
from core.bulk import copy_rows
from core.frames import Schema, checked
from core.ids import new_id

CUSTOMERS: Schema = {
    "merchant_id": pl.String(),
    "customer_id": pl.String(),
    "subject": pl.String(),
    "name": pl.String(),
    "zone": pl.String(),
    "currency": pl.String(),
}

ROWS: Schema = CUSTOMERS | {"from_version": pl.Int64()}

CUSTOMERS_QUERY = """
    SELECT merchant_id, customer_id, subject, name, zone, currency FROM customers
    WHERE from_version <= %(version)s AND (until_version IS NULL OR %(version)s < until_version)
        AND merchant_id IN (SELECT merchant_id FROM merchants WHERE %(all)s OR code = ANY(%(merchants)s))
"""

NAMING: Naming[CustomerDeclaration] = Naming(
    "customer",
    "customers",
    code=lambda customer: customer.key,
    says=lambda customer: {"name": customer.name, "zone": customer.zone, "currency": customer.currency},
)


def load_customers(connection: Connection, merchant_id: str) -> dict[str, Known[CustomerDeclaration]]:
    """A merchant's customers as they are now, by its own key for them."""
    columns = (customers.c.customer_id, customers.c.subject, customers.c.name, customers.c.zone, customers.c.currency)
    statement = select(*columns).where(customers.c.merchant_id == merchant_id, customers.c.until_version.is_(None))
    return {
        subject: Known(customer_id, CustomerDeclaration(subject, name, zone, currency))
        for customer_id, subject, name, zone, currency in connection.execute(statement)
    }


def load_customers_frame(
    connection: Connection, version: int, merchant_codes: Sequence[str] | None = None
) -> pl.DataFrame:
    """Customers as of ``version``, all merchants' or some: a frame of ``CUSTOMERS``, for copies kept elsewhere."""
    values = {"version": version, "all": merchant_codes is None, "merchants": list(merchant_codes or ())}
    found = read_frame(connection, CUSTOMERS_QUERY, values, CUSTOMERS)
    return checked(found.sort("merchant_id", "customer_id"), CUSTOMERS)


def write_customers(
    connection: Connection, merchant_id: str, version: int, changes: Sequence[Change[CustomerDeclaration]]
) -> dict[str, str]:
    """Create customers, or write down who they are from now on; returns all written ids by key."""
    close_rows(connection, customers.c.customer_id, (c.current.row_id for c in changes if c.current), version)
    rows = pl.DataFrame([customer_row(merchant_id, version, change) for change in changes], schema=ROWS)
    copy_rows(connection, customers, rows)
    return dict(rows.select("subject", "customer_id").iter_rows())


def customer_row(merchant_id: str, version: int, change: Change[CustomerDeclaration]) -> dict[str, object]:
    """The row that holds from ``version`` on."""
    declared, current = change.declared, change.current
    return {
        "customer_id": current.row_id if current else new_id("cus"),
        "from_version": version,
        "merchant_id": merchant_id,
        "subject": declared.key,
        "name": declared.name or (current.value.name if current else declared.key),
        "zone": zone_of(declared, current),
        "currency": declared.currency,
    }


def zone_of(declared: CustomerDeclaration, current: Known[CustomerDeclaration] | None) -> str:
    """The zone that a customer will have: as declared, else as it was, else UTC."""
    return declared.zone or (current.value.zone if current else None) or DEFAULT_ZONE
