"""Loads the frozen quantities of all due prices at once."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import polars as pl

from clickhouse.client import UsageStore
from clickhouse.errors import UsageStoreError
from clickhouse.usage import usage_for_period
from core.frames import checked
from rating.charge import QUANTITY
from rating.inputs import USAGE

SCOPE = (
    "subscription_id",
    "price_id",
    "merchant_id",
    "customer_id",
    "meter_id",
    "aggregation",
    "period_start",
    "period_end",
)
# What ClickHouse says when a sum does not fit Decimal(38, 12).
TOO_LARGE = "DECIMAL_OVERFLOW"


def load_usage(store: UsageStore, prices: pl.DataFrame, cutoff: datetime) -> pl.DataFrame:
    """USAGE of every row of DUE_PRICES, from the windows stored until ``cutoff``.

    A quantity that does not fit 26 digits becomes a ``problem`` of its own row; the rest is loaded all the same.
    """
    scopes = prices.select(SCOPE)
    return checked(measured_or_too_large(scopes, lambda some: usage_for_period(store, some, cutoff)), USAGE)


def measured_or_too_large(scopes: pl.DataFrame, measure: Callable[[pl.DataFrame], pl.DataFrame]) -> pl.DataFrame:
    """One question for all scopes, answered as USAGE; where one of them overflows, it is found by halving."""
    try:
        found = measure(scopes)
    except UsageStoreError as error:
        if error.name != TOO_LARGE:
            raise
        if scopes.height == 1:
            return too_large(scopes)
        half = scopes.height // 2
        return pl.concat([measured_or_too_large(part, measure) for part in (scopes[:half], scopes[half:])])
    nothing = {"problem": pl.lit(None, dtype=pl.String), "corrected_from": pl.lit(None, dtype=QUANTITY)}
    return found.with_columns(**nothing).select(list(USAGE))


def too_large(scopes: pl.DataFrame) -> pl.DataFrame:
    """Rows of USAGE that say that their quantity cannot be written."""
    return scopes.select(
        "subscription_id",
        "price_id",
        quantity=pl.lit(0, dtype=QUANTITY),
        events=pl.lit(0, dtype=pl.UInt64),
        windows=pl.lit(0, dtype=pl.UInt64),
        problem=pl.lit("the quantity does not fit 26 digits before the point; nothing was cut"),
        corrected_from=pl.lit(None, dtype=QUANTITY),
    )
