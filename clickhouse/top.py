"""A merchant's largest customers: by what they used of one meter, or by how many of their events counted."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal

import polars as pl

from clickhouse.client import UsageStore
from clickhouse.part_sums import PartSums, Span
from clickhouse.report import EARLIEST, LATEST, UsageQuestion, usage_by
from clickhouse.schema import QUANTITY
from clickhouse.sums import with_quantity

# Their quantities do not follow from sums of parts.
_NOT_ADDED_UP = ("latest", "unique")
# As many units as a quantity may have, and a little less.
_SUM_BOUND = Decimal(10**26)


@dataclass(frozen=True, slots=True)
class TopQuestion:
    """Whose largest customers, by which meter (by events when none is named), between which whole minutes."""

    merchant_id: str
    meter: str | None = None
    since: datetime = EARLIEST
    until: datetime = LATEST
    limit: int = 100


class TopCustomers:
    """Answers by sums that it keeps from question to question; may be shared by threads."""

    def __init__(self, store: UsageStore, sums: PartSums | None = None) -> None:
        self._store = store
        self._sums = sums or PartSums(store)

    def ask(self, question: TopQuestion) -> pl.DataFrame:
        """The largest first; equal ones by their keys. Exact, whatever was corrected.

        Columns: customer_id, subject, events; of a meter also aggregation and quantity.
        """
        found = self._sums.of(Span(question.merchant_id, question.since, question.until))
        rows = None if found is None else added_up(found, question.meter)
        if rows is None:
            rows = shown(usage_by(self._store, as_usage(question)), question.meter)
        size = "events" if question.meter is None else "quantity"
        return rows.sort(size, "subject", "customer_id", descending=[True, False, False]).head(question.limit)


def added_up(sums: pl.DataFrame, meter: str | None) -> pl.DataFrame | None:
    """Sums of parts as an answer; None where that would not be right."""
    if sums["restated"].max():
        return None
    if meter is None:
        return shown(sums, None)
    of_meter = sums.filter(pl.col("meter") == meter)
    # Polars would wrap without a word.
    fits = (of_meter["total"].abs() < _SUM_BOUND // max(of_meter.height, 1)).all()
    if not fits or of_meter["aggregation"].is_in(_NOT_ADDED_UP).any():
        return None
    whole = of_meter.group_by("customer_id", "subject", "meter", "aggregation").agg(
        pl.col("events", "total").sum(), pl.col("least").min(), pl.col("most").max()
    )
    return shown(with_quantity(whole.with_columns(latest=pl.lit(0).cast(QUANTITY))), meter)


def shown(rows: pl.DataFrame, meter: str | None) -> pl.DataFrame:
    """The columns of an answer."""
    if meter is None:
        return rows.group_by("customer_id", "subject").agg(pl.col("events").sum())
    return rows.select("customer_id", "subject", "aggregation", "events", "quantity")


def as_usage(question: TopQuestion) -> UsageQuestion:
    """The question for all customers' usage."""
    whole = UsageQuestion(
        grain="total", since=question.since, until=question.until, merchant_ids=(question.merchant_id,)
    )
    return whole if question.meter is None else replace(whole, meters=(question.meter,))
