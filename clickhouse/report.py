"""Usage in buckets, for people: by minute, hour, day or month of any zone, or in total, and by group if asked."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

import polars as pl

from clickhouse.client import UsageStore

Grain = Literal["minute", "hour", "day", "month", "total"]

EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
LATEST = datetime(2106, 1, 1, tzinfo=UTC)
ROWS_MAX = 1_000_000

_BUCKETS = """
    SELECT
        toString(merchant_id) AS merchant_id, customer_id, subject, toString(meter_id) AS meter_id,
        toString(meter) AS meter, toString(aggregation) AS aggregation,
        toDateTime64(starts_at, 6, 'UTC') AS starts_at, toString(group_key) AS group_key, events, quantity
    FROM usage_buckets(
        grain = {{grain:String}}, zone = {{zone:String}}, by_group = {{by_group:Bool}},
        since = {{since:DateTime('UTC')}}, until = {{until:DateTime('UTC')}})
    WHERE {where}
    ORDER BY merchant_id, subject, meter, starts_at, group_key
    LIMIT {{limit:UInt64}}
"""


@dataclass(frozen=True, slots=True)
class UsageQuestion:
    """Which usage to show. Empty lists mean all; ``since`` and ``until`` are half-open and cut to whole minutes."""

    grain: Grain = "day"
    zone: str = "UTC"
    by_group: bool = False
    since: datetime = EARLIEST
    until: datetime = LATEST
    merchant_ids: tuple[str, ...] = ()
    subjects: tuple[str, ...] = ()
    meters: tuple[str, ...] = ()
    limit: int = ROWS_MAX


def usage_by(store: UsageStore, question: UsageQuestion) -> pl.DataFrame:
    """Exact usage, one row a merchant, customer, meter, bucket and (if asked) group.

    Columns: merchant_id, customer_id, subject, meter_id, meter, aggregation, starts_at (UTC), group_key ('' unless
    asked), events, quantity. Raises ``UsageStoreError`` for an unknown zone.
    """
    chosen = {
        "merchant_id": question.merchant_ids,
        "subject": question.subjects,
        "meter": question.meters,
    }
    filters = {column: list(values) for column, values in chosen.items() if values}
    where = " AND ".join(f"{column} IN {{{column}s:Array(String)}}" for column in filters) or "1"
    parameters: dict[str, object] = {
        "grain": question.grain,
        "zone": question.zone,
        "by_group": question.by_group,
        "since": whole_minute(question.since),
        "until": whole_minute(question.until),
        "limit": question.limit,
        **{f"{column}s": values for column, values in filters.items()},
    }
    return store.query_frame(_BUCKETS.format(where=where), parameters)


def whole_minute(instant: datetime) -> str:
    """The minute that an instant lies in, as ClickHouse reads a DateTime in UTC."""
    return instant.astimezone(UTC).strftime("%Y-%m-%d %H:%M:00")
