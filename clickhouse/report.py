"""Usage in buckets, for people: by minute, hour, day or month of any zone, or in total, and by group if asked."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import polars as pl

from clickhouse.bucket_sql import NEEDS_JOIN, NEEDS_VALUES, Grain, corrected_sql, plain_sql, values_sql
from clickhouse.client import UsageStore
from clickhouse.errors import UsageStoreError
from clickhouse.sums import with_quantity, with_values

__all__ = ["EARLIEST", "LATEST", "ROWS_MAX", "Grain", "UsageQuestion", "usage_by"]

EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
LATEST = datetime(2106, 1, 1, tzinfo=UTC)
ROWS_MAX = 1_000_000


@dataclass(frozen=True, slots=True)
class UsageQuestion:
    """Which usage to show. Empty lists mean all; ``since`` and ``until`` are half-open and cut to whole minutes.

    Rows lie in the order of merchants and customer ids: without ``customer_ids`` all of a merchant's are read.
    """

    grain: Grain = "day"
    zone: str = "UTC"
    by_group: bool = False
    since: datetime = EARLIEST
    until: datetime = LATEST
    merchant_ids: tuple[str, ...] = ()
    customer_ids: tuple[str, ...] = ()
    subjects: tuple[str, ...] = ()
    meters: tuple[str, ...] = ()
    limit: int = ROWS_MAX
    # Whether a meter is expected to count distinct values. A wrong guess costs time, never the answer.
    distinct: bool = True


def usage_by(store: UsageStore, question: UsageQuestion) -> pl.DataFrame:
    """Exact usage, one row a merchant, customer, meter, bucket and (if asked) group.

    Columns: merchant_id, customer_id, subject, meter_id, meter, aggregation, starts_at (UTC), group_key ('' unless
    asked), events, quantity. Raises ``UsageStoreError`` for an unknown zone.
    """
    joins, values = False, question.distinct
    while True:
        found = joined(store, question, values=values) if joins else plainly(store, question, values=values)
        unfit = NEEDS_JOIN if found is None else found["unfit"].max() or 0
        if found is not None and unfit == 0:
            return found.drop("unfit")
        # Each is asked for once at most: what was asked for is never missed again.
        joins, values = joins or unfit == NEEDS_JOIN, values or unfit == NEEDS_VALUES


def plainly(store: UsageStore, question: UsageQuestion, *, values: bool, each: bool = False) -> pl.DataFrame | None:
    """The answer if nothing was restated, with ``unfit`` as ``plain_sql`` says; None when a quantity does not fit.

    It may not fit because of rows that count no longer.
    """
    filters, parameters = bound(question)
    shape = {"by_group": question.by_group, "each": each}
    # In this order, as ``bucket_sql`` says.
    distinct = store.query_frame(values_sql(question.grain, filters, **shape), parameters) if values else None
    sums = unless_overflown(store, plain_sql(question.grain, filters, values=values, **shape), parameters)
    if sums is None:
        return None
    found = with_quantity(sums)
    return found if distinct is None else with_values(found, distinct)


def joined(store: UsageStore, question: UsageQuestion, *, values: bool) -> pl.DataFrame:
    """The answer whatever was restated; without ``values``, ``unfit`` may be NEEDS_VALUES."""
    filters, parameters = bound(question)
    sql = corrected_sql(question.grain, filters, by_group=question.by_group, values=values)
    return store.query_frame(sql, parameters)


def bound(question: UsageQuestion) -> tuple[dict[str, list[str]], dict[str, object]]:
    """The columns that a question filters, and its parameters."""
    columns = {
        "merchant_id": question.merchant_ids,
        "customer_id": question.customer_ids,
        "subject": question.subjects,
        "meter": question.meters,
    }
    filters = {column: list(values) for column, values in columns.items() if values}
    return filters, {
        "zone": question.zone,
        "since": whole_minute(question.since),
        "until": whole_minute(question.until),
        "limit": question.limit,
        **{f"{column}s": values for column, values in filters.items()},
    }


def unless_overflown(store: UsageStore, sql: str, parameters: dict[str, object]) -> pl.DataFrame | None:
    """The answer; None when a quantity does not fit."""
    try:
        return store.query_frame(sql, parameters)
    except UsageStoreError as error:
        if error.name != "DECIMAL_OVERFLOW":
            raise
        return None


def whole_minute(instant: datetime) -> str:
    """The minute that an instant lies in, as ClickHouse reads a DateTime in UTC."""
    return instant.astimezone(UTC).strftime("%Y-%m-%d %H:%M:00")
