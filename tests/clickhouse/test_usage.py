"""Usage as of a cut-off, for all scopes at once."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal

import polars as pl

from clickhouse.client import UsageStore
from clickhouse.schema import PERIOD_USAGE, USAGE_SCOPES
from clickhouse.usage import events_behind, usage_for_period, windows_behind
from tests.clickhouse.builders import (
    AGGREGATIONS,
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
from tests.clickhouse.naive import quantity_of

CUTOFF = at("2023-12-05T00:00:00")
SCOPE = {name: kind for name, kind in USAGE_SCOPES.items() if name not in {"question", "row"}}


def scopes_frame(rows: list[Row]) -> pl.DataFrame:
    """Scopes as rating hands them over, with a column of its own."""
    return pl.DataFrame(rows, schema=SCOPE | {"price_id": pl.String()})


def scope(aggregation: str = "sum", **given: object) -> Row:
    """The scope of the first customer's November."""
    row: Row = {
        "merchant_id": "mer_1",
        "customer_id": "cus_1",
        "meter_id": f"mtr_{aggregation}",
        "aggregation": aggregation,
        "period_start": at("2023-11-01"),
        "period_end": at("2023-12-01"),
        "price_id": "price_1",
    }
    return row | given


def put(store: UsageStore, windows: list[Row], uniques: list[Row]) -> None:
    """Store deltas."""
    store.insert_frame("usage_windows", windows_frame(windows), token="w")
    store.insert_frame("usage_uniques", uniques_frame(uniques), token="u")


def inside(row: Row, asked: Row, cutoff: datetime) -> bool:
    """Whether a delta counts for a scope, in plain words."""
    same = all(row[name] == asked[name] for name in ("merchant_id", "customer_id", "meter_id"))
    start, stored = row["window_start"], row["stored_at"]
    assert isinstance(start, datetime)
    assert isinstance(stored, datetime)
    period_start, period_end = asked["period_start"], asked["period_end"]
    assert isinstance(period_start, datetime)
    assert isinstance(period_end, datetime)
    return same and stored <= cutoff and period_start <= start < period_end


def test_every_scope_gets_its_exact_usage_as_of_the_cutoff(usage_store: UsageStore) -> None:
    """All aggregations, customers and overlapping periods in one question agree with Python, row by row."""
    windows, uniques = random_usage(5, 3000, start=at("2023-10-25"), minutes=45 * 24 * 60)
    put(usage_store, windows, uniques)
    cutoff = at("2023-11-28T00:00:00")
    periods = [("2023-11-01", "2023-12-01"), ("2023-10-31T23:00", "2023-11-30T23:00"), ("2023-11-15", "2023-11-16")]
    asked = [
        scope(aggregation, merchant_id=f"mer_{n % 2}", customer_id=f"cus_{n}", price_id=f"price_{start}")
        | {"period_start": at(start), "period_end": at(end)}
        for start, end in periods
        for n in range(4)
        for aggregation in AGGREGATIONS
    ]

    found = usage_for_period(usage_store, scopes_frame(asked), cutoff)

    assert found.select(scopes_frame(asked).columns).equals(scopes_frame(asked))
    for question, answer in zip(asked, found.iter_rows(named=True), strict=True):
        rows = [row for row in windows if inside(row, question, cutoff)]
        values = {str(row["value"]) for row in uniques if inside(row, question, cutoff)}
        expected = quantity_of(str(question["aggregation"]), rows, values) if rows else Decimal(0)
        minutes = {(row["window_start"], row["group_key"]) for row in rows}
        assert (answer["windows"], answer["quantity"]) == (len(minutes), expected), question
        assert answer["first_window"] == min((row["window_start"] for row in rows), default=None)  # type: ignore[type-var]


def test_the_period_is_half_open_and_the_cutoff_is_inclusive(usage_store: UsageStore) -> None:
    """The first minute is in, the minute at the end is out; what was stored a microsecond too late is out."""
    rows = [
        window(window_start=at("2023-11-01"), sum=Decimal(1)),
        window(window_start=at("2023-11-30T23:59:00"), sum=Decimal(10), stored_at=CUTOFF),
        window(window_start=at("2023-12-01"), sum=Decimal(100)),
        window(window_start=at("2023-10-31T23:59:00"), sum=Decimal(1000)),
        window(window_start=at("2023-11-10"), sum=Decimal(10000), stored_at=CUTOFF + timedelta(microseconds=1)),
    ]
    put(usage_store, rows, [])

    found = usage_for_period(usage_store, scopes_frame([scope()]), CUTOFF)

    assert found["quantity"].to_list() == [Decimal(11)]
    assert found["last_window"].to_list() == [at("2023-11-30T23:59:00")]


def test_a_scope_without_usage_and_no_scope_at_all_are_answered(usage_store: UsageStore) -> None:
    """Zeros and no windows; an empty frame keeps its declared columns."""
    nothing = usage_for_period(usage_store, scopes_frame([scope(), scope("unique")]), CUTOFF)
    empty = usage_for_period(usage_store, scopes_frame([]), CUTOFF)

    assert nothing.select(list(PERIOD_USAGE)).rows() == [(0, 0, None, None, Decimal(0))] * 2
    assert nothing.schema == empty.schema == scopes_frame([]).schema | PERIOD_USAGE


def test_the_same_question_gives_the_same_answer_while_more_arrives(usage_store: UsageStore) -> None:
    """A frozen quantity stays frozen."""
    put(usage_store, [window(sum=Decimal("45.149935"))], [])
    first = usage_for_period(usage_store, scopes_frame([scope()]), CUTOFF)
    usage_store.insert_frame(
        "usage_windows", windows_frame([window(stored_at=CUTOFF + timedelta(days=1))]), token="late"
    )

    again = usage_for_period(usage_store, scopes_frame([scope()]), CUTOFF)

    assert first.equals(again)
    assert first["quantity"].to_list() == [Decimal("45.149935")]


def test_the_windows_behind_a_line_add_up_to_it(usage_store: UsageStore) -> None:
    """Several blocks' deltas of one minute show as one window; other customers' and late ones do not show."""
    rows = [
        window(sum=Decimal(2), events=2),
        window(sum=Decimal(3), events=1, block_first=9),
        window(sum=Decimal(5), window_start=at("2023-11-21T00:01:00"), group_key='{"model":"large"}'),
        window(customer_id="cus_2"),
        window(stored_at=CUTOFF + timedelta(hours=1)),
    ]
    put(usage_store, rows, [])

    found = windows_behind(
        usage_store,
        merchant_id="mer_1",
        customer_id="cus_1",
        meter_id="mtr_sum",
        start=at("2023-11-01"),
        end=at("2023-12-01"),
        cutoff=CUTOFF,
    )

    assert found.select("window_start", "group_key", "events", "quantity", "deltas").rows() == [
        (at("2023-11-20T12:00:00"), "", 3, Decimal(5), 2),
        (at("2023-11-21T00:01:00"), '{"model":"large"}', 1, Decimal(5), 1),
    ]


def test_distinct_values_of_a_window_are_counted_behind_a_line(usage_store: UsageStore) -> None:
    """A unique meter's window shows how many values it had."""
    put(usage_store, [window(meter_id="mtr_unique", aggregation="unique", events=4)], [unique("a"), unique("b")])

    found = windows_behind(
        usage_store,
        merchant_id="mer_1",
        customer_id="cus_1",
        meter_id="mtr_unique",
        start=at("2023-11-01"),
        end=at("2023-12-01"),
        cutoff=CUTOFF,
    )

    assert found.select("aggregation", "events", "quantity").rows() == [("unique", 4, Decimal(2))]


def test_the_events_behind_a_line_are_the_counted_ones(usage_store: UsageStore) -> None:
    """Repeats and other types are left out; times keep their microseconds."""
    rows = [
        event("b", occurred_at=at("2023-11-20T12:00:30.000002")),
        event("a", occurred_at=at("2023-11-20T12:00:30.000001")),
        event("a", fate="duplicate", kafka_offset=1),
        event("c", type="other"),
        event("d", occurred_at=at("2023-12-01")),
    ]
    usage_store.insert_frame("usage_events", events_frame(rows), token="e")

    found = events_behind(
        usage_store,
        merchant_id="mer_1",
        subject="c-1",
        event_type="llm.request",
        start=at("2023-11-01"),
        end=at("2023-12-01"),
        cutoff=CUTOFF,
    )

    assert found["event_id"].to_list() == ["a", "b"]
    assert found["occurred_at"].to_list() == [at("2023-11-20T12:00:30.000001"), at("2023-11-20T12:00:30.000002")]
