"""What was added to closed periods after their cut-off."""

from __future__ import annotations

from datetime import timedelta

import polars as pl

from clickhouse.client import UsageStore
from clickhouse.exact import MERCHANTS_NAMED_MAX
from clickhouse.late import LATE_USAGE, late_owners, late_usage
from clickhouse.schema import USAGE_SCOPES
from tests.clickhouse.builders import Row, at, window, windows_frame

START, END = at("2023-11-01"), at("2023-12-01")
CUTOFF = at("2023-12-02")
AFTER = CUTOFF + timedelta(microseconds=1)
SCOPE = {name: kind for name, kind in USAGE_SCOPES.items() if name not in {"question", "row"}}


def scopes(*rows: Row) -> pl.DataFrame:
    """Scopes of November, of the first customer unless said otherwise."""
    plain: Row = {"merchant_id": "mer_1", "customer_id": "cus_1", "meter_id": "mtr_sum", "aggregation": "sum"}
    plain |= {"period_start": START, "period_end": END}
    return pl.DataFrame([plain | row for row in rows], schema=SCOPE)


def put(store: UsageStore) -> None:
    """One delta in time, two late ones, and late ones of other months and customers."""
    rows = [
        window(stored_at=CUTOFF),
        window(stored_at=AFTER, events=2, block_first=1),
        window(stored_at=AFTER + timedelta(hours=1), events=3, window_start=END - timedelta(minutes=1), block_first=2),
        window(stored_at=AFTER, window_start=END, block_first=3),
        window(stored_at=AFTER, window_start=START - timedelta(minutes=1), block_first=4),
        window(stored_at=AFTER, customer_id="cus_2", events=7, block_first=5),
        window(stored_at=AFTER, merchant_id="mer_2", customer_id="cus_9", block_first=6),
    ]
    store.insert_frame("usage_windows", windows_frame(rows), token="w")


def test_late_windows_are_told_by_scope(usage_store: UsageStore) -> None:
    """Events, the windows they fell into and when the last was stored; scopes without any are left out."""
    put(usage_store)

    found = late_usage(usage_store, scopes({}, {"customer_id": "cus_2"}, {"customer_id": "cus_3"}), CUTOFF)

    assert found.select("customer_id", *LATE_USAGE).rows() == [
        ("cus_1", 5, at("2023-11-20T12:00"), END - timedelta(minutes=1), AFTER + timedelta(hours=1)),
        ("cus_2", 7, at("2023-11-20T12:00"), at("2023-11-20T12:00"), AFTER),
    ]
    assert late_usage(usage_store, scopes(), CUTOFF).height == 0


def test_whose_windows_are_late_is_asked_first(usage_store: UsageStore) -> None:
    """Of the merchants named; with very many of them, of everybody."""
    put(usage_store)
    many = [f"mer_{number}" for number in range(100, 101 + MERCHANTS_NAMED_MAX)]

    def owners(*merchants: str) -> list[str]:
        found = late_owners(usage_store, start=START, end=END, cutoff=CUTOFF, merchant_ids=merchants)
        return sorted(found["customer_id"])

    assert owners("mer_1") == ["cus_1", "cus_2"]
    assert owners("mer_2") == ["cus_9"]
    assert owners(*many) == ["cus_1", "cus_2", "cus_9"]


def test_usage_that_was_taken_back_or_changed_is_late_as_well(usage_store: UsageStore) -> None:
    """A restated window is as late as the events that it lost or gained since the cut-off, and as one at least."""
    rows = [
        window(stored_at=CUTOFF, events=9),
        window(stored_at=AFTER, events=4, block_first=1),
        window(stored_at=AFTER + timedelta(hours=1), events=7, restates=1, block_first=2),
        window(stored_at=AFTER + timedelta(hours=2), events=1, block_first=3),
        window(stored_at=CUTOFF, events=5, partition=1),
        window(stored_at=AFTER, events=0, restates=1, partition=1, block_first=1),
        window(stored_at=CUTOFF, events=5, customer_id="cus_2"),
        window(stored_at=AFTER, events=5, restates=1, customer_id="cus_2", block_first=1),
        window(stored_at=CUTOFF - timedelta(hours=1), events=5, customer_id="cus_3"),
        window(stored_at=CUTOFF, events=2, restates=1, customer_id="cus_3", block_first=1),
    ]
    usage_store.insert_frame("usage_windows", windows_frame(rows), token="w")

    asked: list[Row] = [{"customer_id": f"cus_{number}"} for number in (1, 2, 3)]

    found = late_usage(usage_store, scopes(*asked), CUTOFF)

    assert found.select("customer_id", "events", "last_stored_at").rows() == [
        ("cus_1", abs(7 + 1 - 9) + 5, AFTER + timedelta(hours=2)),
        ("cus_2", 1, AFTER),
    ]
    owners = late_owners(usage_store, start=START, end=END, cutoff=CUTOFF, merchant_ids=["mer_1"])
    assert sorted(owners["customer_id"]) == ["cus_1", "cus_2"]
