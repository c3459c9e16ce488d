"""Usage counted again from events of which some were taken back, replaced, released, or measured anew by a fill."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clickhouse.audit import doubled_keys
from clickhouse.client import UsageStore, open_usage_store
from clickhouse.exact import exact_usage, find_doubles
from clickhouse.recompute import Filled, Rule, is_quantity
from core.errors import BadEvent
from core.quantity import parse_quantity
from runtime.embedded.endpoints import Endpoints
from tests.clickhouse.builders import AGGREGATIONS, Row, at
from tests.clickhouse.naive import counted_once
from tests.clickhouse.test_exact import (
    CUTOFF,
    END,
    NOVEMBER,
    RULE,
    START,
    properties,
    put,
    quantities,
    said,
    scopes,
    tokens_of,
)

BEFORE, AFTER = at("2023-11-20T12:05:00"), at("2023-11-25")


def correction(event_id: str, action: str, tokens: str = "1", **given: Any) -> Row:
    """A correction that took effect a few days later."""
    fate = "retraction" if action == "retract" else "stored"
    changed = {"action": action, "fate": fate, "stored_at": AFTER, "correction_id": f"cor_{event_id}"}
    return said(event_id, tokens, **(changed | given))


def test_corrections_are_no_doubles(usage_store: UsageStore) -> None:
    """Neither an amendment's row, nor a released one's, nor one amendment after another; copies of events still are."""
    rows = [said("a"), said("b"), said("c", fate="held", reason="unknown_meter"), said("d")]
    later = [
        correction("a", "amend"),
        correction("a", "amend", stored_at=AFTER + timedelta(hours=1)),
        correction("b", "retract"),
        correction("c", "release"),
    ]
    put(usage_store, rows, later)

    assert find_doubles(usage_store, NOVEMBER).none
    assert doubled_keys(usage_store, START, END, CUTOFF).is_empty()

    put(usage_store, [], [], [said("d", position=1)])
    assert find_doubles(usage_store, NOVEMBER).events["copies"].to_list() == [1]
    assert doubled_keys(usage_store, START, END, CUTOFF)["event_id"].to_list() == ["d"]


def test_the_last_correction_of_a_doubled_event_counts(usage_store: UsageStore) -> None:
    """As of the cut-off: before it the first copy does."""
    put(
        usage_store,
        [said("a", "1"), said("b", "10"), said("c", "100")],
        [said("a", "2", position=5), said("b", "20", position=5), said("c", "200", position=5)],
        [correction("a", "amend", "5"), correction("b", "retract", "10")],
    )

    assert quantities(usage_store) == [(2, 105)]
    assert quantities(usage_store, cutoff=AFTER - timedelta(microseconds=1)) == [(3, 111)]


def test_an_amendment_may_move_an_event_to_another_month_or_customer(usage_store: UsageStore) -> None:
    """The event counts where its last content says, and nowhere else, however far that is."""
    put(
        usage_store,
        [said("a", "5"), said("b", "7"), said("d"), said("d", position=1)],
        [
            correction("a", "amend", "6", occurred_at=at("2023-06-01")),
            correction("b", "amend", "8", customer_id="cus_2"),
        ],
    )
    june: Row = {"period_start": at("2023-06-01"), "period_end": at("2023-07-01")}

    assert quantities(usage_store, RULE, {}, {"customer_id": "cus_2"}) == [(1, 1), (1, 8)]
    assert quantities(usage_store, RULE, june) == [(1, 6)]


def test_a_fills_rule_holds_for_what_it_covers_and_no_other(usage_store: UsageStore) -> None:
    """One partition, a span of time, stored before it; the rules of blocks hold for all else."""
    filled = Filled(0, at("2023-11-10"), at("2023-11-20"), AFTER)
    inside: Row = {"occurred_at": at("2023-11-10"), "partition": 0}
    rows = [
        said("covered", "1") | inside,
        said("at its end", "10") | inside | {"occurred_at": at("2023-11-20")},
        said("stored with it", "100") | inside | {"stored_at": AFTER},
        said("elsewhere", "1000") | inside | {"partition": 1},
        said("no number", "many") | inside,
        said("nothing") | inside | {"properties": properties(model="large")},
    ]
    put(usage_store, rows)
    of_fill = Rule("llm.request", "tokens", filled=(filled,), needs="number")
    of_blocks = Rule("llm.request", None, unless=(filled,))

    assert quantities(usage_store, of_fill) == [(1, 1)]
    assert quantities(usage_store, of_blocks) == [(3, 3)]
    found = exact_usage(usage_store, scopes({}), [of_fill, of_blocks], CUTOFF)
    assert found.select("exact_events", "exact_quantity").rows() == [(4, Decimal(4))]
    younger = replace(of_fill, unless=(replace(filled, stored_before=AFTER + timedelta(days=1)),))
    assert quantities(usage_store, younger) == [(0, 0)]
    listed = replace(of_fill, needs="text")
    unique = exact_usage(usage_store, scopes({"aggregation": "unique"}), [listed], CUTOFF)
    assert unique["exact_quantity"].to_list() == [2]


NUMBERS = st.from_regex(r"\A[+-]?[0-9]{0,22}(\.[0-9]{0,16})?([eE][+-]?[0-9]{1,3})?\Z")
TEXTS = st.sampled_from(["", "-", ".", "1.", ".5", "0e999", "-0", "1e18", "1e19", "0.00e-40", "1\n", "NaN", "١", "1_0"])


@settings(max_examples=15, deadline=None)
@given(texts=st.lists(NUMBERS | TEXTS, min_size=40, max_size=60))
def test_what_is_a_quantity_is_so_in_both_languages(clickhouse: UsageStore, texts: list[str]) -> None:
    """The SQL agrees with the function that reads quantities at the door."""

    def good(text: str) -> bool:
        try:
            parse_quantity(text)
        except BadEvent:
            return False
        return True

    sql = f"SELECT toUInt8({is_quantity('text')}) AS good FROM (SELECT arrayJoin({{texts:Array(String)}}) AS text)"
    found = clickhouse.query_frame(sql, {"texts": texts})["good"].to_list()

    assert dict(zip(texts, map(bool, found), strict=True)) == {text: good(text) for text in texts}


@pytest.fixture(scope="session")
def clickhouse(endpoints: Endpoints) -> UsageStore:
    """A client for questions without tables."""
    return open_usage_store(endpoints.clickhouse_url)


@pytest.mark.parametrize("seed", range(4))
def test_every_aggregation_agrees_with_python_after_random_corrections(usage_store: UsageStore, seed: int) -> None:
    """Doubled events, corrections of every kind and fate in any order, as of several cut-offs."""
    chance = random.Random(seed)

    def one(position: int) -> Row:
        action = chance.choice(["event", "event", "event", "retract", "amend", "release", "backfill"])
        fates = {"event": ["stored", "held", "duplicate"], "retract": ["retraction", "held"], "backfill": ["held"]}
        return said(
            f"k{chance.randrange(120)}",
            tokens=str(chance.randrange(-50, 50)),
            model=chance.choice(["large", "small", "tiny"]),
            type=chance.choice(["llm.request", "llm.request", "call"]),
            customer_id=f"cus_{chance.randrange(3)}",
            occurred_at=START + timedelta(minutes=chance.randrange(-120, 30 * 24 * 60 + 120)),
            stored_at=at("2023-11-20") + timedelta(seconds=chance.randrange(100)),
            partition=chance.randrange(2),
            kafka_offset=chance.randrange(5),
            position=position,
            action=action,
            fate=chance.choice(fates.get(action, ["stored", "duplicate", "rejected"])),
        )

    rows = [one(number) for number in range(400)]
    put(usage_store, rows)
    asked: list[Row] = [
        {"aggregation": aggregation, "customer_id": f"cus_{customer}", "period_start": START, "period_end": END}
        for aggregation in AGGREGATIONS
        for customer in range(3)
    ]

    for seconds in (30, 60, 100):
        cutoff = at("2023-11-20") + timedelta(seconds=seconds)
        expected = [counted_once(rows, scope, cutoff, tokens_of) for scope in asked]
        assert quantities(usage_store, RULE, *asked, cutoff=cutoff) == expected
