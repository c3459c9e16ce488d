"""Sums of windows as rows, each of one part of the table, and what several of them add up to.

Frames of a few rows cost as much as frames of thousands; one customer's usage has a few.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from decimal import Decimal, localcontext
from typing import Final, NamedTuple

from clickhouse.sums import mean
from core.quantity import EXACT

# As many units as a quantity may have.
_TOTAL_MAX: Final = Decimal(10**26)


class Bucket(NamedTuple):
    """Of what a row is the sum, beside its merchant and customer; in the order in which answers are sorted."""

    subject: str
    meter: str
    # 0 of a total.
    starts_at: datetime | int
    group_key: str
    meter_id: str
    aggregation: str


class Sum(NamedTuple):
    """What windows add up to. ``newest`` is (latest value, its time, its key); ``restated`` is not 0 if one was."""

    events: int
    total: Decimal
    least: Decimal
    most: Decimal
    newest: tuple[Decimal, datetime, bytes]
    restated: int

    def plus(self, other: Sum) -> Sum:
        """Both together."""
        return Sum(
            self.events + other.events,
            self.total + other.total,
            min(self.least, other.least),
            max(self.most, other.most),
            max(self.newest, other.newest, key=lambda newest: newest[1:]),
            max(self.restated, other.restated),
        )


def added_up(sums: Iterable[tuple[Bucket, Sum]]) -> dict[Bucket, Sum]:
    """What each bucket comes to."""
    found: dict[Bucket, Sum] = {}
    with localcontext(EXACT):
        for bucket, one in sums:
            so_far = found.get(bucket)
            found[bucket] = one if so_far is None else so_far.plus(one)
    return found


def fits(sums: dict[Bucket, Sum]) -> bool:
    """Whether sums alone tell the quantities: nothing restated, no distinct values, and none too large."""
    return all(
        not one.restated and bucket.aggregation != "unique" and abs(one.total) < _TOTAL_MAX
        for bucket, one in sums.items()
    )


def quantity(aggregation: str, one: Sum) -> Decimal:
    """As ``clickhouse.sums.with_quantity`` has it."""
    told = _QUANTITIES.get(aggregation)
    return Decimal(0) if told is None else told(one)


_QUANTITIES: Final[Mapping[str, Callable[[Sum], Decimal]]] = {
    "count": lambda one: Decimal(one.events),
    "sum": lambda one: one.total,
    "min": lambda one: one.least,
    "max": lambda one: one.most,
    "latest": lambda one: one.newest[0],
    "avg": lambda one: mean(one.total, one.events),
}
