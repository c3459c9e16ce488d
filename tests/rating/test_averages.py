"""A meter that takes an average through the whole path: from events to windows, views, charge lines and their audit."""

from __future__ import annotations

from datetime import timedelta
from decimal import ROUND_HALF_UP, Decimal, localcontext
from random import Random

import pytest
from sqlalchemy import Engine

from clickhouse.client import UsageStore
from core.db import transaction
from core.quantity import EXACT
from runtime.conservation.charges import charge_faults
from tests.rating.blocks import block_of, merchant_of, put_block
from tests.rating.month import NOON, Month
from tests.rating.text_table import table
from tests.streams.builders import Said

CATALOG = """
merchant: {code: acme}
meters:
  - {code: level, event_type: call, aggregation: avg, value: n}
  - {code: by_size, event_type: call, aggregation: avg, value: n, group_by: [size]}
plans:
  - code: payg
    currency: KWD
    prices:
      - {meter: level, model: per_unit, unit_price: 3}
      - {meter: by_size, model: matrix, group_by: [size], prices: [{group: {size: l}, unit_price: 2}], default: hold}
customers: [{key: a-1, currency: KWD}]
subscriptions: [{customer: a-1, plan: payg, start: 2023-11-01}]
"""
SMALLEST = Decimal("0.000000000001")
LARGEST = "9999999999999999999.999999999999"
CASES = f"""
    values                              | average
    1, 2                                | 1.5
    1, 1, 2                             | 1.333333333333
    1, 2, 2                             | 1.666666666667
    -1, -2, -2                          | -1.666666666667
    0.000000000001, 0                   | 0.000000000001         # half of the smallest unit goes away from zero
    -0.000000000001, 0                  | -0.000000000001
    0.000000000001, 0, 0                | 0
    0                                   | 0
    5, -5                               | 0
    {LARGEST}, {LARGEST}, {LARGEST}     | {LARGEST}
"""


@pytest.fixture
def month(books: Engine, usage_store: UsageStore) -> Month:
    """A customer who is billed an average, and the averages of groups."""
    made = Month(books, usage_store)
    made.sell(CATALOG)
    return made


def said(month: Month, values: list[str], first: int = 0) -> list[Said]:
    """An event for each value, over several minutes."""
    merchant = merchant_of(month, "a-1")
    return [
        Said(
            f"e-{first + place}",
            {"n": value, "size": "l"},
            subject="a-1",
            merchant=merchant,
            at=NOON + timedelta(minutes=place % 7),
        )
        for place, value in enumerate(values)
    ]


def billed(month: Month) -> dict[str, Decimal]:
    """The quantities of the lines, after the audit has agreed with them."""
    lines = month.close().closing.lines
    with transaction(month.books) as connection:
        assert charge_faults(connection, month.store) == []
    return dict(lines.select("meter", "quantity").iter_rows())


def shown(month: Month) -> Decimal:
    """What the view of totals says."""
    frame = month.store.query_frame("SELECT quantity FROM usage_total WHERE meter = 'level'")
    return Decimal(frame["quantity"][0])


def average(values: list[str]) -> Decimal:
    """The definition."""
    with localcontext(EXACT):
        return (sum(map(Decimal, values), Decimal(0)) / len(values)).quantize(SMALLEST, ROUND_HALF_UP)


@pytest.mark.parametrize(("values", "expected"), list(table(CASES)))
def test_an_average_is_rounded_once_at_the_twelfth_place(month: Month, values: str, expected: str) -> None:
    """Away from zero at a half, as money is."""
    listed = values.split(", ")
    put_block(month, block_of(month, said(month, listed)))

    assert billed(month) == {"level": Decimal(expected), "by_size": Decimal(expected)}
    assert shown(month) == Decimal(expected) == average(listed)


def test_random_values_in_many_blocks_average_as_they_are(month: Month) -> None:
    """An average is that of the events, not of minutes or blocks, which have different numbers of them."""
    rng = Random(7)
    values = [str(Decimal(rng.randrange(-(10**14), 10**14)).scaleb(-rng.choice([0, 3, 12]))) for _ in range(500)]
    for number, (first, end) in enumerate([(0, 3), (3, 200), (200, 500)]):
        put_block(month, block_of(month, said(month, values[first:end], first), first_offset=number))

    assert billed(month)["level"] == shown(month) == average(values)


def test_what_was_stored_twice_is_averaged_once(month: Month) -> None:
    """Counted anew from the events."""
    values = ["1", "5", "7.5"]
    block = block_of(month, said(month, values))
    put_block(month, block)
    put_block(month, block)
    put_block(month, block_of(month, said(month, ["100"], 3), first_offset=1))

    assert billed(month) == dict.fromkeys(("level", "by_size"), average([*values, "100"]))


def test_a_price_applies_to_the_average(month: Month) -> None:
    """A third at three is one, less the last place that an average has."""
    put_block(month, block_of(month, said(month, ["1", "0", "0"])))

    lines = month.close().closing.lines

    assert dict(lines.select("meter", "amount").iter_rows()) == {
        "level": Decimal("0.999999999999"),
        "by_size": Decimal("0.666666666666"),
    }


def test_nothing_used_is_an_average_of_nothing(month: Month) -> None:
    """A quantity of 0, as of every meter."""
    assert billed(month)["level"] == 0
