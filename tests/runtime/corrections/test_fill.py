"""Meters that are added or changed after their events: filled from what is stored, for every aggregation."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from sqlalchemy import text

from core.db import transaction
from core.errors import Refused
from runtime.fill.run import Filled, fill, find_meter
from runtime.fill.spans import EARLIEST, EVENTS_PER_SPAN_MAX, LATEST, join_hours
from runtime.release.send import LogSender
from runtime.release.turn import ReleaseParts
from tests.runtime.corrections.conftest import AGGREGATIONS, CATALOG, METERS, PRICES, Sender, apply, event

ALWAYS = (EARLIEST, LATEST)


def filled(sender: Sender, parts: ReleaseParts, log_sender: LogSender, code: str) -> Filled:
    """Fill a meter over all stored events."""
    with transaction(sender.line.books) as connection:
        merchant_id = connection.execute(text("SELECT merchant_id FROM merchants")).scalar_one()
    meter, types = find_meter(sender.line.books, merchant_id, code)
    return fill(parts, log_sender, meter, types, ALWAYS)


def test_a_new_meter_of_any_aggregation_counts_the_events_of_before(
    sender: Sender, releasing: ReleaseParts, log_sender: LogSender
) -> None:
    """Over days and customers, with corrections among them; what came after the meter counts once."""
    apply(sender.line, CATALOG)
    sender.send([event(n, "c-1" if n % 2 else "c-2", day=f"2023-11-{1 + n % 3:02}") for n in range(200)])
    sender.correct([{"action": "retract", "id": f"e{n}"} for n in range(0, 200, 9)])
    sender.correct([{"action": "amend", "event": event(n, size="2.75", day="2023-11-05")} for n in range(1, 200, 18)])
    sender.settle()
    twins = METERS.replace("code: ", "code: new_")
    apply(sender.line, CATALOG.replace(METERS, f"{METERS}\n{twins}").replace(PRICES, PRICES))
    sender.send([event(n, day="2023-11-02") for n in range(200, 230)])
    sender.settle()

    for one in AGGREGATIONS:
        done = filled(sender, releasing, log_sender, f"new_{one}")
        assert [changed.subject for changed in done.changed] == ["c-1", "c-2"]
        assert done.spans >= 1
        assert both(sender, one, f"new_{one}")
    sender.audit_agrees()

    sender.correct([{"action": "retract", "id": f"e{n}"} for n in range(2, 200, 40)])
    sender.settle()
    for one in AGGREGATIONS:
        assert both(sender, one, f"new_{one}")
        assert filled(sender, releasing, log_sender, f"new_{one}").changed == ()
    sender.audit_agrees()


def both(sender: Sender, one: str, other: str) -> bool:
    """Whether two meters say the same in every minute."""
    sql = """SELECT subject, toString(starts_at) AS at, events, quantity FROM usage_by_minute
        WHERE meter = {meter:String} ORDER BY subject, at"""
    first, second = (sender.line.store.query_frame(sql, {"meter": code}) for code in (one, other))
    return not first.is_empty() and first.equals(second)


def test_an_edited_meter_counts_all_events_by_its_new_rule(
    sender: Sender, releasing: ReleaseParts, log_sender: LogSender
) -> None:
    """A filter that is added takes windows away; without it they come back; other meters stay as they are."""
    sender.send([event(n) | {"properties": {"size": 1, "kind": "ab"[n % 2]}} for n in range(100)])
    sender.settle()
    rule = "code: sum, event_type: call, aggregation: sum, value: size"
    narrow = f"{rule}, filters: [{{property: kind, op: eq, values: [a]}}]"
    apply(sender.line, CATALOG.replace(rule, narrow))

    (changed,) = filled(sender, releasing, log_sender, "sum").changed
    assert (changed.events_before, changed.events, str(changed.quantity.normalize())) == (100, 50, "5E+1")
    sender.audit_agrees()
    apply(sender.line, CATALOG)
    (changed,) = filled(sender, releasing, log_sender, "sum").changed
    assert (changed.events_before, changed.events) == (50, 100)
    sender.agrees()
    with pytest.raises(Refused, match="meter_unknown"):
        filled(sender, releasing, log_sender, "nothing")


def test_spans_are_cut_where_a_block_would_be_too_large() -> None:
    """By hours, by events, and over gaps; nothing is left out and nothing asked for twice."""
    start = datetime(2023, 1, 1, tzinfo=UTC)
    hours = [(start + timedelta(hours=n), 10) for n in (*range(30), 60, 100)]
    hours[3] = (hours[3][0], EVENTS_PER_SPAN_MAX)

    spans = list(join_hours(hours))

    assert all(end - first <= timedelta(hours=24) for first, end in spans)
    assert all(one[1] <= other[0] for one, other in pairwise(spans))
    assert all(any(first <= hour < end for first, end in spans) for hour, _count in hours)
    assert (hours[3][0], hours[4][0]) in spans
    assert list(join_hours([])) == []
