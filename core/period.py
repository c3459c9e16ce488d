"""Billing periods: half-open ``[start, end)``, computed in the customer's zone, kept in UTC."""

from __future__ import annotations

import calendar
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo


@dataclass(frozen=True, slots=True)
class Period:
    """Half-open: an event exactly on ``end`` belongs to the next period, so two periods never share it."""

    start: datetime
    end: datetime

    def __post_init__(self) -> None:
        assert self.start.tzinfo is not None and self.end.tzinfo is not None, "periods are kept in UTC"
        assert self.start < self.end, "a period has a length"

    def holds(self, instant: datetime) -> bool:
        """Whether ``instant`` falls into this period."""
        return self.start <= instant < self.end


def add_months(anchor: date, months: int) -> date:
    """The anchor's day, ``months`` later, clamped to the month's last day.

    Always counted from the original anchor (Jan 31 -> Feb 28 -> Mar 31), never from a clamped date.
    """
    index = anchor.year * 12 + anchor.month - 1 + months
    year, month = divmod(index, 12)
    day = min(anchor.day, calendar.monthrange(year, month + 1)[1])
    return date(year, month + 1, day)


def day_start(day: date, zone: str) -> datetime:
    """The first instant of a local calendar day, in UTC; where midnight is skipped, the instant after the gap."""
    tz = ZoneInfo(zone)
    local = datetime(day.year, day.month, day.day, tzinfo=tz)
    instant = local.astimezone(UTC)
    # A clock that jumps over midnight has no such local time: fold=0 then names an instant of the day before.
    while instant.astimezone(tz).date() < day:
        instant += timedelta(minutes=15)
    return instant


def monthly_period(anchor: date, months: int, zone: str) -> Period:
    """The ``months``-th monthly period (0 is the first) of a subscription that began on ``anchor``."""
    return Period(day_start(add_months(anchor, months), zone), day_start(add_months(anchor, months + 1), zone))


def period_of_month(anchor: date, month: date, zone: str) -> Period | None:
    """The period that starts in the given calendar month, or ``None`` when the subscription began after it."""
    months = (month.year - anchor.year) * 12 + month.month - anchor.month
    return monthly_period(anchor, months, zone) if months >= 0 else None


def cut_period(period: Period, unit: str, zone: str) -> tuple[datetime, ...]:
    """The starts of the hours or days (``unit``) of a period that begins and ends with a local day.

    A day is one of the zone's calendar; its hours are counted from its first instant, so that one with a change of the
    clocks has 23 or 25 of them, and a broken last one where the clocks change by part of an hour.
    """
    assert unit in ("hour", "day"), "the catalog has checked it"
    day, step = period.start.astimezone(ZoneInfo(zone)).date(), timedelta(hours=1)
    starts = []
    start = max(period.start, day_start(day, zone))
    while start < period.end:
        day += timedelta(days=1)
        end = min(day_start(day, zone), period.end)
        hours = -(-(end - start) // step) if unit == "hour" else 1
        starts += [start + step * hour for hour in range(hours)]
        start = end
    return tuple(starts)


def parse_month(text: str) -> date:
    """Read ``2023-11`` as the first day of that month; raises ``ValueError`` otherwise."""
    year, month = text.split("-")
    return date(int(year), int(month), 1)
