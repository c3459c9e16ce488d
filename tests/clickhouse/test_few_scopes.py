"""Usage of a few periods by a plain question: what the joined question says, or nothing."""

from __future__ import annotations

from decimal import Decimal

import polars as pl
import pytest

from clickhouse import usage
from clickhouse.client import UsageStore
from clickhouse.few_scopes import plain_usage
from clickhouse.usage import usage_for_period
from tests.clickhouse.builders import AGGREGATIONS, at, random_usage, window
from tests.clickhouse.test_usage import CUTOFF, put, scope, scopes_frame

PERIODS = (("2023-11-01", "2023-12-01"), ("2023-10-31T23:00", "2023-11-30T23:00"), ("2023-11-15", "2023-11-16"))
PLAIN = [name for name in AGGREGATIONS if name != "unique"]


def asked_of(aggregations: list[str]) -> pl.DataFrame:
    """Overlapping periods of two merchants' customers, one of whom used nothing."""
    return scopes_frame(
        [
            scope(name, merchant_id=f"mer_{n % 2}", customer_id=f"cus_{n}")
            | {"period_start": at(start), "period_end": at(end)}
            for start, end in PERIODS
            for n in (0, 1, 99)
            for name in aggregations
        ]
    )


@pytest.mark.parametrize("aggregations", [PLAIN, *([name] for name in PLAIN)])
def test_the_plain_question_says_what_the_joined_one_does(
    usage_store: UsageStore, monkeypatch: pytest.MonkeyPatch, aggregations: list[str]
) -> None:
    """To the last digit, with as many windows of the same span, for one aggregation or several."""
    put(usage_store, *random_usage(7, 3000, start=at("2023-10-25"), minutes=45 * 24 * 60))
    asked, cutoff = asked_of(aggregations), at("2023-11-28T00:00:00")
    assert plain_usage(usage_store, asked, cutoff) is not None
    found = usage_for_period(usage_store, asked, cutoff)

    monkeypatch.setattr(usage, "SCOPES_PLAIN_MAX", 0)

    assert found.equals(usage_for_period(usage_store, asked, cutoff))
    assert found["windows"].sum() > 0


def test_a_derivation_behind_an_aggregation_is_left_out(usage_store: UsageStore) -> None:
    """Usage is asked for as the windows have it."""
    put(usage_store, [window(sum=Decimal(3))], [])
    asked = scopes_frame([scope() | {"aggregation": "sum bucket:hour:max"}])

    found = plain_usage(usage_store, asked, CUTOFF)

    assert found is not None and found["quantity"].to_list() == [Decimal(3)]


def test_what_windows_alone_do_not_tell_is_not_answered(usage_store: UsageStore) -> None:
    """Distinct values, windows that were restated until the cut-off, and sums that do not fit."""
    large = window(sum=Decimal(10) ** 25 * 9, customer_id="cus_large")
    restating = window(restates=1, customer_id="cus_restated", stored_at=CUTOFF)
    put(usage_store, [window(), *([large] * 2), restating], [])

    def answer(cutoff: str, *rows: dict[str, object]) -> pl.DataFrame | None:
        return plain_usage(usage_store, scopes_frame([*rows]), at(cutoff))

    before, after = "2023-12-04T23:59:00", "2023-12-06T00:00:00"
    assert answer(after, scope("sum"), scope("unique")) is None
    assert answer(after, scope(), scope(customer_id="cus_restated")) is None
    assert answer(before, scope(), scope(customer_id="cus_restated")) is not None
    assert answer(after, scope(customer_id="cus_large")) is None
