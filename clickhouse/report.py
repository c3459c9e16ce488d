"""Usage in buckets, for people: by minute, hour, day or month of any zone, or in total, and by group if asked."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import polars as pl

from clickhouse.bucket_sql import NEEDS_JOIN, NEEDS_VALUES, Grain, corrected_sql, plain_sql
from clickhouse.client import UsageStore
from clickhouse.errors import UsageStoreError

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
    chosen = {
        "merchant_id": question.merchant_ids,
        "customer_id": question.customer_ids,
        "subject": question.subjects,
        "meter": question.meters,
    }
    filters = {column: list(values) for column, values in chosen.items() if values}
    parameters: dict[str, object] = {
        "zone": question.zone,
        "since": whole_minute(question.since),
        "until": whole_minute(question.until),
        "limit": question.limit,
        **{f"{column}s": values for column, values in filters.items()},
    }
    joins, values = False, question.distinct
    while True:
        text = corrected_sql if joins else plain_sql
        sql = text(question.grain, filters, by_group=question.by_group, values=values)
        found = store.query_frame(sql, parameters) if joins else unless_overflown(store, sql, parameters)
        unfit = NEEDS_JOIN if found is None else found["unfit"].max() or 0
        if found is not None and unfit == 0:
            return found.drop("unfit")
        # Each is asked for once at most: what was asked for is never missed again.
        joins, values = joins or unfit == NEEDS_JOIN, values or unfit == NEEDS_VALUES


def unless_overflown(store: UsageStore, sql: str, parameters: dict[str, object]) -> pl.DataFrame | None:
    """The answer; None when a quantity does not fit, which may be due to rows that count no longer."""
    try:
        return store.query_frame(sql, parameters)
    except UsageStoreError as error:
        if error.name != "DECIMAL_OVERFLOW":
            raise
        return None


def whole_minute(instant: datetime) -> str:
    """The minute that an instant lies in, as ClickHouse reads a DateTime in UTC."""
    return instant.astimezone(UTC).strftime("%Y-%m-%d %H:%M:00")
