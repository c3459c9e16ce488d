"""The command ``millrace prices``."""

from __future__ import annotations

import json

import polars as pl
import pytest
from sqlalchemy import Engine
from typer.testing import CliRunner

from clickhouse.client import UsageStore
from core.errors import Refused
from runtime.cli import build_app
from tests.rating.month import Month

CATALOG = """
merchant: {code: acme}
meters: [{code: tokens, event_type: t, aggregation: sum, value: n}]
plans: [{code: payg, currency: USD, prices: [{meter: tokens, model: per_unit, unit_price: 2}]}]
customers: [{key: "[a]", currency: USD}, {key: b, currency: USD}]
subscriptions: [{customer: "[a]", plan: payg, start: 2023-11-01}, {customer: b, plan: payg, start: 2090-01-01}]
"""
NEXT = """
merchant: {code: acme}
plans: [{code: payg, currency: USD, prices: [{meter: tokens, model: per_unit, unit_price: 3, from: 2090-02-01}]}]
"""
WORDS = "prices migrate --merchant acme --plan payg --meter tokens --to 2090-02-01 --from 2090-03-01".split()


@pytest.fixture
def month(books: Engine, usage_store: UsageStore, stores_env: None) -> Month:
    """A customer that has begun and one that has not, of a price of which there is a second version."""
    made = Month(books, usage_store)
    made.sell(CATALOG)
    made.sell(NEXT)
    return made


def run(*words: str) -> str:
    """What the command prints."""
    done = CliRunner().invoke(build_app(), list(words), catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def test_the_effect_is_shown_before_subscriptions_move(month: Month) -> None:
    """As JSON and as a table; a customer that no period has ended of yet has no amounts."""
    effect = json.loads(run(*WORDS, "--preview", "--json"))

    began, later = effect["subscriptions"]
    assert (began["subject"], began["old_amount"], began["new_amount"], began["amount"]) == ("[a]", "0", "0", "0")
    assert (later["subject"], later["period_start"], later["amount"]) == ("b", None, None)
    shown = run(*WORDS, "--preview")
    assert "[a]" in shown
    assert "none has ended" in shown
    assert "USD: 0 -> 0, difference 0" in shown
    assert month.priced()["priced_from"].null_count() == 2


def test_subscriptions_move_once(month: Month) -> None:
    """In words and as JSON."""
    assert "catalog version 3: 2 subscriptions migrated" in run(*WORDS)
    assert json.loads(run(*WORDS, "--json")) == {"migrated": 0, "catalog_version": 3}
    assert month.priced().filter(pl.col("priced_from").is_not_null()).height == 2


def test_a_wrong_day_is_refused(month: Month) -> None:
    """With the field that it stands in."""
    with pytest.raises(Refused, match="migration is invalid") as refused:
        run(*WORDS[:-1], "soon")

    assert [problem.field for problem in refused.value.problems] == ["from"]
