"""A merchant's largest customers: as a slow computation ranks them, while parts come, go and are corrected."""

from __future__ import annotations

from decimal import Decimal

import pytest

from clickhouse.client import UsageStore
from clickhouse.part_sums import PartSums, Span, covered
from clickhouse.report import LATEST
from clickhouse.top import TopCustomers, TopQuestion
from tests.clickhouse.builders import Row, at, window
from tests.clickhouse.naive import counting, naive_usage
from tests.clickhouse.test_corrections import LATER, START, nothing_restated, put, random_rows

METERS = ("count_meter", "sum_meter", "min_meter", "max_meter", "latest_meter", "unique_meter", "avg_meter")


def ranked(windows: list[Row], uniques: list[Row], meter: str | None) -> list[tuple[str, int, Decimal]]:
    """Customers of the first merchant with events and quantity, the largest first."""
    left, values = counting(windows, windows, LATEST), counting(uniques, windows, LATEST)
    rows = [row for row in left if row["merchant_id"] == "mer_1" and meter in (None, row["meter"])]
    values = [row for row in values if row["merchant_id"] == "mer_1"]
    if meter is None:
        events: dict[str, int] = {}
        for row in rows:
            events[row["customer_id"]] = events.get(row["customer_id"], 0) + row["events"]
        return sorted(((name, n, Decimal(0)) for name, n in events.items()), key=lambda row: (-row[1], row[0]))
    found = naive_usage(rows, values, lambda _row: 1)
    return sorted(
        ((str(key[1]), events, quantity) for key, (events, quantity) in found.items()),
        key=lambda row: (-row[2], row[0]),
    )


def answered(top: TopCustomers, meter: str | None) -> list[tuple[str, int, Decimal]]:
    """The same as it is answered."""
    rows = top.ask(TopQuestion("mer_1", meter)).iter_rows(named=True)
    return [(row["customer_id"], row["events"], row.get("quantity", Decimal(0))) for row in rows]


def test_customers_are_ranked_exactly_while_rows_arrive_merge_and_are_restated(usage_store: UsageStore) -> None:
    """What was kept of parts is never counted beside the part that took their place."""
    top = TopCustomers(usage_store, PartSums(usage_store, kept_from_windows=1))
    windows, uniques = ([row | {"merchant_id": "mer_1"} for row in rows] for rows in random_rows(5, 900))
    plain = nothing_restated(windows)
    stored: list[Row] = []
    for number in range(3):
        block = plain[number::3]
        put(usage_store, block, uniques if number == 0 else [], f"block{number}")
        stored += block
        for meter in (None, *METERS):
            assert answered(top, meter) == ranked(stored, uniques, meter), (number, meter)
    usage_store.command("OPTIMIZE TABLE usage_windows FINAL")
    assert all(answered(top, meter) == ranked(stored, uniques, meter) for meter in (None, *METERS))

    lost = window(merchant_id="mer_1", window_start=START, stored_at=LATER, restates=1, sum=Decimal(-4), events=1)
    put(usage_store, [lost], [], "restated")
    assert all(answered(top, meter) == ranked([*stored, lost], uniques, meter) for meter in (None, *METERS))


def test_only_what_is_new_is_read_again(usage_store: UsageStore) -> None:
    """Rows kept of a part are not asked for once more, until there are too many of them."""
    put(usage_store, [window(), window(customer_id="cus_2", subject="c-2")], [])
    sums = PartSums(usage_store, kept_from_windows=1)
    span = Span("mer_1", at("2023-11-01"), at("2023-12-01"))
    first = sums.of(span)
    assert first is not None
    put(usage_store, [window(events=5)], [], "new")
    both = sums.of(span)
    assert both is not None
    assert sorted(both["events"]) == [1, 1, 5]
    assert set(first["part"]) < set(both["part"])

    usage_store.command("ALTER TABLE usage_windows DELETE WHERE events = 5 SETTINGS mutations_sync = 2")
    left = sums.of(span)
    assert left is not None
    assert sorted(left["events"]) == [1, 1]
    forgetful = PartSums(usage_store, kept_from_windows=1, kept_rows_max=1)
    assert all(found is not None and found.height == 2 for found in (forgetful.of(span), forgetful.of(span)))


def test_a_sum_too_large_for_a_quantity_is_told_from_one_that_fits(usage_store: UsageStore) -> None:
    """Sums of parts are not added up where they could wrap; who asks for the events is answered all the same."""
    huge = Decimal(60000000000000000000000000)
    put(usage_store, [window(sum=huge)], [])
    put(usage_store, [window(sum=-huge)], [], "less")
    top = TopCustomers(usage_store)

    assert answered(top, "sum_meter") == [("cus_1", 2, Decimal(0))]
    assert answered(top, None) == [("cus_1", 2, Decimal(0))]


@pytest.mark.parametrize(
    ("by", "gone"),
    [
        ("202311_1_20_1", ["202311_3_3_0", "202311_2_9_1"]),
        ("202311_3_3_0_21", ["202311_3_3_0"]),
        ("202312_1_20_1", []),
        ("202311_4_30_1", []),
    ],
)
def test_a_part_covers_those_whose_blocks_it_took_over(by: str, gone: list[str]) -> None:
    """Of its own partition, by merge or by change."""
    assert covered(["202311_3_3_0", "202311_2_9_1"], [by]) == gone
