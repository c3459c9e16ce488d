"""What a customer's periods would come to if they ended now: a close of the periods in progress, with writing off.

    bill = current_bill(books, store, "mer_…", "cus_…", clock.now())

The functions are those of a close. What a close does besides, this leaves out: it does not wait for the stream, does
not look at every stored copy, and does not look for late usage of earlier periods.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

import polars as pl
from sqlalchemy import Connection, Engine

from catalog.pricing import load_priced_of_customer
from catalog.version import current_version
from clickhouse.client import UsageStore
from core.db import transaction
from core.frames import checked
from core.period import Period, add_months, period_of_month
from rating.charge import RATED_LINES
from rating.derive import derive
from rating.due import with_periods
from rating.engine import rate
from rating.freeze import CUTOFF, Freeze
from rating.inputs import DUE_PRICES
from rating.load_detail import load_detail
from rating.load_usage import load_usage
from rating.park import park_subscriptions


@dataclass(frozen=True, slots=True, eq=False)
class CurrentBill:
    """RATED_LINES of the periods that hold an instant, by all that was stored until ``cutoff``."""

    cutoff: datetime
    lines: pl.DataFrame


def current_bill(books: Engine, store: UsageStore, merchant_id: str, customer_id: str, now: datetime) -> CurrentBill:
    """The charge lines of a customer's periods that hold ``now``; writes nothing. Raises ``Transient``.

    Lines of advance or one-time prices are parked, as in a close; hours and days to come count as without usage.
    """
    with transaction(books) as connection:
        freeze = seen_now(connection, now)
        priced = load_priced_of_customer(connection, freeze.catalog_version, merchant_id, customer_id)
    prices = in_progress(priced, now)
    if prices.is_empty():
        return CurrentBill(freeze.cutoff, pl.DataFrame(schema=RATED_LINES))
    usage = derive(books, store, load_usage(store, prices, freeze.cutoff), prices, freeze)
    detail, usage = load_detail(books, store, usage, prices, freeze)
    return CurrentBill(freeze.cutoff, park_subscriptions(rate(usage, prices, detail)))


def seen_now(connection: Connection, now: datetime) -> Freeze:
    """A freeze that waits for nobody: a block announced meanwhile may be missing, as it might a moment earlier."""
    return Freeze(now, connection.execute(CUTOFF).scalar_one(), current_version(connection))


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
