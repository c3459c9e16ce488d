"""Which period of which subscription a month means, in every customer's own zone."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import polars as pl

from catalog.late_usage import LATE_SETTINGS
from catalog.pricing import PRICED_SUBSCRIPTIONS
from rating.due import due_prices, ended_targets, waiting, with_due_times, with_periods
from rating.inputs import DUE_PRICES

NOVEMBER = date(2023, 11, 1)


def at(text: str) -> datetime:
    """An instant in UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def subscription(
    anchor: date, zone: str = "UTC", starts_at: str = "2000-01-01", ends_at: str | None = None
) -> pl.DataFrame:
    """One subscription with one price."""
    row: dict[str, object] = dict.fromkeys(PRICED_SUBSCRIPTIONS, "x")
    ends = None if ends_at is None else at(ends_at)
    row |= {"anchor": anchor, "zone": zone, "starts_at": at(starts_at), "ends_at": ends}
    row |= {"priced_from": None, "priced_until": None}
    return pl.DataFrame([row], schema=PRICED_SUBSCRIPTIONS)


def bounds(priced: pl.DataFrame, month: date = NOVEMBER) -> list[tuple[datetime, datetime]]:
    """The periods found."""
    return with_periods(priced, month).select("period_start", "period_end").rows()


def test_a_month_begins_at_midnight_of_the_customers_zone() -> None:
    """Berlin's November begins an hour before that of UTC, Los Angeles's seven hours after, in summer time."""
    berlin = bounds(subscription(date(2023, 1, 1), "Europe/Berlin"))
    angeles = bounds(subscription(date(2023, 1, 1), "America/Los_Angeles"))

    assert berlin == [(at("2023-10-31T23:00"), at("2023-11-30T23:00"))]
    assert angeles == [(at("2023-11-01T07:00"), at("2023-12-01T08:00"))]


def test_an_anchor_at_the_end_of_a_month_is_never_lost() -> None:
    """Jan 31, Feb 28, Mar 31: counted from the anchor, not from the last period."""
    priced = subscription(date(2023, 1, 31))

    assert bounds(priced, date(2023, 2, 1)) == [(at("2023-02-28"), at("2023-03-31"))]
    assert bounds(priced, date(2023, 3, 1)) == [(at("2023-03-31"), at("2023-04-30"))]


def test_a_month_before_the_first_has_no_period() -> None:
    """A subscription that begins in December has nothing in November."""
    assert bounds(subscription(date(2023, 12, 1))) == []


def test_an_end_in_the_middle_cuts_the_period_short() -> None:
    """After the end there is no period at all."""
    priced = subscription(date(2023, 1, 1), ends_at="2023-11-10T06:00")

    assert bounds(priced) == [(at("2023-11-01"), at("2023-11-10T06:00"))]
    assert bounds(priced, date(2023, 12, 1)) == []


def test_a_start_after_the_anchor_cuts_the_period_short() -> None:
    """Usage from before the start belongs to nobody's bill."""
    assert bounds(subscription(date(2023, 11, 1), starts_at="2023-11-05T10:00")) == [
        (at("2023-11-05T10:00"), at("2023-12-01"))
    ]


def test_a_period_is_due_from_the_instant_at_which_it_ends() -> None:
    """One microsecond before its end it still runs."""
    periods = with_due_times(with_periods(subscription(date(2023, 1, 1)), NOVEMBER), pl.DataFrame(schema=LATE_SETTINGS))

    assert due_prices(periods, at("2023-11-30T23:59:59.999999")).height == 0
    assert due_prices(periods, at("2023-12-01")).height == 1


def test_no_subscriptions_are_no_error() -> None:
    """An empty catalog gives an empty frame of the declared schema."""
    priced = pl.DataFrame(schema=PRICED_SUBSCRIPTIONS)
    empty = with_due_times(with_periods(priced, NOVEMBER), pl.DataFrame(schema=LATE_SETTINGS))

    assert due_prices(empty, at("2024-01-01")).schema == DUE_PRICES


def settings(grace: timedelta, policy: str = "next_invoice", months_back: int = 12) -> pl.DataFrame:
    """What the one merchant of these tests has said."""
    return pl.DataFrame([("x", grace, policy, months_back)], schema=LATE_SETTINGS, orient="row")


def test_a_merchants_grace_keeps_a_period_open_until_it_is_over() -> None:
    """Two hours: until then the period has ended and waits, and it says until when."""
    periods = with_due_times(with_periods(subscription(date(2023, 1, 1)), NOVEMBER), settings(timedelta(hours=2)))

    assert due_prices(periods, at("2023-12-01T01:59:59.999999")).height == 0
    assert waiting(periods, at("2023-12-01T01:59")).rows() == [("x", at("2023-12-01T02:00"), 1)]
    assert due_prices(periods, at("2023-12-01T02:00")).height == 1
    assert waiting(periods, at("2023-12-01T02:00")).height == 0
    assert waiting(periods, at("2023-11-30")).height == 0


def test_who_has_ended_has_a_place_for_adjustments_in_every_later_month() -> None:
    """The month in which its next period would have begun, once that one is due; not the month that it ended in."""
    ended = subscription(date(2023, 1, 1), ends_at="2023-11-10T06:00")
    december, none = date(2023, 12, 1), timedelta(0)

    def places(month: date, now: str, grace: timedelta = none) -> list[tuple[datetime, datetime]]:
        return ended_targets(ended, month, settings(grace), at(now)).select("period_start", "period_end").rows()

    assert places(december, "2024-01-01") == [(at("2023-12-01"), at("2024-01-01"))]
    assert places(december, "2024-01-01", timedelta(hours=1)) == []
    assert places(december, "2023-12-31") == []
    assert places(NOVEMBER, "2024-01-01") == []
    assert ended_targets(subscription(date(2023, 1, 1)), december, settings(none), at("2024-06-01")).height == 0
