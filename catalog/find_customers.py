"""Whose usage a question is about: ids of customers, by which usage lies in order, for the merchant's own keys."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, select, true

from catalog.tables import customers, meters


def find_customer_ids(connection: Connection, merchant_id: str, subjects: Sequence[str]) -> dict[str, str]:
    """The ids behind some keys, by key; keys that nobody has are left out.

    A key keeps its id as long as there is a catalog (``write_customers``), so the rows that hold now tell all of them.
    """
    statement = select(customers.c.subject, customers.c.customer_id).where(
        customers.c.merchant_id == merchant_id,
        customers.c.subject.in_(subjects),
        customers.c.until_version.is_(None),
    )
    return {row.subject: row.customer_id for row in connection.execute(statement)}


def counts_distinct(connection: Connection, merchant_id: str, codes: Sequence[str]) -> bool:
    """Whether one of a merchant's meters, or of those with some codes, now counts distinct values."""
    statement = select(meters.c.meter_id).where(
        meters.c.merchant_id == merchant_id,
        meters.c.aggregation == "unique",
        meters.c.until_version.is_(None),
        meters.c.code.in_(codes) if codes else true(),
    )
    return connection.scalars(statement.limit(1)).first() is not None
