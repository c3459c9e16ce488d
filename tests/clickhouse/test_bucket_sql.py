"""Usage in buckets by either text: the same numbers, whatever was restated and however a question is narrowed."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from clickhouse.bucket_sql import plain_sql
from clickhouse.client import UsageStore
from clickhouse.errors import UsageStoreError
from clickhouse.report import LATEST, Grain, UsageQuestion, usage_by
from tests.clickhouse.builders import Row, window
from tests.clickhouse.naive import counting, month_of, naive_usage
from tests.clickhouse.test_corrections import LATER, START, nothing_restated, put, random_rows
from tests.clickhouse.test_views import hour_of


@pytest.mark.parametrize("restated", [True, False])
def test_a_narrowed_question_is_answered_alike_whatever_was_restated(usage_store: UsageStore, restated: bool) -> None:
    """By customer, name, meter, group and span; whether distinct values were expected changes nothing."""
    windows, uniques = random_rows(11, 500)
    windows = windows if restated else nothing_restated(windows)
    put(usage_store, windows, uniques)
    left, values = counting(windows, windows, LATEST), counting(uniques, windows, LATEST)
    since, until = START + timedelta(minutes=5), START + timedelta(minutes=30)
    narrowed: list[tuple[dict[str, Any], Callable[[Row], bool]]] = [
        ({}, lambda _row: True),
        ({"customer_ids": ("cus_1",)}, lambda row: row["customer_id"] == "cus_1"),
        ({"subjects": ("c-0", "c-9")}, lambda row: row["subject"] == "c-0"),
        ({"meters": ("max_meter", "sum_meter")}, lambda row: row["meter"] in {"max_meter", "sum_meter"}),
        ({"meters": ("unique_meter",)}, lambda row: row["meter"] == "unique_meter"),
        ({"since": since, "until": until}, lambda row: since <= row["window_start"] < until),  # type: ignore[operator]
    ]
    grains: dict[Grain, Callable[[Row], Hashable]] = {
        "minute": lambda row: row["window_start"],
        "hour": hour_of,
        "month": lambda row: month_of(row, "UTC"),
        "total": lambda _row: 1,
    }

    for asked, belongs in narrowed:
        for grain, bucket in grains.items():
            key = lambda row: (bucket(row), row["group_key"])  # noqa: E731, B023
            expected = naive_usage([r for r in left if belongs(r)], [r for r in values if belongs(r)], key)
            for distinct in (False, True):
                question = UsageQuestion(grain=grain, by_group=True, distinct=distinct, **asked)
                rows = usage_by(usage_store, question).iter_rows(named=True)
                names = ("merchant_id", "customer_id", "meter_id", "aggregation")
                found = {
                    (*(row[name] for name in names), (1 if grain == "total" else row["starts_at"], row["group_key"])): (
                        row["events"],
                        row["quantity"],
                    )
                    for row in rows
                }
                assert found == expected, (asked, grain, distinct)


def test_what_was_restated_under_another_name_is_not_shown_under_the_old_one(usage_store: UsageStore) -> None:
    """A customer's key and a meter's code are names only: a question for the old one still meets the restatement."""
    put(usage_store, [window(subject="old", meter="before"), window(customer_id="cus_2", subject="c-2")], [])
    renamed = window(subject="new", meter="after", sum=Decimal(7), restates=1, stored_at=LATER)
    put(usage_store, [renamed], [], "renamed")

    for question, quantities in {
        UsageQuestion(subjects=("old",)): [],
        UsageQuestion(meters=("before",)): [],
        UsageQuestion(subjects=("new",)): [Decimal(7)],
        UsageQuestion(meters=("after",), limit=1): [Decimal(7)],
        UsageQuestion(subjects=("c-2",), limit=1): [Decimal(1)],
    }.items():
        assert usage_by(usage_store, question)["quantity"].to_list() == quantities, question


def test_a_sum_that_fits_since_a_correction_is_shown(usage_store: UsageStore) -> None:
    """Rows that count no longer cannot make a question fail; without the correction it does."""
    huge = Decimal(90000000000000000000000000)
    put(usage_store, [window(sum=huge), window(sum=huge, partition=1)], [])
    with pytest.raises(UsageStoreError, match="DECIMAL_OVERFLOW"):
        usage_by(usage_store, UsageQuestion())

    put(usage_store, [window(sum=Decimal(1), restates=1, stored_at=LATER)], [], "smaller")

    assert usage_by(usage_store, UsageQuestion())["quantity"].to_list() == [huge + 1]


def test_a_customers_question_is_found_by_the_primary_key_and_joins_nothing(usage_store: UsageStore) -> None:
    """As long as nothing was restated: planning the join costs more than reading the rows."""
    filters = {"merchant_id": ["mer_1"], "customer_id": ["cus_1"]}
    bound = {f"{name}s": values for name, values in filters.items()}
    bound |= {"zone": "UTC", "since": "2023-11-01 00:00:00", "until": "2023-12-01 00:00:00", "limit": 9}  # type: ignore[dict-item]
    put(usage_store, [window()], [])

    sql = plain_sql("total", filters, by_group=False, values=False)
    plan = "\n".join(usage_store.query_frame(f"EXPLAIN indexes = 1 {sql}", bound)["explain"])

    assert "Join" not in plan and "usage_uniques" not in plan
    assert all(name in plan.split("PrimaryKey")[1] for name in ("merchant_id", "customer_id", "window_start"))
