"""A merchant with a month of usage, on the real stores: applied through the catalog, stored as windows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import count

import polars as pl
from sqlalchemy import Engine

from catalog.apply import apply_text
from catalog.pricing import load_priced_subscriptions
from catalog.version import current_version
from clickhouse.client import UsageStore
from clickhouse.schema import USAGE_WINDOWS
from core.clock import ManualClock
from core.db import transaction
from runtime.close import LEDGER_ALONE, Closed, Completeness, close_books

PERIOD = "2023-11"
NOON = datetime(2023, 11, 20, 12, tzinfo=UTC)
AFTER = datetime(2023, 12, 4, tzinfo=UTC)


def merchant_yaml(code: str, subjects: list[str], extra: str = "", zone: str = "UTC", start: str = "2023-11-01") -> str:
    """A merchant that sells context and generated tokens by the token, to the given customers."""
    customers = "\n".join(f"  - {{key: {key}, name: {key}, zone: {zone}, currency: USD}}" for key in subjects)
    subscriptions = "\n".join(f"  - {{customer: {key}, plan: payg, start: {start}}}" for key in subjects)
    return f"""
merchant: {{code: {code}, name: {code}}}
meters:
  - {{code: context_tokens, event_type: llm.request, aggregation: sum, value: ContextTokens}}
  - {{code: generated_tokens, event_type: llm.request, aggregation: sum, value: GeneratedTokens}}
plans:
  - code: payg
    name: Pay as you go
    currency: USD
    prices:
      - {{meter: context_tokens, model: per_unit, unit_price: "0.0000025"}}
      - {{meter: generated_tokens, model: per_unit, unit_price: "0.00001"}}
customers:
{customers}
subscriptions:
{subscriptions}
{extra}"""


@dataclass
class Month:
    """The two stores, and what was put into them."""

    books: Engine
    store: UsageStore
    clock: ManualClock = field(default_factory=lambda: ManualClock(AFTER))
    tokens: count[int] = field(default_factory=count)

    def sell(self, yaml: str) -> None:
        """Apply a catalog file."""
        apply_text(self.books, yaml)

    def priced(self) -> pl.DataFrame:
        """Every subscription with its prices, as of now."""
        with transaction(self.books) as connection:
            return load_priced_subscriptions(connection, current_version(connection))

    def use(
        self,
        subject: str,
        meter: str,
        *quantities: Decimal | int | str,
        at: datetime = NOON,
        stored_at: datetime = NOON,
    ) -> None:
        """Store one window delta for each quantity, a minute apart."""
        priced = self.priced().filter((pl.col("subject") == subject) & (pl.col("meter") == meter))
        row = priced.row(0, named=True)
        rows = [
            {
                "merchant_id": row["merchant_id"],
                "customer_id": row["customer_id"],
                "subject": subject,
                "meter_id": row["meter_id"],
                "meter": meter,
                "aggregation": "sum",
                "window_start": at + timedelta(minutes=minute),
                "group_key": "",
                "stored_at": stored_at,
                "incarnation": 1,
                "partition": 0,
                "block_first": next(self.tokens),
                "events": 1,
                "sum": Decimal(quantity),
                "min": Decimal(quantity),
                "max": Decimal(quantity),
                "last_at": at,
                "last_key": bytes(16),
                "last": Decimal(quantity),
                "restates": 0,
            }
            for minute, quantity in enumerate(quantities)
        ]
        self.store.insert_frame(
            "usage_windows", pl.DataFrame(rows, schema=USAGE_WINDOWS), token=f"t{next(self.tokens)}"
        )

    def close(
        self,
        period: str = PERIOD,
        *,
        merchant: str | None = None,
        commit: bool = True,
        completeness: Completeness = LEDGER_ALONE,
        on_step: Callable[[str], None] = lambda _step: None,
    ) -> Closed:
        """Close the month, as the command does."""
        return close_books(
            self.books,
            self.store,
            self.clock,
            period,
            merchant=merchant,
            commit=commit,
            completeness=completeness,
            on_step=on_step,
        )
