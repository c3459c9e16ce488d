"""Quantities that are worked out at close, through the whole path: events, windows, charge lines and their audit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import count, groupby, pairwise

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine

from clickhouse.client import UsageStore
from core.db import transaction
from ingest.event import event_key
from runtime.conservation.charges import charge_faults
from tests.rating.blocks import block_of, merchant_of, put_block
from tests.rating.derived_oracle import Fact, bucketed, lasting, percentile
from tests.rating.late_month import now_of_books
from tests.rating.month import NOON, Month
from tests.rating.text_table import table
from tests.streams.builders import Said

START, END = datetime(2023, 11, 1, tzinfo=UTC), datetime(2023, 12, 1, tzinfo=UTC)
Expect = Callable[[Sequence[Fact]], Decimal]
BUCKETED = {
    f"b-{fold}-{unit}-{combine}": (fold, unit, combine)
    for fold, unit, combine in (
        ("max", "hour", "sum"),
        ("max", "minute", "avg"),
        ("sum", "day", "max"),
        ("latest", "hour", "min"),
        ("unique", "day", "sum"),
        ("count", "minute", "max"),
        ("avg", "hour", "avg"),
        ("min", "day", "sum"),
    )
}
PERCENTILES = {f"p-{percent}": percent for percent in ("50", "95", "99.9", "100", "0.000000000001")}
LASTING = {
    f"l-{base}-{what}": (base, kind, what)
    for base in ("sum", "latest")
    for kind, what in (("held", "hour"), ("held", "second"), ("carried", "end"), ("carried", "max"))
} | {"l-latest-rise": ("latest", "carried", "rise")}
# Meters that come to the same value by an expression.
WORKED_OUT = ("b-avg-hour-avg", "p-95", "l-latest-second", "l-sum-hour", "l-latest-rise")


def meter(code: str, aggregation: str, billed: str, more: str = "") -> str:
    """A meter of the catalog file."""
    value = "" if aggregation == "count" else "value: n, "
    if code in WORKED_OUT:
        value = "expression: 2 * properties.n / 2, "
    return f"  - {{code: {code}, event_type: call, aggregation: {aggregation}, {value}{more}billed: {{{billed}}}}}"


def catalog(code: str, names: Sequence[str]) -> str:
    """A merchant who sells some kinds, to one customer."""
    meters = [
        *(meter(name, fold, f"bucket: {unit}, combine: {by}") for name, (fold, unit, by) in BUCKETED.items()),
        *(meter(name, "max", f"percentile: {percent}") for name, percent in PERCENTILES.items()),
        *(meter(name, base, f"{kind}: {what}", "group_by: [disk], ") for name, (base, kind, what) in LASTING.items()),
    ]
    meters = [line for line in meters if any(f"code: {name}," in line for name in names)]
    prices = [f"      - {{meter: {name}, model: dynamic}}" for name in names]
    return "\n".join(
        [
            f"merchant: {{code: {code}}}",
            "meters:",
            *meters,
            "plans:",
            "  - code: payg",
            "    currency: KWD",
            "    prices:",
            *prices,
            f"customers: [{{key: {code}-1, currency: KWD}}]",
            f"subscriptions: [{{customer: {code}-1, plan: payg, start: 2023-10-01}}]",
        ]
    )


def expected(facts: Sequence[Fact], start: datetime = START, end: datetime = END) -> dict[str, Decimal]:
    """What the definitions say of every meter."""
    found = {name: bucketed(facts, start, end, how) for name, how in BUCKETED.items()}
    found |= {name: percentile(facts, start, end, Decimal(percent)) for name, percent in PERCENTILES.items()}
    for name, (base, _, what) in LASTING.items():
        found[name] = lasting(facts, start, end, what, gauge=base == "latest")
    return found


@pytest.fixture
def month(books: Engine, usage_store: UsageStore) -> Month:
    """The two stores, with nothing sold yet."""
    return Month(books, usage_store)


CODES = count()
ALL = (*BUCKETED, *PERCENTILES, *LASTING)


def audited(month: Month) -> None:
    """Fails unless the audit of charges agrees with every line."""
    with transaction(month.books) as connection:
        assert charge_faults(connection, month.store) == []


class Customer:
    """One customer of a merchant of its own, and the facts that count."""

    def __init__(self, month: Month, names: Sequence[str] = ALL) -> None:
        self.month, self.code = month, f"m{next(CODES)}"
        month.sell(catalog(self.code, names))
        self.subject = f"{self.code}-1"
        self.merchant = merchant_of(month, self.subject)
        self.said: dict[str, Said] = {}
        self.offsets = month.tokens

    def say(
        self, events: Sequence[tuple[str, datetime, str, str]], stored_at: datetime = NOON, copies: int = 1
    ) -> None:
        """Put events (id, time, value, disk) through the stream as a block, once or several times."""
        said = [
            Said(name, {"n": value, "disk": disk}, subject=self.subject, merchant=self.merchant, at=at)
            for name, at, value, disk in events
        ]
        block = block_of(self.month, said, first_offset=next(self.offsets), stored_at=stored_at)
        for _ in range(copies):
            put_block(self.month, block)
        for one in said:
            self.said.setdefault(one.id, one)

    @property
    def facts(self) -> list[Fact]:
        """Each event once: the first that came counts."""
        return [
            Fact(
                one.at,
                event_key(one.merchant, one.source, one.id),
                Decimal(one.properties["n"]),
                one.properties["disk"],
            )
            for one in self.said.values()
        ]

    def billed(self, period: str = "2023-11") -> dict[str, Decimal]:
        """The quantities of a period's lines."""
        lines = self.month.close(period, merchant=self.code).closing.lines
        assert lines["parked_reason"].null_count() == lines.height, lines["parked_reason"].unique()
        return dict(lines.select("meter", "quantity").iter_rows())


INSTANTS = st.one_of(
    st.integers(0, 61 * 86_400 * 10**6 - 1),
    st.sampled_from([0, 1, 31, 61]).flatmap(lambda day: st.integers(-5, 5).map(lambda us: day * 86_400 * 10**6 + us)),
    st.integers(31 * 86_400, 31 * 86_400 + 300).map(lambda second: second * 10**6),
).filter(lambda us: us >= 0)
VALUES = st.one_of(
    st.integers(-5, 5).map(str),
    st.decimals("-99999", "99999", places=12).map(lambda number: format(number, "f")),
    st.sampled_from(["99999.999999999999", "0.000000000001"]),
)
EVENTS = st.lists(st.tuples(INSTANTS, VALUES, st.sampled_from(["a", "b"])), max_size=25)


# Each example is a close, so that a failing one is shown as it is.
ONCE = settings(
    max_examples=4,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
)


@ONCE
@given(events=EVENTS, cuts=st.lists(st.integers(0, 25), max_size=2), repeated=st.booleans())
def test_every_kind_is_what_its_definition_says_of_the_raw_events(
    month: Month, events: list[tuple[int, str, str]], cuts: list[int], *, repeated: bool
) -> None:
    """In several blocks, out of order, with what was stored twice, over the period before and that after."""
    customer = Customer(month)
    rows = [
        (f"e-{place}", datetime(2023, 10, 1, tzinfo=UTC) + timedelta(microseconds=us), value, disk)
        for place, (us, value, disk) in enumerate(events)
    ]
    bounds = sorted({0, len(rows), *(min(cut, len(rows)) for cut in cuts)})
    for number, (first, end) in enumerate(pairwise(bounds)):
        customer.say(rows[first:end], copies=2 if repeated and number == 0 else 1)

    assert customer.billed() == expected(customer.facts)
    audited(month)


DAY = timedelta(days=1)
MIDDLE = datetime(2023, 11, 15, tzinfo=UTC)
CASES = """
    events                                   | meter           | quantity
    2023-10-31 10, 2023-11-15 20             | l-latest-hour   | 11040      # 14 days of 10, and 16 of 20
    2023-10-31 10, 2023-11-15 20             | l-sum-hour      | 14880      # the second adds to the first
    2023-10-31 10, 2023-11-15 20             | l-sum-end       | 30
    2023-10-31 10, 2023-11-15 20             | l-latest-end    | 20
    2023-10-31 10                            | l-latest-hour   | 7200       # nothing happened in the period
    2023-10-31 10                            | l-latest-max    | 10
    2023-10-31 10, 2023-11-01 4              | l-latest-max    | 4          # it ended as the period began
    2023-10-31 10, 2023-12-01 99             | l-latest-max    | 10         # the end is not in the period
    2023-10-31 10, 2023-11-15 -4, 2023-11-20 3 | l-sum-max     | 10
    2023-10-31 10, 2023-11-15 -4, 2023-11-20 3 | l-sum-end     | 9
    2023-10-31 10, 2023-11-02 12, 2023-11-20 30 | l-latest-rise | 20
    2023-11-02 12, 2023-11-20 30             | l-latest-rise   | 18         # the first reading has none before it
    2023-10-31 10, 2023-11-02 12, 2023-11-20 5 | l-latest-rise | 7          # it began anew
    2023-11-02 12, 2023-11-03 -5, 2023-11-04 1 | l-latest-rise | 6
    2023-10-31 10, 2023-12-01 99             | l-latest-rise   | 0          # the end is not in the period
    2023-11-15 -3                            | l-sum-max       | 0          # before its first event a value is 0
    2023-11-01 1, 2023-11-02 2, 2023-11-03 3 | p-50            | 2
    2023-11-01 1, 2023-11-02 2               | p-50            | 1          # as many are not above it as are
    2023-11-01 1, 2023-11-02 2               | p-95            | 2
    2023-11-01 7                             | p-0.000000000001 | 7
    2023-11-01 3, 2023-11-01 5, 2023-11-02 2 | b-max-hour-sum  | 7
    2023-11-01 3, 2023-11-01 5, 2023-11-02 2 | b-max-minute-avg | 3.5
    2023-11-01 3, 2023-11-02 5               | b-sum-day-max   | 5
"""


def test_small_cases(month: Month) -> None:
    """By hand, of one disk."""
    for events, cases in groupby(table(CASES), key=lambda case: case[0]):
        wanted = list(cases)
        customer = Customer(month, [name for _, name, _ in wanted])
        said = [one.split() for one in events.split(", ")]
        customer.say(
            [
                (f"e-{place}", datetime.fromisoformat(day).replace(tzinfo=UTC), value, "a")
                for place, (day, value) in enumerate(said)
            ]
        )
        billed = customer.billed()
        assert billed == {name: Decimal(quantity) for _, name, quantity in wanted}, events
    audited(month)


def test_an_event_that_came_late_changes_every_period_that_its_value_reached(month: Month) -> None:
    """October and November are billed; what is said of October then is adjusted in both, and in December's own line."""
    customer = Customer(month)
    october = datetime(2023, 10, 10, tzinfo=UTC)
    customer.say([("first", october, "10", "a"), ("second", MIDDLE, "5", "a")])
    before = customer.billed("2023-10"), customer.billed("2023-11")
    customer.say([("late", october + DAY, "2", "b")], stored_at=now_of_books(month))
    month.clock.instant = datetime(2024, 1, 4, tzinfo=UTC)

    closed = month.close("2023-12", merchant=customer.code).closing

    spans = {"2023-10": (START - 31 * DAY, START), "2023-11": (START, END)}
    now = {
        (period, meter): after
        for period, meter, after in closed.adjustments.select("for_period", "meter", "new_quantity").iter_rows()
    }
    for number, (period, span) in enumerate(spans.items()):
        after = expected(customer.facts, *span)
        changed = {meter: quantity for meter, quantity in after.items() if quantity != before[number][meter]}
        assert changed == {meter: quantity for (of, meter), quantity in now.items() if of == period}
        assert "l-latest-hour" in changed
    assert dict(closed.lines.select("meter", "quantity").iter_rows()) == expected(customer.facts, END, END + 31 * DAY)
    audited(month)


def test_copies_of_what_happened_before_the_period_count_once(month: Month) -> None:
    """Windows of October were stored twice, and seats are billed in November as they are."""
    customer = Customer(month, ["l-sum-end"])
    customer.say([("first", datetime(2023, 10, 10, tzinfo=UTC), "10", "a")], copies=2)

    assert customer.billed() == {"l-sum-end": 10}
    audited(month)
