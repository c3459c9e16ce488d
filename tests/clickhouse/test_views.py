"""The views against a slow computation in Python decimals."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import polars as pl
import pytest

from clickhouse.client import UsageStore
from clickhouse.errors import UsageStoreError
from clickhouse.mirror import mirror_customers
from tests.clickhouse.builders import (
    Row,
    at,
    event,
    events_frame,
    random_usage,
    unique,
    uniques_frame,
    window,
    windows_frame,
)
from tests.clickhouse.naive import day_of, local, month_of, naive_usage

Usage = dict[tuple[Hashable, ...], tuple[int, Decimal]]


def put(store: UsageStore, windows: list[Row], uniques: list[Row]) -> None:
    """Store deltas in several blocks, as streams do."""
    for block in range(0, len(windows), 500):
        store.insert_frame("usage_windows", windows_frame(windows[block : block + 500]), token=f"w{block}")
    store.insert_frame("usage_uniques", uniques_frame(uniques), token="u")


def read(store: UsageStore, view: str, *buckets: str) -> Usage:
    """A view's rows in the shape of ``naive_usage``."""
    instants = {"starts_at": "toDateTime64(starts_at, 6, 'UTC') AS starts_at", "group_key": "toString(group_key)"}
    columns = ", ".join(instants.get(name, name) for name in buckets)
    frame = store.query_frame(
        f"SELECT merchant_id, customer_id, meter_id, aggregation, {columns}, events, quantity FROM {view}"
    )
    rows = frame.rows()
    found = {(*row[:4], row[4] if len(buckets) == 1 else row[4:-2]): (row[-2], row[-1]) for row in rows}
    assert len(found) == len(rows), "a view must not show a bucket twice"
    return found


def hour_of(row: Row) -> datetime:
    """The UTC hour of a window."""
    instant = row["window_start"]
    assert isinstance(instant, datetime)
    return instant.replace(minute=0)


def test_minutes_hours_days_and_months_are_exact_for_every_aggregation(usage_store: UsageStore) -> None:
    """Counting, adding, extremes, the last value and distinct values agree with Python in every UTC bucket."""
    windows, uniques = random_usage(1, 1500, start=at("2023-10-20T00:00:00"), minutes=20 * 24 * 60)
    put(usage_store, windows, uniques)
    buckets: dict[str, Callable[[Row], Hashable]] = {
        "usage_by_minute": lambda row: row["window_start"],
        "usage_by_hour": hour_of,
        "usage_by_day": lambda row: day_of(row, "UTC"),
        "usage_by_month": lambda row: month_of(row, "UTC"),
    }

    for view, bucket in buckets.items():
        assert read(usage_store, view, "starts_at") == naive_usage(windows, uniques, bucket), view


@pytest.mark.parametrize(
    ("zone", "start"),
    [
        ("Europe/Berlin", "2023-10-27T00:00:00"),
        ("Asia/Kolkata", "2023-10-27T00:00:00"),
        ("America/New_York", "2023-11-03T00:00:00"),
        ("America/Sao_Paulo", "2018-11-02T00:00:00"),
        ("Australia/Lord_Howe", "2023-03-30T00:00:00"),
        ("Pacific/Apia", "2011-12-28T00:00:00"),
    ],
)
def test_days_and_months_of_a_zone_begin_where_its_clocks_say(usage_store: UsageStore, zone: str, start: str) -> None:
    """Days of 23, 24 and 25 hours, half-hour zones, skipped midnights and a skipped day all fall into place."""
    windows, uniques = random_usage(2, 600, start=at(start), minutes=5 * 24 * 60, customers=2)
    put(usage_store, windows, uniques)

    days = read(usage_store, f"usage_by_day_in(zone = '{zone}')", "day", "starts_at")
    months = read(usage_store, f"usage_by_month_in(zone = '{zone}')", "starts_at")

    assert days == naive_usage(windows, uniques, lambda row: (local(row, zone).date(), day_of(row, zone)))
    assert months == naive_usage(windows, uniques, lambda row: month_of(row, zone))


def test_hours_of_a_half_hour_zone_begin_on_its_own_hour(usage_store: UsageStore) -> None:
    """In Kolkata an hour begins at half past in UTC; in Berlin the doubled hour of October is two hours."""
    windows, uniques = random_usage(3, 400, start=at("2023-10-28T20:00:00"), minutes=10 * 60, customers=1)
    put(usage_store, windows, uniques)

    kolkata = read(usage_store, "usage_by_hour_in(zone = 'Asia/Kolkata')", "starts_at")
    berlin = read(usage_store, "usage_by_hour_in(zone = 'Europe/Berlin')", "starts_at")

    def kolkata_hour(row: Row) -> datetime:
        return local(row, "Asia/Kolkata").replace(minute=0).astimezone(UTC)

    assert kolkata == naive_usage(windows, uniques, kolkata_hour)
    assert {key[-1].minute for key in kolkata if isinstance(key[-1], datetime)} == {30}
    assert berlin == naive_usage(windows, uniques, hour_of)


def test_groups_are_kept_apart_and_named(usage_store: UsageStore) -> None:
    """Each group has its own exact quantity and its dimensions as a map."""
    windows, uniques = random_usage(4, 800, start=at("2023-11-01T00:00:00"), minutes=3 * 24 * 60)
    put(usage_store, windows, uniques)

    found = read(usage_store, "usage_by_group", "starts_at", "group_key")
    dimensions = usage_store.query_frame(
        "SELECT DISTINCT toString(group_key) AS g, dimensions['model'] AS model FROM usage_by_group ORDER BY g"
    )

    assert found == naive_usage(windows, uniques, lambda row: (day_of(row, "UTC"), row["group_key"]))
    assert dimensions["model"].to_list() == ["", "large", "small"]


def test_a_total_counts_distinct_values_once(usage_store: UsageStore) -> None:
    """A value seen in two windows is one distinct value of the whole."""
    windows = [
        window(meter_id="mtr_unique", meter="u", aggregation="unique", events=2),
        window(
            meter_id="mtr_unique", meter="u", aggregation="unique", events=1, window_start=at("2023-11-21T09:00:00")
        ),
    ]
    uniques = [unique("a", meter="u"), unique("b", meter="u")]
    uniques += [unique("a", meter="u", window_start=at("2023-11-21T09:00:00"))]
    put(usage_store, windows, uniques)

    found = usage_store.query_frame("SELECT meter_id, events, quantity FROM usage_total").rows()

    assert found == [("mtr_unique", 3, Decimal(2))]


def test_the_current_period_is_the_month_on_each_customers_own_clock(usage_store: UsageStore) -> None:
    """At one instant it is November in Auckland and still October in New York; unknown customers count in UTC."""
    instants = [at("2023-10-31T12:30:00") + timedelta(hours=step) for step in range(-40, 40)]
    zones = {"cus_nz": "Pacific/Auckland", "cus_ny": "America/New_York", "cus_none": "UTC"}
    windows = [
        window(customer_id=customer, subject=customer, window_start=instant, sum=Decimal(1))
        for customer in zones
        for instant in instants
    ]
    put(usage_store, windows, [])
    known = [
        {"merchant_id": "mer_1", "customer_id": key, "subject": key, "name": key, "zone": zone, "currency": "USD"}
        for key, zone in zones.items()
        if key != "cus_none"
    ]
    mirror_customers(usage_store, pl.DataFrame(known), version=7)
    now = at("2023-10-31T12:00:00")

    found = usage_store.query_frame(
        "SELECT customer_id, zone, month, quantity FROM usage_month_at(at = '2023-10-31 12:00:00')"
    )

    for customer, zone, month, quantity in found.rows():
        here = local({"window_start": now}, zone).date().replace(day=1)
        inside = [i for i in instants if local({"window_start": i}, zone).date().replace(day=1) == here]
        assert (month, quantity, zone) == (here, Decimal(len(inside)), zones[customer]), customer
    assert found.height == 3


def test_this_months_usage_shows_in_the_current_period(usage_store: UsageStore) -> None:
    """The view without a parameter takes the server's present."""
    now = usage_store.query_frame("SELECT toDateTime64(toStartOfMinute(now('UTC')), 6, 'UTC') AS now")["now"][0]
    put(usage_store, [window(window_start=now), window(window_start=now - timedelta(days=40))], [])

    assert usage_store.query_frame("SELECT quantity FROM usage_current_period").rows() == [(Decimal(1),)]


def test_a_sum_too_large_is_an_error_and_never_a_wrong_number(usage_store: UsageStore) -> None:
    """ClickHouse's own sum would wrap to a negative number here."""
    huge = Decimal(90000000000000000000000000)
    put(usage_store, [window(sum=huge, block_first=block) for block in range(3)], [])

    with pytest.raises(UsageStoreError, match="overflow") as refused:
        usage_store.query_frame("SELECT quantity FROM usage_total")
    assert refused.value.name == "DECIMAL_OVERFLOW"


def test_fates_are_counted_by_reason(usage_store: UsageStore) -> None:
    """Every event shows under its fate and reason, and nothing is left out."""
    events = [
        event("a"),
        event("b"),
        event("a", fate="duplicate", kafka_offset=5),
        event("c", fate="held", reason="unknown_meter"),
        event("d", fate="rejected", reason="value_not_numeric"),
    ]
    usage_store.insert_frame("usage_events", events_frame(events), token="e")

    found = usage_store.query_frame("SELECT fate, reason, sum(events) AS n FROM event_fates GROUP BY ALL ORDER BY ALL")

    assert found.rows() == [
        ("duplicate", "", 1),
        ("held", "unknown_meter", 1),
        ("rejected", "value_not_numeric", 1),
        ("stored", "", 2),
    ]


def test_a_named_merchant_and_time_are_all_that_is_read(usage_store: UsageStore) -> None:
    """Filters on a view reach the tables: other months' partitions are not opened."""
    windows = [window(window_start=at(f"2023-{month:02}-10T00:00:00")) for month in range(1, 13)]
    put(usage_store, windows, [])

    plan = usage_store.query_frame(
        "EXPLAIN indexes = 1 SELECT * FROM usage_by_day WHERE merchant_id = 'mer_1' "
        "AND starts_at >= '2023-11-01 00:00:00' AND starts_at < '2023-12-01 00:00:00'"
    )

    assert any("Parts: 1/12" in line for line in plan["explain"])
