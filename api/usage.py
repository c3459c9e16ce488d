"""A merchant's usage in buckets, with the instant until which it is complete."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

import polars as pl
from sqlalchemy import Engine

from catalog.find_customers import counts_distinct, find_customer_ids
from clickhouse.client import UsageStore
from clickhouse.report import UsageQuestion, usage_by
from core.db import transaction
from core.quantity import plain_text

ROWS_MAX = 10_000


def usage_json(
    books: Engine, store: UsageStore, merchant_id: str, question: UsageQuestion, complete_until: datetime | None
) -> dict[str, Any]:
    """The usage of one merchant, whatever merchants the question names. ``more`` says that the limit cut it short.

    ``complete_until`` must have been asked for before this. Raises ``Transient``.
    """
    asked = replace(question, merchant_ids=(merchant_id,), limit=question.limit + 1)
    with transaction(books) as connection:
        # Before usage is read: a customer who comes later has none that counted by now.
        ids = find_customer_ids(connection, merchant_id, question.subjects) if question.subjects else ()
        asked = replace(asked, customer_ids=ids, distinct=counts_distinct(connection, merchant_id, question.meters))
    nobody = bool(question.subjects) and not ids
    found = pl.DataFrame() if nobody else usage_by(store, asked)
    rows = [row_json(row, question) for row in found.head(question.limit).iter_rows(named=True)]
    return {
        "complete_until": None if complete_until is None else complete_until.isoformat(),
        "by": question.grain,
        "zone": question.zone,
        "more": found.height > question.limit,
        "usage": rows,
    }


def row_json(row: dict[str, Any], question: UsageQuestion) -> dict[str, Any]:
    """One bucket; its quantity is text."""
    start = {} if question.grain == "total" else {"starts_at": row["starts_at"].isoformat()}
    group = {"group": row["group_key"]} if question.by_group else {}
    return {
        "customer": row["subject"],
        "customer_id": row["customer_id"] or None,
        "meter": row["meter"],
        "meter_id": row["meter_id"],
        "aggregation": row["aggregation"],
        **start,
        **group,
        "events": row["events"],
        "quantity": plain_text(row["quantity"]),
    }
