"""A merchant's usage in buckets, with the instant until which it is complete."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from api.freshness import Freshness
from api.remembered import Remembered
from clickhouse.client import UsageStore
from clickhouse.report import UsageQuestion, usage_by
from clickhouse.shared_usage import Owner, Row, SharedUsage
from clickhouse.top import TopCustomers, TopQuestion
from core.quantity import plain_text

ROWS_MAX = 10_000


class UsageAnswers:
    """Answers about one merchant's usage, whatever merchants a question names; shared by threads.

    ``complete_until`` is always asked for before usage is read: what is promised then must be in it.
    """

    def __init__(self, remembered: Remembered, store: UsageStore, freshness: Freshness) -> None:
        self._remembered = remembered
        self._store = store
        self._freshness = freshness
        self._shared = SharedUsage(store)
        self._top = TopCustomers(store)

    def usage(self, merchant_id: str, question: UsageQuestion) -> dict[str, Any]:
        """Usage in buckets. ``more`` says that the limit cut it short. Raises ``Transient``."""
        until = self._freshness.complete_until()
        found = self._find(merchant_id, question)
        return {
            "complete_until": said(until),
            "by": question.grain,
            "zone": question.zone,
            "more": len(found) > question.limit,
            "usage": [row_json(row, question) for row in found[: question.limit]],
        }

    def top(self, merchant_id: str, question: TopQuestion) -> dict[str, Any]:
        """The largest customers. ``more`` says that there are others. Raises ``Transient``."""
        until = self._freshness.complete_until()
        found = self._top.ask(replace(question, merchant_id=merchant_id, limit=question.limit + 1))
        return {
            "complete_until": said(until),
            "meter": question.meter,
            "more": found.height > question.limit,
            "customers": [customer_json(row) for row in found.head(question.limit).iter_rows(named=True)],
        }

    def _find(self, merchant_id: str, question: UsageQuestion) -> Sequence[Row]:
        distinct = self._remembered.counts_distinct(merchant_id, question.meters)
        asked = replace(question, limit=question.limit + 1, distinct=distinct)
        if not question.subjects:
            return usage_by(self._store, replace(asked, merchant_ids=(merchant_id,))).to_dicts()
        # Before usage is read: a customer who comes later has none that counted by now.
        ids = self._remembered.customer_ids(merchant_id, question.subjects)
        owners = [Owner(merchant_id, customer_id, subject) for subject, customer_id in ids.items()]
        if not owners:
            return []
        if len(owners) == 1:
            return self._shared.usage_by(replace(asked, subjects=()), owners[0])
        customer_ids = tuple(owner.customer_id for owner in owners)
        return usage_by(self._store, replace(asked, merchant_ids=(merchant_id,), customer_ids=customer_ids)).to_dicts()


def said(instant: datetime | None) -> str | None:
    """An instant as JSON has it."""
    return None if instant is None else instant.isoformat()


def customer_json(row: dict[str, Any]) -> dict[str, Any]:
    """One of the largest customers; a quantity is text."""
    quantity = {"quantity": plain_text(row["quantity"])} if "quantity" in row else {}
    aggregation = {"aggregation": row["aggregation"]} if "aggregation" in row else {}
    name = {"customer": row["subject"], "customer_id": row["customer_id"] or None}
    return name | aggregation | {"events": row["events"]} | quantity


def row_json(row: Row, question: UsageQuestion) -> dict[str, Any]:
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
