"""Backfills whose events are on the move: a month that they touch is not closed over them."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import UTC, datetime, time, timedelta

from sqlalchemy import Connection

from core.period import add_months, parse_month
from ingest.backfill import MOVING, list_backfills
from rating.completeness import Gap

# Zones lie within this of UTC.
ZONES = timedelta(hours=15)


def moving_backfills(connection: Connection, period: str, merchant_ids: Collection[str] | None) -> Iterator[Gap]:
    """A gap for each backfill that is being closed or reverted and may have events in the month's periods.

    Periods are named after the month in which they begin, so the last of them end with the month after it.
    """
    month = parse_month(period)
    first = datetime.combine(month, time(), UTC) - ZONES
    end = datetime.combine(add_months(month, 2), time(), UTC) + ZONES
    for one in list_backfills(connection, states=MOVING):
        concerned = merchant_ids is None or one.merchant_id in merchant_ids
        if concerned and one.starts_at < end and one.ends_at > first:
            yield Gap("backfill", f"backfill {one.backfill_id} is {one.state}: its events are still on the move")
