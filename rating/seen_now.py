"""What a customer pays by at this moment, read from Postgres by one statement, which sees one snapshot.

Nothing of it is remembered from an earlier question, so that no price can be stale. Most customers have subscriptions
at the prices of their plans alone; their periods are told here, row by row, because a frame of a few rows costs as much
as one of thousands. The few others are left to ``catalog.pricing``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import lru_cache
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

import orjson
import polars as pl
from sqlalchemy import Connection

from catalog.price import price_text
from core.period import add_months, period_of_month
from rating.inputs import DUE_PRICES

TEXTS_KEPT: Final = 10_000
# What holds at the current version is what no version has ended, and only that is in the indexes. A subscription's end
# counts from the version on that set it. The cut-off is that of ``rating.freeze``, without its lock.
#
# One step after the other, however few rows Postgres expects of any: left to itself it began with the plans, and so
# read the subscriptions of everybody.
SEEN: Final = """
    WITH at AS MATERIALIZED (
        SELECT (SELECT version FROM catalog_version) AS version,
            (SELECT least(clock_timestamp(), min(intended_at) - interval '1 microsecond')
             FROM stream_blocks WHERE state = 'intent') AS cutoff
    ), c AS MATERIALIZED (
        SELECT customer_id, merchant_id, subject, zone, currency FROM customers
        WHERE merchant_id = %(merchant_id)s AND subject = %(subject)s AND until_version IS NULL
    ), s AS MATERIALIZED (
        SELECT subscription_id, plan_id, starts_at,
            CASE WHEN ended_version <= (SELECT version FROM at) THEN ends_at END AS ends_at
        FROM subscriptions
        WHERE merchant_id = %(merchant_id)s AND customer_id = (SELECT customer_id FROM c)
            AND from_version <= (SELECT version FROM at)
    )
    SELECT at.version, at.cutoff, c.customer_id, s.subscription_id, c.merchant_id, c.subject, c.zone, c.currency,
        s.starts_at, s.ends_at, l.code, p.price_id, p.meter_id, m.code,
        concat_ws(' ', m.aggregation, m.billed), p.model, p.definition::text, p.currency,
        EXISTS (SELECT FROM price_overrides o WHERE o.subscription_id = s.subscription_id AND o.until_version IS NULL)
    FROM at LEFT JOIN c ON true LEFT JOIN (
        s JOIN plans l ON l.plan_id = s.plan_id
        JOIN prices p ON p.plan_id = s.plan_id AND p.until_version IS NULL
        JOIN meters m ON m.meter_id = p.meter_id AND m.until_version IS NULL
    ) ON true
    ORDER BY s.subscription_id COLLATE "C", p.price_id COLLATE "C"
"""


class Row(NamedTuple):
    """A price of a subscription, as SEEN tells it; a customer without any has one row without ids."""

    version: int
    cutoff: datetime
    customer_id: str | None
    subscription_id: str | None
    merchant_id: str
    subject: str
    zone: str
    pays_in: str
    starts_at: datetime
    ends_at: datetime | None
    plan: str
    price_id: str
    meter_id: str
    meter: str
    aggregation: str
    model: str
    definition: str
    currency: str
    has_own: bool


@dataclass(frozen=True, slots=True)
class Seen:
    """A customer at a catalog version, and the instant until which usage counts."""

    version: int
    cutoff: datetime
    customer_id: str
    rows: Sequence[Row]

    @property
    def plain(self) -> bool:
        """Whether every subscription pays the one price that its plan has for each meter."""
        versions = Counter((row.subscription_id, row.meter_id) for row in self.rows)
        return not any(row.has_own for row in self.rows) and max(versions.values(), default=1) == 1


def see(connection: Connection, merchant_id: str, subject: str) -> Seen | None:
    """What is there now of the customer with a merchant's key; None where nobody has it."""
    said = {"merchant_id": merchant_id, "subject": subject}
    rows = [Row(*row) for row in connection.exec_driver_sql(SEEN, said)]
    first = rows[0]
    if first.customer_id is None:
        return None
    sold = rows if first.subscription_id is not None else []
    return Seen(first.version, first.cutoff, first.customer_id, sold)


def plain_in_progress(seen: Seen, now: datetime) -> pl.DataFrame:
    """The prices (DUE_PRICES) of the periods that hold an instant, of a customer who is ``plain``.

    The same as ``rating.current_bill.in_progress`` tells of the frames of ``catalog.pricing``.
    """
    assert seen.plain, "else versions and prices of its own decide"
    # As there: by a clock ahead of UTC a period may begin in the next month.
    months = [add_months(date(now.year, now.month, 1), step) for step in (-1, 0, 1)]
    due = [told for month in months for row in seen.rows if (told := due_price(row, month, now))]
    return pl.DataFrame(due, schema=DUE_PRICES, orient="row")


def due_price(row: Row, month: date, now: datetime) -> tuple[object, ...] | None:
    """A row of DUE_PRICES, if the period that begins in ``month`` holds an instant."""
    starts_at = row.starts_at.astimezone(UTC)
    period = period_of_month(starts_at.astimezone(ZoneInfo(row.zone)).date(), month, row.zone)
    if period is None or not period.holds(now):
        return None
    start = max(period.start, starts_at)
    end = period.end if row.ends_at is None else min(period.end, row.ends_at.astimezone(UTC))
    if not start <= now < end:
        return None
    definition = one_text(row.definition)
    currency = row.pays_in if '"currencies"' in definition else row.currency
    return (
        *(row.merchant_id, row.subscription_id, row.customer_id, row.subject, row.plan, row.price_id),
        *(row.meter_id, row.meter, row.aggregation, row.model, definition, currency, start, end),
    )


@lru_cache(TEXTS_KEPT)
def one_text(definition: str) -> str:
    """A price's definition in its one spelling."""
    return price_text(orjson.loads(definition))
