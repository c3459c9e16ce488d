"""Which subscriptions are due: those whose monthly period starts in the month that is closed, and has ended."""

from __future__ import annotations

from datetime import date, datetime

import polars as pl

from core.frames import checked
from core.period import period_of_month
from rating.charge import INSTANT
from rating.inputs import DUE_PRICES


def with_periods(priced: pl.DataFrame, month: date) -> pl.DataFrame:
    """Add period_start and period_end: of each subscription the period that starts in ``month`` in its own zone.

    Subscriptions without such a period are left out. A start or an end in the middle of a period cuts it short.
    Periods are worked out once per anchor and zone, of which a million subscriptions share few.
    """
    calendars = priced.select("anchor", "zone").unique()
    periods = [period_of_month(anchor, month, zone) for anchor, zone in calendars.iter_rows()]
    bounds = calendars.with_columns(
        pl.Series("period_start", [period and period.start for period in periods], INSTANT),
        pl.Series("period_end", [period and period.end for period in periods], INSTANT),
    ).drop_nulls()
    return (
        priced.join(bounds, on=["anchor", "zone"], maintain_order="left")
        .with_columns(
            period_start=pl.max_horizontal("period_start", "starts_at"),
            period_end=pl.min_horizontal("period_end", "ends_at"),
        )
        .filter(pl.col("period_start") < pl.col("period_end"))
    )


def due_prices(periods: pl.DataFrame, ended_by: datetime) -> pl.DataFrame:
    """The rows of ``with_periods`` whose period has ended, as DUE_PRICES."""
    return checked(periods.filter(pl.col("period_end") <= ended_by), DUE_PRICES)
