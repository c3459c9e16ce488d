"""Which spans a meter has to be filled in: those that hold its events or windows, cut so that blocks stay small."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from clickhouse.client import UsageStore
from core.limits import FILL_SPAN_HOURS_MAX

# All partitions together; a block has its partition's share.
EVENTS_PER_SPAN_MAX = 1_000_000
HOUR = timedelta(hours=1)
EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
LATEST = datetime(2106, 1, 1, tzinfo=UTC)
# Hours in which it counts events now, and in which it has windows of before that may have to go.
HOURS = """
    SELECT hour, sum(events) AS events FROM (
        SELECT toDateTime64(toStartOfHour(occurred_at), 0, 'UTC') AS hour, toInt64(count()) AS events FROM usage_events
        WHERE merchant_id = {merchant_id:String} AND type IN {types:Array(String)} AND fate = 'stored'
            AND occurred_at >= {since:DateTime64(6, 'UTC')} AND occurred_at < {until:DateTime64(6, 'UTC')}
        GROUP BY hour
        UNION ALL
        SELECT toDateTime64(toStartOfHour(window_start), 0, 'UTC') AS hour, toInt64(0) AS events FROM usage_windows
        WHERE merchant_id = {merchant_id:String} AND meter_id = {meter_id:String}
            AND window_start >= {since_s:DateTime('UTC')} AND window_start < {until_s:DateTime('UTC')}
        GROUP BY hour
    ) GROUP BY hour ORDER BY hour
"""

Span = tuple[datetime, datetime]


def busy_spans(
    store: UsageStore, *, merchant_id: str, meter_id: str, types: list[str], since: datetime, until: datetime
) -> list[Span]:
    """The spans within [since, until), whole minutes, in which there is something to fill."""
    bound = {
        "merchant_id": merchant_id,
        "meter_id": meter_id,
        "types": types,
        "since": since,
        "until": until,
        "since_s": f"{since.astimezone(UTC):%Y-%m-%d %H:%M:%S}",
        "until_s": f"{until.astimezone(UTC):%Y-%m-%d %H:%M:%S}",
    }
    hours = store.query_frame(HOURS, bound)
    return [(max(first, since), min(end, until)) for first, end in join_hours(list(hours.iter_rows()))]


def join_hours(hours: list[tuple[datetime, int]]) -> Iterator[Span]:
    """Hours and their events as spans, each of no more events or hours than one fill may have."""
    first = end = EARLIEST
    events = 0
    for hour, count in hours:
        too_long = hour + HOUR - first > timedelta(hours=FILL_SPAN_HOURS_MAX)
        if events + count > EVENTS_PER_SPAN_MAX or too_long:
            if end > first:
                yield first, end
            first, events = hour, 0
        end = hour + HOUR
        events += count
    if end > first:
        yield first, end


def whole_minutes(since: datetime, until: datetime) -> Span:
    """A span widened to whole minutes."""
    first = since.astimezone(UTC).replace(second=0, microsecond=0)
    end = until.astimezone(UTC)
    cut = end.replace(second=0, microsecond=0)
    return max(first, EARLIEST), min(cut if cut == end else cut + timedelta(minutes=1), LATEST)
