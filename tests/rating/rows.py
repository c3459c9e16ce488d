"""Small frames for rating: what a test sets is what the test is about, the rest has a plain default."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import polars as pl

from rating.engine import rate
from rating.inputs import DUE_PRICES, USAGE

NOVEMBER = datetime(2023, 11, 1, tzinfo=UTC)
DECEMBER = datetime(2023, 12, 1, tzinfo=UTC)


def due_price(price: Mapping[str, object] | str, place: int = 0, **changes: object) -> dict[str, object]:
    """One row of DUE_PRICES: price number ``place`` of subscription number ``place``."""
    definition = price if isinstance(price, str) else json.dumps(price)
    model = "per_unit" if isinstance(price, str) else price["model"]
    row: dict[str, object] = {
        "merchant_id": "mer_1",
        "subscription_id": f"sub_{place}",
        "customer_id": f"cus_{place}",
        "subject": f"c-{place}",
        "plan": "payg",
        "price_id": f"pri_{place}",
        "meter_id": "met_1",
        "meter": "tokens",
        "aggregation": "sum",
        "model": model,
        "definition": definition,
        "currency": "USD",
        "period_start": NOVEMBER,
        "period_end": DECEMBER,
    }
    return row | changes


def used(row: Mapping[str, object], quantity: Decimal | str, problem: str | None = None) -> dict[str, object]:
    """The row of USAGE that belongs to a row of DUE_PRICES."""
    return {
        "subscription_id": row["subscription_id"],
        "price_id": row["price_id"],
        "quantity": Decimal(quantity),
        "events": 2,
        "windows": 1,
        "problem": problem,
        "corrected_from": None,
    }


def due_frame(rows: Sequence[Mapping[str, object]]) -> pl.DataFrame:
    """Rows as DUE_PRICES."""
    return pl.DataFrame(rows, schema=DUE_PRICES, orient="row")


def usage_frame(rows: Sequence[Mapping[str, object]]) -> pl.DataFrame:
    """Rows as USAGE."""
    return pl.DataFrame(rows, schema=USAGE, orient="row")


def rate_all(cases: Sequence[tuple[Mapping[str, object] | str, Decimal | str]]) -> list[dict[str, Any]]:
    """Rate pairs of price and quantity together, each as a subscription of its own."""
    due = [due_price(price, place) for place, (price, _) in enumerate(cases)]
    usage = [used(row, quantity) for row, (_, quantity) in zip(due, cases, strict=True)]
    return rate(usage_frame(usage), due_frame(due)).to_dicts()
