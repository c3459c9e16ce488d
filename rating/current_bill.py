"""What a customer's periods would come to if they ended now: a close of the periods in progress, with writing off.

    bill = current_bill(books, store, "mer_…", "the customer's key", clock.now())

The functions are those of a close. What a close does besides, this leaves out: it does not wait for the stream, does
not look at every stored copy, and does not look for late usage of earlier periods.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Final

import polars as pl
from sqlalchemy import Connection, Engine

from catalog.pricing import load_priced_of_customer
from clickhouse.client import UsageStore
from core.db import transaction
from core.frames import checked
from core.period import Period, add_months, period_of_month
from rating.charge import RATED_LINES
from rating.derive import derive
from rating.due import with_periods
from rating.engine import rate
from rating.freeze import Freeze
from rating.inputs import DUE_PRICES
from rating.load_detail import load_detail
from rating.load_usage import load_usage
from rating.park import park_subscriptions
from rating.seen_now import Seen, plain_in_progress, see

NO_LINES: Final = pl.DataFrame(schema=RATED_LINES)


@dataclass(frozen=True, slots=True, eq=False)
class CurrentBill:
    """RATED_LINES of the periods that hold an instant, by all that was stored until ``cutoff``."""

    customer_id: str
    cutoff: datetime
    lines: pl.DataFrame


def current_bill(books: Engine, store: UsageStore, merchant_id: str, subject: str, now: datetime) -> CurrentBill | None:
    """The charge lines of a customer's periods that hold ``now``; writes nothing. None when nobody has the key.

    Lines of advance or one-time prices are parked, as in a close; hours and days to come count as without usage. A
    block that is announced meanwhile may be missing, as it might a moment earlier. Raises ``Transient``.
    """
    with transaction(books) as connection:
        seen = see(connection, merchant_id, subject)
        if seen is None:
            return None
        prices = prices_of(connection, seen, merchant_id, now)
    freeze = Freeze(now, seen.cutoff, seen.version)
    if prices.is_empty():
        return CurrentBill(seen.customer_id, freeze.cutoff, NO_LINES)
    usage = derive(books, store, load_usage(store, prices, freeze.cutoff), prices, freeze)
    detail, usage = load_detail(books, store, usage, prices, freeze)
    return CurrentBill(seen.customer_id, freeze.cutoff, park_subscriptions(rate(usage, prices, detail)))


def prices_of(connection: Connection, seen: Seen, merchant_id: str, now: datetime) -> pl.DataFrame:
    """DUE_PRICES of a customer's periods that hold an instant."""
    if seen.plain:
        return plain_in_progress(seen, now)
    return in_progress(load_priced_of_customer(connection, seen.version, merchant_id, seen.customer_id), now)


def in_progress(priced: pl.DataFrame, now: datetime) -> pl.DataFrame:
    """The prices (DUE_PRICES) of the periods that hold an instant."""
    calendars = priced.select("anchor", "zone").unique().rows()
    holding = (pl.col("period_start") <= now) & (pl.col("period_end") > now)
    # A period begins in the month of the instant or the one before; by a clock ahead of UTC, perhaps in the next.
    months = [add_months(date(now.year, now.month, 1), step) for step in (-1, 0, 1)]
    parts = [
        with_periods(priced, month).filter(holding)
        for month in months
        if any(holds(period_of_month(anchor, month, zone), now) for anchor, zone in calendars)
    ]
    return checked(pl.concat(parts), DUE_PRICES) if parts else pl.DataFrame(schema=DUE_PRICES)


def holds(period: Period | None, now: datetime) -> bool:
    """Whether a whole period holds an instant."""
    return period is not None and period.holds(now)
