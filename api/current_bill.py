"""What a customer's current periods come to so far, with the arithmetic of every line."""

from __future__ import annotations

from typing import Any

import polars as pl
from sqlalchemy import Engine

from api.freshness import Freshness
from clickhouse.client import UsageStore
from core.clock import Clock
from core.errors import Refused
from core.money import Money, to_money
from core.quantity import plain_text
from rating.charge import tiers_json
from rating.current_bill import current_bill
from rating.preview import amounts, arithmetic


class CurrentBills:
    """Answers about one merchant's customers; shared by threads."""

    def __init__(self, books: Engine, store: UsageStore, freshness: Freshness, clock: Clock) -> None:
        self._books = books
        self._store = store
        self._freshness = freshness
        self._clock = clock

    def ask(self, merchant_id: str, subject: str) -> dict[str, Any]:
        """The bill of each subscription whose period is in progress. Raises ``Refused`` (404) and ``Transient``."""
        until = self._freshness.complete_until()
        found = current_bill(self._books, self._store, merchant_id, subject, self._clock.now())
        if found is None:
            raise Refused("customer_unknown", f"there is no customer {subject[:80]!r}", 404)
        lines = found.lines.with_columns(tiers=tiers_json(pl.col("tiers")))
        bills: dict[str, list[dict[str, Any]]] = {}
        for line in lines.iter_rows(named=True):
            bills.setdefault(line["subscription_id"], []).append(line)
        return {
            "complete_until": None if until is None else until.isoformat(),
            "counted_until": found.cutoff.isoformat(),
            "customer": subject,
            "customer_id": found.customer_id,
            "bills": [bill_json(own) for own in bills.values()],
        }


def bill_json(lines: list[dict[str, Any]]) -> dict[str, Any]:
    """The lines of one subscription; without a total where one of them cannot be charged."""
    first = lines[0]
    told = {
        "subscription_id": first["subscription_id"],
        "plan": first["plan"],
        "period_start": first["period_start"].isoformat(),
        "period_end": first["period_end"].isoformat(),
        "lines": [line_json(line) for line in lines],
    }
    if any(line["parked_reason"] is not None for line in lines):
        return told
    total = sum((to_money(line["amount"], line["currency"]) for line in lines), Money(0, first["currency"]))
    return told | {"currency": total.currency, "total": str(total.decimal()), "total_minor": total.minor}


def line_json(line: dict[str, Any]) -> dict[str, Any]:
    """One price; numbers are text."""
    told = {
        "price_id": line["price_id"],
        "meter": line["meter"],
        "aggregation": line["aggregation"],
        "model": line["model"],
        "events": line["events"],
        "quantity": plain_text(line["quantity"]),
        "currency": line["currency"],
    }
    if line["parked_reason"] is not None:
        return told | {"parked_reason": line["parked_reason"]}
    return told | amounts(line["amount"], to_money(line["amount"], line["currency"])) | arithmetic(line)
