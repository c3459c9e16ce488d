"""Usage in buckets, chosen by people."""

from __future__ import annotations

from decimal import Decimal

import pytest

from clickhouse.client import UsageStore
from clickhouse.errors import UsageStoreError
from clickhouse.report import Grain, UsageQuestion, usage_by
from tests.clickhouse.builders import at, random_usage, uniques_frame, window, windows_frame
from tests.clickhouse.naive import day_of, month_of, naive_usage


def put_two_customers(store: UsageStore) -> None:
    """One minute each of two customers and two meters of two merchants."""
    rows = [
        window(sum=Decimal("1.5"), group_key='{"model":"a"}'),
        window(sum=Decimal(2), group_key='{"model":"b"}', window_start=at("2023-11-20T23:30:00")),
        window(sum=Decimal(4), subject="c-2", customer_id="cus_2", meter="other", meter_id="mtr_other"),
        window(sum=Decimal(8), merchant_id="mer_2"),
    ]
    store.insert_frame("usage_windows", windows_frame(rows), token="w")


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "America/New_York"])
def test_days_and_months_agree_with_python(usage_store: UsageStore, zone: str) -> None:
    """The buckets that the command prints are those of a slow computation."""
    windows, uniques = random_usage(6, 700, start=at("2023-10-25"), minutes=12 * 24 * 60)
    usage_store.insert_frame("usage_windows", windows_frame(windows), token="w")
    usage_store.insert_frame("usage_uniques", uniques_frame(uniques), token="u")

    for grain, bucket in (("day", day_of), ("month", month_of)):
        asked: Grain = "day" if grain == "day" else "month"
        rows = usage_by(usage_store, UsageQuestion(grain=asked, zone=zone)).iter_rows(named=True)
        found = {
            (r["merchant_id"], r["customer_id"], r["meter_id"], r["aggregation"], r["starts_at"]): (
                r["events"],
                r["quantity"],
            )
            for r in rows
        }
        assert found == naive_usage(windows, uniques, lambda row: bucket(row, zone)), grain  # noqa: B023


def test_everything_can_be_narrowed(usage_store: UsageStore) -> None:
    """By merchant, customer, meter and time, in any combination."""
    put_two_customers(usage_store)
    questions = {
        Decimal("15.5"): UsageQuestion(),
        Decimal(8): UsageQuestion(merchant_ids=("mer_2",)),
        Decimal(4): UsageQuestion(subjects=("c-2", "'; --"), merchant_ids=("mer_1",)),
        Decimal("11.5"): UsageQuestion(meters=("sum_meter",)),
        Decimal(2): UsageQuestion(since=at("2023-11-20T23:30:00")),
        Decimal("13.5"): UsageQuestion(until=at("2023-11-20T23:30:00")),
    }

    for expected, question in questions.items():
        assert usage_by(usage_store, question)["quantity"].sum() == expected, question


def test_groups_show_when_asked_for(usage_store: UsageStore) -> None:
    """Without asking, the groups of a meter are one."""
    put_two_customers(usage_store)

    whole = usage_by(usage_store, UsageQuestion(grain="total", subjects=("c-1",), merchant_ids=("mer_1",)))
    apart = usage_by(
        usage_store, UsageQuestion(grain="total", subjects=("c-1",), merchant_ids=("mer_1",), by_group=True)
    )

    assert whole.select("group_key", "quantity").rows() == [("", Decimal("3.5"))]
    assert apart.select("group_key", "quantity").rows() == [
        ('{"model":"a"}', Decimal("1.5")),
        ('{"model":"b"}', Decimal(2)),
    ]


def test_rows_are_limited_in_order(usage_store: UsageStore) -> None:
    """The first rows by merchant, customer, meter and time."""
    put_two_customers(usage_store)

    found = usage_by(usage_store, UsageQuestion(grain="minute", limit=2))

    assert found["starts_at"].to_list() == [at("2023-11-20T12:00:00"), at("2023-11-20T23:30:00")]


def test_a_zone_that_does_not_exist_is_refused(usage_store: UsageStore) -> None:
    """Not silently taken for UTC."""
    with pytest.raises(UsageStoreError, match="Mars/Base"):
        usage_by(usage_store, UsageQuestion(zone="Mars/Base"))
