"""What counts after corrections, held against Python that reads the rules row by row, at any cut-off."""

from __future__ import annotations

import random
from collections.abc import Callable, Hashable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import polars as pl
import pytest

from clickhouse.client import UsageStore
from clickhouse.migrate import migrate, rollback
from clickhouse.mirror import mirror_customers
from clickhouse.report import LATEST, Grain, UsageQuestion, usage_by
from clickhouse.schema import USAGE_EVENTS, USAGE_SCOPES, USAGE_UNIQUES
from clickhouse.usage import usage_for_period, windows_behind
from tests.clickhouse.builders import (
    AGGREGATIONS,
    Row,
    at,
    event,
    events_frame,
    random_window,
    unique,
    uniques_frame,
    window,
    windows_frame,
)
from tests.clickhouse.naive import counting, day_of, month_of, naive_usage, quantity_of
from tests.clickhouse.test_views import read

START = at("2023-11-09T23:40:00")
STORED = at("2023-11-10T12:00:00")
# After what the builders store.
LATER = at("2023-11-21T12:00:00")
SEEDS = range(5)
SCOPE = {name: kind for name, kind in USAGE_SCOPES.items() if name not in {"question", "row"}}


def random_rows(seed: int, count: int) -> tuple[list[Row], list[Row]]:
    """Windows and distinct values of few minutes, written again and again by three partitions, a third restated."""
    chance = random.Random(seed)
    windows: list[Row] = []
    uniques: list[Row] = []
    for number in range(count):
        row = random_window(chance, START + timedelta(minutes=chance.randrange(40)), customers=2)
        stored_at = STORED + timedelta(seconds=chance.randrange(400))
        row |= {"partition": chance.randrange(3), "stored_at": stored_at, "block_first": number}
        if chance.random() < 0.3:
            row |= {"restates": 1}
            if chance.random() < 0.4:
                row |= {"events": 0} | dict.fromkeys(("sum", "min", "max", "last"), Decimal(0))
        windows.append(row)
        if row["aggregation"] == "unique" and row["events"]:
            named = {name: row[name] for name in USAGE_UNIQUES if name != "value"}
            uniques += [unique(f"v{value}", **named) for value in chance.sample(range(12), chance.randint(1, 3))]
    return windows, uniques


def put(store: UsageStore, windows: list[Row], uniques: list[Row], token: str = "") -> None:
    """Store deltas in several inserts."""
    for block in range(0, len(windows), 300):
        store.insert_frame("usage_windows", windows_frame(windows[block : block + 300]), token=f"w{block}{token}")
    store.insert_frame("usage_uniques", uniques_frame(uniques), token=f"u{token}")


def nothing_restated(windows: list[Row]) -> list[Row]:
    """The same rows as if none of them restated anything."""
    return [row | {"restates": 0} for row in windows if row["events"]]


@pytest.mark.parametrize("seed", SEEDS)
def test_every_view_shows_restated_windows_as_the_rules_say(usage_store: UsageStore, seed: int) -> None:
    """Every aggregation, bucket, zone and group; a window that lost all its events is not shown."""
    windows, uniques = random_rows(seed, 1200)
    put(usage_store, windows, uniques)
    mirror_customers(
        usage_store,
        pl.DataFrame(
            [
                {"merchant_id": f"mer_{n}", "customer_id": f"cus_{n}", "subject": f"c-{n}", "name": "", "zone": "UTC"}
                | {"currency": "USD"}
                for n in range(2)
            ]
        ),
        version=1,
    )
    left = counting(windows, windows, LATEST)
    values = counting(uniques, windows, LATEST)
    assert 0 < len(left) < len(windows)
    minute: Callable[[Row], Hashable] = lambda row: row["window_start"]  # noqa: E731
    zone = "Asia/Kolkata"
    expected: dict[str, tuple[tuple[str, ...], Callable[[Row], Hashable]]] = {
        "usage_by_minute": (("starts_at",), minute),
        "usage_by_day": (("starts_at",), lambda row: day_of(row, "UTC")),
        "usage_by_month": (("starts_at",), lambda row: month_of(row, "UTC")),
        f"usage_by_day_in(zone = '{zone}')": (("starts_at",), lambda row: day_of(row, zone)),
        f"usage_by_month_in(zone = '{zone}')": (("starts_at",), lambda row: month_of(row, zone)),
        "usage_by_group": (("starts_at", "group_key"), lambda row: (day_of(row, "UTC"), row["group_key"])),
        "usage_total": (("1",), lambda _row: 1),
        "usage_month_at(at = '2023-11-10 12:00:00')": (("1",), lambda _row: 1),
    }

    for view, (buckets, bucket) in expected.items():
        assert read(usage_store, view, *buckets) == naive_usage(left, values, bucket), view

    grains: dict[Grain, Callable[[Row], Hashable]] = {"minute": minute, "day": lambda row: day_of(row, "UTC")}
    for grain, bucket in grains.items():
        rows = usage_by(usage_store, UsageQuestion(grain=grain)).iter_rows(named=True)
        names = ("merchant_id", "customer_id", "meter_id", "aggregation", "starts_at")
        found = {tuple(row[name] for name in names): (row["events"], row["quantity"]) for row in rows}
        assert found == naive_usage(left, values, bucket), grain


@pytest.mark.parametrize("seed", SEEDS)
def test_usage_as_of_any_cutoff_is_what_was_known_then(usage_store: UsageStore, seed: int) -> None:
    """Each period's quantity, and the windows behind a line, before, between and after the restatements."""
    windows, uniques = random_rows(seed, 900)
    put(usage_store, windows, uniques)
    periods = [(START, START + timedelta(minutes=40)), (START + timedelta(minutes=7), START + timedelta(minutes=20))]
    asked: list[Row] = [
        {"merchant_id": f"mer_{n}", "customer_id": f"cus_{n}", "meter_id": f"mtr_{aggregation}"}
        | {"aggregation": aggregation, "period_start": start, "period_end": end}
        for start, end in periods
        for n in range(2)
        for aggregation in AGGREGATIONS
    ]
    scopes = pl.DataFrame(asked, schema=SCOPE)

    for seconds in (0, 100, 250, 400):
        cutoff = STORED + timedelta(seconds=seconds)
        left, values = counting(windows, windows, cutoff), counting(uniques, windows, cutoff)
        found = usage_for_period(usage_store, scopes, cutoff)
        for question, answer in zip(asked, found.iter_rows(named=True), strict=True):
            rows = [row for row in left if inside(row, question)]
            distinct = {str(row["value"]) for row in values if inside(row, question)}
            quantity = quantity_of(str(question["aggregation"]), rows, distinct) if rows else Decimal(0)
            assert answer["quantity"] == quantity, (question, seconds)
            assert answer["events"] == sum(int(str(row["events"])) for row in rows)
            assert answer["windows"] == len({(row["window_start"], row["group_key"]) for row in rows})
        behind = windows_behind(
            usage_store,
            merchant_id="mer_1",
            customer_id="cus_1",
            meter_id="mtr_max",
            start=START,
            end=START + timedelta(minutes=40),
            cutoff=cutoff,
        )
        own = [row for row in left if row["meter_id"] == "mtr_max" and row["customer_id"] == "cus_1"]
        usage = naive_usage(own, [], lambda row: (row["window_start"], row["group_key"]))
        shown = behind.select("window_start", "group_key", "events", "quantity").rows()
        assert {row[:2]: row[2:] for row in shown} == {key[-1]: said for key, said in usage.items()}


def inside(row: Row, asked: Row) -> bool:
    """Whether a row is of a scope."""
    same = all(row[name] == asked[name] for name in ("merchant_id", "customer_id", "meter_id"))
    return same and asked["period_start"] <= row["window_start"] < asked["period_end"]  # type: ignore[operator]


def test_a_merchant_whose_usage_nobody_corrected_sees_no_difference(usage_store: UsageStore) -> None:
    """Restatements of one merchant's windows change no number of another's, nor of another meter or minute."""
    windows, uniques = random_rows(7, 600)
    plain = nothing_restated(windows)
    put(usage_store, plain, uniques)
    before = read(usage_store, "usage_by_minute", "starts_at")
    first = plain[0]

    again = {"restates": 1, "events": 0, "stored_at": LATEST - timedelta(days=1)}
    usage_store.insert_frame("usage_windows", windows_frame([first | again]), token="again")

    after = read(usage_store, "usage_by_minute", "starts_at")
    here = (first["merchant_id"], first["customer_id"], first["meter_id"], first["aggregation"], first["window_start"])
    assert {key: said for key, said in after.items() if key != here} == {
        key: said for key, said in before.items() if key != here
    }
    assert after.get(here) != before[here]


def test_a_partitions_restatement_leaves_the_other_partitions_alone(usage_store: UsageStore) -> None:
    """Each partition speaks for itself, even at the same instant; what it adds later counts on top."""
    put(
        usage_store,
        [
            window(partition=0, sum=Decimal(1), events=1),
            window(partition=1, sum=Decimal(10), events=1),
            window(partition=0, sum=Decimal(100), events=4, restates=1, stored_at=LATER, block_first=5),
            window(partition=0, sum=Decimal(1000), events=1, stored_at=LATER + timedelta(seconds=1), block_first=6),
        ],
        [],
    )

    assert usage_store.query_frame("SELECT events, quantity FROM usage_total").rows() == [(6, Decimal(1110))]


def test_a_window_that_lost_its_events_is_gone_and_may_come_back(usage_store: UsageStore) -> None:
    """Nothing is shown of it, not even a zero; a minimum is not lowered by it."""
    lowest: dict[str, Any] = {"meter_id": "mtr_min", "meter": "min_meter", "aggregation": "min"}
    put(usage_store, [window(**lowest, min=Decimal(5))], [])
    gone = window(**lowest, events=0, min=Decimal(0), restates=1, stored_at=LATER)
    put(usage_store, [gone], [], "gone")

    assert usage_store.query_frame("SELECT quantity FROM usage_total").is_empty()

    put(usage_store, [window(**lowest, min=Decimal(9), stored_at=LATER + timedelta(seconds=1))], [], "back")
    assert usage_store.query_frame("SELECT quantity FROM usage_total").rows() == [(Decimal(9),)]


def test_rows_from_before_there_were_corrections_count_as_they_did(usage_store: UsageStore) -> None:
    """A store that is brought up to date keeps every row; what is corrected afterwards changes that alone."""
    windows, uniques = random_rows(3, 300)
    # There were no averages then.
    windows = [row for row in nothing_restated(windows) if row["aggregation"] != "avg"]
    rollback(usage_store, 3)
    usage_store.insert_frame("usage_windows", windows_frame(windows).drop("restates"), token="w")
    usage_store.insert_frame("usage_uniques", uniques_frame(uniques), token="u")
    old = events_frame([event("a"), event("b"), event("c", fate="held")])
    usage_store.insert_frame("usage_events", old.drop("action", "correction_id"), token="e")
    before = read(usage_store, "usage_by_minute", "starts_at")

    migrate(usage_store)

    assert read(usage_store, "usage_by_minute", "starts_at") == before
    assert sorted(usage_store.query_frame("SELECT event_id FROM usage_counted")["event_id"]) == ["a", "b"]
    taken_back = events_frame([event("a", action="retract", fate="retraction", stored_at=LATER)])
    usage_store.insert_frame("usage_events", taken_back, token="r")
    again = windows[0] | {"restates": 1, "events": 77, "stored_at": LATEST - timedelta(days=1)}
    usage_store.insert_frame("usage_windows", windows_frame([again]), token="again")
    rows = [*windows, again]
    assert list(usage_store.query_frame("SELECT event_id FROM usage_counted")["event_id"]) == ["b"]
    assert read(usage_store, "usage_by_minute", "starts_at") == naive_usage(
        counting(rows, rows, LATEST), counting(uniques, rows, LATEST), lambda row: row["window_start"]
    )
    assert usage_store.query_frame("SELECT * EXCEPT fate, toString(fate) AS f FROM usage_counted").width == len(
        USAGE_EVENTS
    )
