"""Doubled rows found and counted once, held against Python that looks at one event after the other."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal, localcontext
from typing import Any

import polars as pl
import pytest

from clickhouse.client import UsageStore
from clickhouse.exact import MARGIN, Span, exact_usage, find_doubles
from clickhouse.recompute import BlockSpan, Rule
from clickhouse.schema import USAGE_SCOPES
from core.quantity import EXACT, parse_quantity
from tests.clickhouse.builders import AGGREGATIONS, Row, at, event, events_frame, window, windows_frame
from tests.clickhouse.naive import counted_once, texts_of

START, END = at("2023-11-01"), at("2023-12-01")
CUTOFF = at("2023-12-05")
NOVEMBER = Span(START, END, CUTOFF)
SCOPE = {name: kind for name, kind in USAGE_SCOPES.items() if name not in {"question", "row"}}
SPELLINGS = ("7", "-0", "007", "1e3", "1E-3", "12.30", "-5.5e1", "0.000000000001", "9999999999999999999", "100e-2")


@dataclass(frozen=True)
class Only:
    """A condition of a rule."""

    property: str
    op: str
    values: tuple[str, ...] = ()
    negated: bool = False
    alternative: bool = False


RULE = Rule("llm.request", "tokens", (Only("model", "ne", ("tiny",)),))


def tokens_of(row: Row) -> str | None:
    """What RULE counts of an event, in plain Python."""
    texts = texts_of(row)
    return texts["tokens"] if row["type"] == "llm.request" and texts["model"] != "tiny" else None


def scopes(*rows: Row) -> pl.DataFrame:
    """Scopes of November, of the first customer unless said otherwise."""
    plain: Row = {
        "merchant_id": "mer_1",
        "customer_id": "cus_1",
        "meter_id": "mtr_1",
        "aggregation": "sum",
        "period_start": START,
        "period_end": END,
    }
    return pl.DataFrame([plain | row for row in rows], schema=SCOPE)


def properties(**texts: str) -> list[dict[str, str]]:
    """Properties as a frame writes them."""
    return [{"key": name, "value": text} for name, text in texts.items()]


def said(event_id: str, tokens: str = "1", **given: Any) -> Row:
    """One counted event; its place in the log is its own unless given."""
    offset = sum(event_id.encode())
    row = event(event_id, properties=properties(tokens=tokens, model=given.pop("model", "large")))
    return row | {"incarnation": 1, "partition": 0, "block_first": 0, "kafka_offset": offset, "position": 0} | given


def put(store: UsageStore, *groups: list[Row]) -> None:
    """Store each group of events under a token of its own."""
    for number, rows in enumerate(groups):
        store.insert_frame("usage_events", events_frame(rows), token=f"events-{number}")


def quantities(store: UsageStore, rule: Rule = RULE, *asked: Row, cutoff: datetime = CUTOFF) -> list[tuple[int, Any]]:
    """Events and quantity of each scope."""
    found = exact_usage(store, scopes(*(asked or ({},))), [rule], cutoff)
    return found.select("exact_events", "exact_quantity").rows()


def test_a_month_where_everything_is_there_once_has_no_doubles(usage_store: UsageStore) -> None:
    """Duplicates and conflicts that the stream found are copies that nobody counted."""
    copies = [said("a", fate="duplicate"), said("a", fate="conflict"), said("b", fate="held", reason="unknown_meter")]
    put(usage_store, [said("a"), said("b"), said("c")], copies)
    usage_store.insert_frame("usage_windows", windows_frame([window(), window(block_first=9)]), token="w")

    assert find_doubles(usage_store, NOVEMBER).none


@pytest.mark.parametrize("keys_at_once", [1_000_000, 3])
def test_a_block_stored_twice_is_found_for_each_customer_and_type(usage_store: UsageStore, keys_at_once: int) -> None:
    """The same rows under another token, looked for in one piece or in slices."""
    rows = [
        said("a"),
        said("b"),
        said("c", type="call"),
        said("d", customer_id="cus_2"),
        said("e", merchant_id="mer_2", customer_id="cus_9"),
    ]
    put(usage_store, rows, rows, [said("f")])

    found = find_doubles(usage_store, NOVEMBER, keys_at_once)

    assert found.events.rows() == [
        ("mer_1", "cus_1", "call", 1),
        ("mer_1", "cus_1", "llm.request", 2),
        ("mer_1", "cus_2", "llm.request", 1),
        ("mer_2", "cus_9", "llm.request", 1),
    ]
    assert find_doubles(usage_store, Span(START, END, CUTOFF, ["mer_2"])).events.rows() == [
        ("mer_2", "cus_9", "llm.request", 1)
    ]


def test_what_is_stored_after_the_cutoff_doubles_nothing(usage_store: UsageStore) -> None:
    """A close that is done again later sees what it saw at first."""
    put(usage_store, [said("a", tokens="5")], [said("a", tokens="5", stored_at=CUTOFF + timedelta(seconds=1))])

    assert find_doubles(usage_store, NOVEMBER).none
    assert quantities(usage_store) == [(1, 5)]


def test_doubled_windows_are_found_even_if_their_events_are_not(usage_store: UsageStore) -> None:
    """Two deltas of one block, meter, customer, minute and group are one too many; those of two blocks are not."""
    rows = [window(), window(block_first=5), window(meter_id="mtr_2")]
    usage_store.insert_frame("usage_windows", windows_frame(rows), token="w")
    usage_store.insert_frame("usage_windows", windows_frame(rows[:1]), token="again")

    found = find_doubles(usage_store, NOVEMBER)

    assert found.events.is_empty()
    assert found.windows.rows() == [("mer_1", "cus_1", "mtr_sum", 1)]


def test_the_copy_that_was_stored_first_counts(usage_store: UsageStore) -> None:
    """Whatever the order of inserts; at the same time the place in the log decides."""
    later = [said("a", tokens="3", stored_at=at("2023-11-21")), said("b", tokens="40", kafka_offset=9)]
    put(usage_store, later, [said("a", tokens="1"), said("b", tokens="20", kafka_offset=8)])

    assert quantities(usage_store) == [(2, 21)]


def test_a_copy_of_another_customer_or_type_counts_nowhere(usage_store: UsageStore) -> None:
    """The event belongs to whom its first copy names."""
    second = [
        said("a", customer_id="cus_2", stored_at=at("2023-11-21")),
        said("b", type="call", stored_at=at("2023-11-21")),
    ]
    put(usage_store, [said("a", tokens="5"), said("b", tokens="6")], second)

    assert quantities(usage_store, RULE, {}, {"customer_id": "cus_2"}) == [(2, 11), (0, 0)]
    assert quantities(usage_store, Rule("call", "tokens")) == [(0, 0)]


def test_copies_on_both_sides_of_a_periods_bound_meet(usage_store: UsageStore) -> None:
    """A retry with a new time just after midnight is a copy; the first one is billed, in its own month."""
    before, after = START - timedelta(minutes=1), START + timedelta(minutes=1)
    put(
        usage_store,
        [said("a", occurred_at=before), said("b", occurred_at=after)],
        [
            said("a", occurred_at=after, stored_at=at("2023-11-21")),
            said("b", occurred_at=before, stored_at=at("2023-11-21")),
        ],
    )
    october: Row = {"period_start": at("2023-10-01"), "period_end": START}

    assert find_doubles(usage_store, NOVEMBER).events["copies"].to_list() == [1]
    assert quantities(usage_store, RULE, {}) == [(1, 1)]
    assert quantities(usage_store, RULE, october) == [(1, 1)]
    assert timedelta(hours=1) <= MARGIN


def test_a_quantity_is_read_as_the_stream_reads_it(usage_store: UsageStore) -> None:
    """Exponents, leading zeros, signs and places: the same decimal in SQL and in Python."""
    put(usage_store, [said(f"e{number}", tokens=text) for number, text in enumerate(SPELLINGS)])

    with localcontext(EXACT):
        expected = sum(map(parse_quantity, SPELLINGS), Decimal(0))
    assert quantities(usage_store) == [(len(SPELLINGS), expected)]


@pytest.mark.parametrize(
    ("op", "values", "expected"),
    [
        ("eq", ("large",), 1),
        ("ne", ("large",), 6),
        ("in", ("large", "tiny"), 3),
        ("not_in", ("large", "tiny"), 4),
        ("exists", (), 3),
    ],
)
def test_conditions_hold_as_in_the_stream(
    usage_store: UsageStore, op: str, values: tuple[str, ...], expected: int
) -> None:
    """A property that is not there equals nothing, so it is unequal to everything."""
    put(
        usage_store,
        [
            said("a", tokens="1"),
            said("b", tokens="2", model="tiny"),
            event("c", properties=properties(tokens="4")) | {"position": 3},
        ],
    )

    rule = Rule("llm.request", "tokens", (Only("model", op, values),))

    assert [quantity for _, quantity in quantities(usage_store, rule)] == [expected]


def test_a_rule_may_hold_for_some_blocks_only(usage_store: UsageStore) -> None:
    """A meter that was changed in the middle of the month counts each event by the rule of its block."""
    rows = [said(f"b{first}", tokens="5", block_first=first, kafka_offset=first) for first in (0, 10, 20)]
    put(usage_store, rows, [said("other", tokens="7", partition=1, block_first=0)])
    old = Rule("llm.request", None, (), (BlockSpan(1, 0, 0, 10),))
    new = Rule("llm.request", "tokens", (), (BlockSpan(1, 0, 10), BlockSpan(1, 1, 0)))

    found = exact_usage(usage_store, scopes({}), [old, new], CUTOFF)

    assert found.select("exact_events", "exact_quantity").rows() == [(4, Decimal(1 + 5 + 5 + 7))]
    assert quantities(usage_store, Rule("llm.request", "tokens", (), ())) == [(0, 0)]


@pytest.mark.parametrize("seed", range(4))
def test_every_aggregation_agrees_with_python_on_random_copies(usage_store: UsageStore, seed: int) -> None:
    """Blocks doubled whole, copies that differ in everything but their key, and usage around the period."""
    chance = random.Random(seed)

    def one(event_id: str) -> Row:
        instant = START + timedelta(minutes=chance.randrange(-120, 30 * 24 * 60 + 120))
        return said(
            event_id,
            tokens=str(chance.randrange(-50, 50)),
            model=chance.choice(["large", "small", "tiny"]),
            type=chance.choice(["llm.request", "llm.request", "call"]),
            customer_id=f"cus_{chance.randrange(3)}",
            occurred_at=instant,
            stored_at=at("2023-11-20") + timedelta(seconds=chance.randrange(100)),
            partition=chance.randrange(2),
            kafka_offset=chance.randrange(5),
        )

    blocks = [[one(f"k{chance.randrange(150)}") | {"position": at_} for at_ in range(40)] for _ in range(6)]
    blocks += [blocks[0], blocks[3]]
    put(usage_store, *blocks)
    asked: list[Row] = [
        {"aggregation": aggregation, "customer_id": f"cus_{customer}", "period_start": START, "period_end": END}
        for aggregation in AGGREGATIONS
        for customer in range(4)
    ]

    found = quantities(usage_store, RULE, *asked)

    rows = [row for block in blocks for row in block]
    assert found == [counted_once(rows, scope, CUTOFF, tokens_of) for scope in asked]
