"""Which subscriptions are due: those whose monthly period starts in the month that is closed, and has ended."""

from __future__ import annotations

from datetime import date, datetime
from typing import Final

import polars as pl

from catalog.late_usage import with_late_settings
from core.frames import Schema, checked
from core.period import period_of_month
from rating.charge import INSTANT
from rating.inputs import DUE_PRICES

# Subscriptions whose period has ended and whose merchant's grace has not, counted by the instant at which it does.
WAITING: Final[Schema] = {"merchant_id": pl.String(), "due_at": INSTANT, "subscriptions": pl.UInt32()}
# The period on whose invoice a subscription's adjustments go, and what its merchant wants of them.
TARGETS: Final[Schema] = {
    "merchant_id": pl.String(),
    "subscription_id": pl.String(),
    "period_start": INSTANT,
    "period_end": INSTANT,
    "policy": pl.String(),
    "months_back": pl.Int64(),
}


def with_periods(priced: pl.DataFrame, month: date) -> pl.DataFrame:
    """Add period_start and period_end: of each subscription the period that starts in ``month`` in its own zone.

    Subscriptions without such a period are left out, and so are versions of prices that do not hold for it. A start or
    an end in the middle of a period cuts it short.
    """
    since = pl.col("priced_from").fill_null(pl.col("period_start"))
    until = (pl.col("period_start") < pl.col("priced_until")).fill_null(value=True)
    return (
        whole_periods(priced, month)
        .with_columns(
            period_start=pl.max_horizontal("period_start", "starts_at"),
            period_end=pl.min_horizontal("period_end", "ends_at"),
        )
        .filter(pl.col("period_start") < pl.col("period_end"), pl.col("period_start") >= since, until)
    )


def whole_periods(priced: pl.DataFrame, month: date) -> pl.DataFrame:
    """The same as if no subscription ever ended.

    Periods are worked out once per anchor and zone, of which a million subscriptions share few.
    """
    calendars = priced.select("anchor", "zone").unique()
    periods = [period_of_month(anchor, month, zone) for anchor, zone in calendars.iter_rows()]
    bounds = calendars.with_columns(
        pl.Series("period_start", [period and period.start for period in periods], INSTANT),
        pl.Series("period_end", [period and period.end for period in periods], INSTANT),
    ).drop_nulls()
    return priced.join(bounds, on=["anchor", "zone"], maintain_order="left")


def with_due_times(periods: pl.DataFrame, settings: pl.DataFrame) -> pl.DataFrame:
    """Add ``due_at``, the period's end and its merchant's grace, and the merchant's settings (LATE_SETTINGS)."""
    return with_late_settings(periods, settings).with_columns(due_at=pl.col("period_end") + pl.col("grace"))


def due_prices(periods: pl.DataFrame, ended_by: datetime) -> pl.DataFrame:
    """The rows of ``with_due_times`` whose period has ended and whose grace is over, as DUE_PRICES."""
    return checked(periods.filter(pl.col("due_at") <= ended_by), DUE_PRICES)


def waiting(periods: pl.DataFrame, ended_by: datetime) -> pl.DataFrame:
    """WAITING: the subscriptions of ``with_due_times`` whose period has ended, and whose grace has not."""
    in_grace = periods.filter((pl.col("period_end") <= ended_by) & (pl.col("due_at") > ended_by))
    counted = in_grace.group_by("merchant_id", "due_at").agg(subscriptions=pl.col("subscription_id").n_unique())
    return checked(counted, WAITING).sort("due_at", "merchant_id")


def targets(periods: pl.DataFrame, ended_by: datetime) -> pl.DataFrame:
    """TARGETS: the subscriptions that are due."""
    due = periods.filter(pl.col("due_at") <= ended_by)
    return checked(due, TARGETS).unique("subscription_id", maintain_order=True)


def ended_targets(priced: pl.DataFrame, month: date, settings: pl.DataFrame, ended_by: datetime) -> pl.DataFrame:
    """TARGETS: subscriptions that had ended before the period that would start in ``month``, once that one is due."""
    ended = priced.filter(pl.col("ends_at").is_not_null()).unique("subscription_id", maintain_order=True)
    after = whole_periods(ended, month).filter(pl.col("ends_at") <= pl.col("period_start"))
    return targets(with_due_times(after, settings), ended_by)
