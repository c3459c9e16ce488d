"""Periods tile time in every zone, and remember the day they were anchored on."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.period import Period, add_months, cut_period, day_start, monthly_period, parse_month, period_of_month

ZONES = sorted(available_timezones())


def test_a_month_end_anchor_comes_back() -> None:
    """Jan 31 gives Feb 28 and then Mar 31: always counted from the anchor, never from the clamped day."""
    days = [add_months(date(2023, 1, 31), months) for months in range(4)]

    assert days == [date(2023, 1, 31), date(2023, 2, 28), date(2023, 3, 31), date(2023, 4, 30)]


@given(st.sampled_from(ZONES), st.dates(date(2000, 1, 1), date(2030, 1, 1)))
def test_periods_tile_time_in_every_zone(zone: str, anchor: date) -> None:
    """Each of ten years of periods begins where the one before ended, at the day's first local instant."""
    periods = [monthly_period(anchor, months, zone) for months in range(120)]

    assert all(before.end == after.start for before, after in pairwise(periods))
    tz = ZoneInfo(zone)
    for months, period in enumerate(periods):
        assert period.start.astimezone(tz).date() == add_months(anchor, months)
        assert (period.start - timedelta(microseconds=1)).astimezone(tz).date() < add_months(anchor, months)


def test_a_day_whose_midnight_is_skipped_starts_after_the_gap() -> None:
    """Clocks in Beirut went from 00:00 to 01:00 on 2024-03-31: the day begins at 01:00, 22:00 UTC the day before."""
    assert day_start(date(2024, 3, 31), "Asia/Beirut") == datetime(2024, 3, 30, 22, tzinfo=UTC)


def test_a_boundary_belongs_to_the_next_period_only() -> None:
    """Half-open: the end is the first instant outside."""
    november = monthly_period(date(2023, 11, 1), 0, "UTC")

    assert november == Period(datetime(2023, 11, 1, tzinfo=UTC), datetime(2023, 12, 1, tzinfo=UTC))
    assert november.holds(november.start)
    assert not november.holds(november.end)


def test_a_period_is_found_by_the_month_it_starts_in() -> None:
    """A subscription of the 15th has its November period from the 15th, and none before it began."""
    found = period_of_month(date(2023, 10, 15), parse_month("2023-11"), "Europe/Berlin")

    assert found == Period(datetime(2023, 11, 14, 23, tzinfo=UTC), datetime(2023, 12, 14, 23, tzinfo=UTC))
    assert period_of_month(date(2023, 10, 15), parse_month("2023-09"), "Europe/Berlin") is None


@pytest.mark.parametrize("text", ["2023", "2023-13", "November", "2023-11-01"])
def test_what_is_no_month_is_refused(text: str) -> None:
    """Only YYYY-MM names a month."""
    with pytest.raises(ValueError, match=r".+"):
        parse_month(text)


@pytest.mark.parametrize(
    ("zone", "first", "last", "unit", "count"),
    [
        ("UTC", date(2023, 11, 1), date(2023, 12, 1), "hour", 720),
        ("Asia/Kolkata", date(2023, 11, 1), date(2023, 12, 1), "day", 30),
        ("Europe/Berlin", date(2023, 10, 1), date(2023, 11, 1), "hour", 745),
        ("Europe/Berlin", date(2023, 3, 1), date(2023, 4, 1), "hour", 743),
        ("Africa/Cairo", date(2023, 4, 28), date(2023, 4, 29), "hour", 23),
        ("Australia/Lord_Howe", date(2023, 10, 1), date(2023, 10, 2), "hour", 24),
        ("America/New_York", date(2023, 11, 5), date(2023, 11, 7), "day", 2),
    ],
)
def test_hours_and_days_tile_a_period(zone: str, first: date, last: date, unit: str, count: int) -> None:
    """Whatever the clocks do: the first begins with the period, each later, and a day on its local midnight."""
    period = Period(day_start(first, zone), day_start(last, zone))

    starts = cut_period(period, unit, zone)

    assert (len(starts), starts[0]) == (count, period.start)
    steps = [later - start for start, later in pairwise((*starts, period.end))]
    most = timedelta(hours=1) if unit == "hour" else timedelta(hours=25)
    assert all(timedelta(0) < step <= most for step in steps)
    days = {day_start(first + timedelta(days=number), zone) for number in range((last - first).days)}
    assert days <= set(starts)
