"""Expressions in SQL, on the engine: to the last place what plain decimals say, and nothing where these say nothing."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from clickhouse.client import UsageStore
from clickhouse.expression import expression_sql
from clickhouse.recompute import Rule
from core.errors import BadEvent, Refused
from core.expression import Expression, read_expression
from core.limits import EXPRESSION_STEPS_MAX
from tests.clickhouse.test_exact import properties, put, quantities, said
from tests.streams.expression_oracle import EXPRESSIONS, SAID, worked_out

GB_SECONDS = "properties.gb * properties.seconds / 3600"


def readable(text: str) -> Expression:
    """The expression; examples beyond its limits are none."""
    try:
        return read_expression(text)
    except Refused as refused:
        assume(refused.code != "expression_too_long")
        raise


def asked(store: UsageStore, expression: Expression, rows: list[dict[str, str]]) -> list[Decimal | None]:
    """What the engine makes of events with these properties."""
    sql = expression_sql(expression, "e")
    names = sorted(rows[0])
    bound: dict[str, Any] = {**sql.parameters, "names": names, "rows": [[row[name] for name in names] for row in rows]}
    found = store.query_frame(
        f"SELECT toDecimal128(exact, 12) AS value, toTypeName(exact) AS kind FROM (SELECT {sql.value} AS exact "
        "FROM (SELECT mapFromArrays({names:Array(String)}, arrayJoin({rows:Array(Array(String))})) AS properties))",
        bound,
    )
    assert set(found["kind"]) == {"Nullable(Decimal(76, 12))"}
    return found["value"].to_list()


def naive(text: str, row: dict[str, str]) -> Decimal | None:
    """What the definition says."""
    try:
        return worked_out(text, row)
    except BadEvent:
        return None


@given(EXPRESSIONS, st.lists(SAID, min_size=1, max_size=20))
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_engine_says_what_plain_decimals_say(
    usage_store: UsageStore, text: str, rows: list[dict[str, str]]
) -> None:
    """Every step and every bound, whatever is in the other rows of the column."""
    expression = readable(text)

    assert asked(usage_store, expression, rows) == [naive(text, row) for row in rows]


@pytest.mark.parametrize("sign", ["+", "*", "/"])
@pytest.mark.parametrize("deep", [False, True])
def test_the_longest_expressions_fit_a_question(usage_store: UsageStore, sign: str, *, deep: bool) -> None:
    """Both as long chains and inside functions as deep as may be."""
    text = sign.join(["properties.gb"] * (EXPRESSION_STEPS_MAX + 1))
    if deep:
        text = "ceil(max(" * 7 + "properties.gb" + ", 1), 11)" * 7

    assert asked(usage_store, read_expression(text), [{"gb": "1"}]) == [naive(text, {"gb": "1"})]


def test_a_rule_with_an_expression_counts_what_it_comes_to(usage_store: UsageStore) -> None:
    """An event that has no value under other rules than its own is left out, as one whose property is no number."""
    texts = [("3", "1800"), ("0.5", "1"), ("1e3", "3600"), ("many", "1"), ("9e18", "9e18"), ("5", None)]
    rows = []
    for place, (gb, seconds) in enumerate(texts):
        row = said(str(place))
        row["properties"] = properties(gb=gb) if seconds is None else properties(gb=gb, seconds=seconds)
        rows.append(row)
    put(usage_store, rows)

    rule = Rule("llm.request", None, expression=GB_SECONDS, needs="number")
    assert quantities(usage_store, rule) == [(3, Decimal("1.5") + Decimal("0.000138888889") + 1000)]
    assert quantities(usage_store, rule, {"aggregation": "max"}) == [(3, 1000)]
