from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from runtime.traffic.plan import TrafficPlan, plan_for_last_month, plan_until


def test_last_month_s_plan_ends_where_the_present_month_begins() -> None:
    """Also in January, and on the first day of a month."""
    plan = plan_for_last_month(datetime(2026, 1, 1, 0, 5, tzinfo=UTC), events=10)
    assert plan.first_at + timedelta(seconds=plan.span_s) == datetime(2026, 1, 1, tzinfo=UTC)
    assert plan.first_at.month == 12


def test_a_late_event_on_the_last_day_of_a_long_month_is_within_the_age_limit() -> None:
    """On the 31st the oldest event is younger than 35 days."""
    now = datetime(2026, 8, 31, 23, 59, 59, tzinfo=UTC)
    plan = plan_for_last_month(now, events=10)
    assert now - (plan.first_at - timedelta(hours=7)) < timedelta(days=35)


def test_a_plan_until_now_has_no_event_in_the_future() -> None:
    """Its span ends now."""
    now = datetime(2026, 8, 31, 12, 0, 0, 5, tzinfo=UTC)
    plan = plan_until(now, events=100)
    assert plan.first_at + timedelta(seconds=plan.span_s) <= now


def test_a_plan_survives_its_json_form() -> None:
    """Read back from plain values it is the same plan."""
    plan = plan_for_last_month(datetime(2026, 8, 3, tzinfo=UTC), events=123, seed=77, hot_share=0.5)
    assert TrafficPlan.from_json(plan.to_json()) == plan


@pytest.mark.parametrize(
    "fields", [{"events": 10**9, "span_s": 60}, {"meters": 0}, {"meters": 21}, {"events": 0}, {"customers": 70_000}]
)
def test_a_plan_whose_events_could_not_be_told_apart_is_refused(fields: dict[str, int]) -> None:
    """Too many events for the span, or counts that ids cannot hold."""
    with pytest.raises(ValueError, match=r"\w+ .*(must|can be|too many)|too many"):
        plan_for_last_month(datetime(2026, 8, 3, tzinfo=UTC), **fields)
