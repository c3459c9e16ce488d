"""Rating a month on the real stores: each period once, whatever happens in between."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import polars as pl
import pytest
from sqlalchemy import Connection, Engine, text

from catalog.apply import apply_text
from clickhouse.client import UsageStore
from core.db import transaction
from rating.charge import CHARGE_LINES
from rating.period_close import Closing, Scope, close_period
from tests.rating.month import AFTER, NOON, PERIOD, Month, merchant_yaml


@pytest.fixture
def month(books: Engine, usage_store: UsageStore) -> Month:
    """Two merchants: acme with two customers, birch with one."""
    made = Month(books, usage_store)
    made.sell(merchant_yaml("acme", ["a-1", "a-2"]) + "\n---" + merchant_yaml("birch", ["b-1"]))
    made.use("a-1", "context_tokens", 18_000_000, 59_974)
    made.use("b-1", "generated_tokens", 7)
    return made


def rate_month(month: Month, **options: Any) -> Closing:
    """Rate the month without making invoices of it."""
    scope = Scope(PERIOD, month.clock.now(), options.pop("merchant_ids", None))
    options = {"hand_on": lambda *_handed: None, "on_step": lambda _step: None} | options
    return close_period(month.books, month.store, scope, **options)


def rows(month: Month, sql: str) -> list[tuple[Any, ...]]:
    """The rows of a query on the books."""
    with transaction(month.books) as connection:
        return [tuple(row) for row in connection.execute(text(sql))]


def test_every_price_of_every_subscription_gets_one_line(month: Month) -> None:
    """Used or not: three subscriptions with two prices each are six lines, recorded as they were computed."""
    closing = rate_month(month)

    assert closing.lines.schema == CHARGE_LINES
    found = closing.lines.sort("subject", "meter").select("subject", "meter", "events").rows()
    assert found == [
        ("a-1", "context_tokens", 2),
        ("a-1", "generated_tokens", 0),
        ("a-2", "context_tokens", 0),
        ("a-2", "generated_tokens", 0),
        ("b-1", "context_tokens", 0),
        ("b-1", "generated_tokens", 1),
    ]
    stored = rows(month, "SELECT subject, meter, amount, tiers FROM charge_lines WHERE amount <> 0 ORDER BY 1")
    assert [(row[0], row[1], str(row[2].normalize())) for row in stored] == [
        ("a-1", "context_tokens", "45.149935"),
        ("b-1", "generated_tokens", "0.00007"),
    ]
    assert stored[0][3][0]["quantity"] == "18059974"


def test_a_price_is_written_once_a_run(month: Month) -> None:
    """Two merchants have a run each; every line finds its price in that of its own, and none is there twice."""
    closing = rate_month(month)

    found = rows(
        month,
        """SELECT c.run_id, c.subject, c.meter, p.price::text FROM charge_lines AS c
            JOIN charge_prices AS p USING (run_id, price_number)""",
    )
    assert sorted(found) == sorted(closing.lines.select("run_id", "subject", "meter", "price").rows())
    assert closing.lines.height == 6
    distinct = closing.lines.select("run_id", "price").unique().rows()
    assert sorted(rows(month, "SELECT run_id, price::text FROM charge_prices")) == sorted(distinct)
    assert len(distinct) == 4


def test_a_second_close_finds_nothing_due(month: Month) -> None:
    """What was rated is not rated again, and says so."""
    rate_month(month)

    again = rate_month(month)

    assert again.lines.height == 0
    assert again.rated_before == 3
    assert rows(month, "SELECT count(*) FROM charge_lines") == [(6,)]
    assert rows(month, "SELECT state, count(*) FROM rating_runs GROUP BY 1") == [("recorded", 2)]


def test_a_dry_run_computes_the_same_and_writes_nothing(month: Month) -> None:
    """The same lines up to the ids of runs, and empty tables."""
    dry = rate_month(month, commit=False)
    assert rows(month, "SELECT (SELECT count(*) FROM charge_lines) + (SELECT count(*) FROM rating_runs)") == [(0,)]

    real = rate_month(month)

    columns = pl.exclude("run_id", "cutoff")
    assert dry.lines.select(columns).equals(real.lines.select(columns))


def test_a_close_cut_short_is_finished_with_its_own_cutoff(month: Month) -> None:
    """Usage that came after the first cut-off stays out, as if the first close had never been interrupted."""

    def fail(_connection: Connection, _lines: pl.DataFrame, _adjustments: pl.DataFrame) -> None:
        raise RuntimeError("the power went")

    with pytest.raises(RuntimeError, match="the power went"):
        rate_month(month, hand_on=fail)
    assert rows(month, "SELECT count(*) FROM charge_lines") == [(0,)]
    ((first_cutoff,),) = rows(month, "SELECT DISTINCT cutoff FROM rating_runs WHERE state = 'claimed'")
    month.use("a-1", "context_tokens", 1_000, stored_at=first_cutoff + timedelta(seconds=1))

    closing = rate_month(month)

    assert closing.lines["cutoff"].unique().to_list() == [first_cutoff]
    assert str(closing.lines["amount"].max()).startswith("45.149935")
    assert rows(month, "SELECT DISTINCT state FROM rating_runs") == [("recorded",)]


def test_a_run_left_by_one_merchant_does_not_stop_another(month: Month) -> None:
    """A close of one merchant finishes its own run only; the next one finishes the rest."""
    with pytest.raises(ZeroDivisionError):
        rate_month(month, hand_on=lambda *_handed: 1 // 0)
    birch = month.priced().filter(pl.col("subject") == "b-1")["merchant_id"][0]

    first = rate_month(month, merchant_ids=[birch])
    second = rate_month(month)

    assert first.lines["subject"].unique().to_list() == ["b-1"]
    assert sorted(second.lines["subject"].unique()) == ["a-1", "a-2"]
    assert rows(month, "SELECT DISTINCT state FROM rating_runs") == [("recorded",)]


def test_a_period_that_has_not_ended_waits(month: Month) -> None:
    """In the middle of the month nothing is due."""
    month.clock.instant = NOON

    closing = rate_month(month)

    assert (closing.lines.height, closing.not_ended, closing.rated_before) == (0, 3, 0)


def test_zones_are_closed_as_their_months_end(month: Month) -> None:
    """Honolulu's November ends ten hours after that of UTC; a later close picks it up."""
    month.sell(merchant_yaml("coral", ["h-1"], zone="Pacific/Honolulu"))
    month.clock.instant = AFTER.replace(day=1, hour=3)

    first = rate_month(month)
    month.clock.instant = AFTER.replace(day=1, hour=10)
    second = rate_month(month)

    assert (first.not_ended, first.lines["subscription_id"].n_unique()) == (1, 3)
    assert (second.not_ended, second.lines["subject"].unique().to_list()) == (0, ["h-1"])


def test_a_quantity_that_does_not_fit_parks_its_own_subscription(month: Month) -> None:
    """The store refuses to write the sum; the one it belongs to is found, and all others are billed."""
    most = "9" * 19
    month.use("a-2", "context_tokens", *["99999999999999999999999999"] * 2)
    month.use("b-1", "context_tokens", most)

    closing = rate_month(month)

    parked = closing.lines.filter(pl.col("parked_reason").is_not_null())
    assert parked["subject"].unique().to_list() == ["a-2"]
    assert parked["parked_reason"].str.contains("26 digits").sum() == 1
    assert closing.lines.filter(pl.col("subject") == "b-1")["quantity"].max() == int(most)


def test_a_parked_subscription_is_billed_once_its_reason_is_gone(month: Month) -> None:
    """An amount too large parks; after the price is mended the next close bills it, and the others stay as they are."""
    yaml = merchant_yaml("dear", ["d-1"]).replace("0.0000025", "999999999999")
    month.sell(yaml)
    month.use("d-1", "context_tokens", 1_000_000)
    first = rate_month(month)

    apply_text(month.books, yaml.replace("999999999999", "2"))
    second = rate_month(month)

    assert first.lines.filter(pl.col("parked_reason").is_not_null())["subject"].to_list() == ["d-1", "d-1"]
    assert second.lines.select("subject", "amount", "parked_reason").sort("amount").rows() == [
        ("d-1", 0, None),
        ("d-1", 2_000_000, None),
    ]
    assert rows(month, "SELECT count(*), count(parked_reason) FROM charge_lines WHERE subject = 'd-1'") == [(2, 0)]


def test_an_empty_catalog_closes_without_a_run(books: Engine, usage_store: UsageStore) -> None:
    """Nothing sold, nothing due, nothing written."""
    month = Month(books, usage_store)

    assert rate_month(month).lines.height == 0
    assert rows(month, "SELECT count(*) FROM rating_runs") == [(0,)]
