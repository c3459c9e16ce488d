"""A month in which rows were stored twice, against every rule: each event is billed once, and the lines say so."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import polars as pl
import pytest
from sqlalchemy import Engine, text

from clickhouse.client import UsageStore
from core.db import transaction
from rating.period_close import Closing, Scope, close_period
from streams.rows import EVENTS, WINDOWS
from tests.rating.blocks import block_of, merchant_of, put_block
from tests.rating.month import AFTER, NOON, PERIOD, Month
from tests.streams.builders import Said

CATALOG = """
merchant: {code: acme, name: Acme}
meters:
  - {code: n, event_type: call, aggregation: count}
  - {code: total, event_type: call, aggregation: sum, value: size}
  - {code: least, event_type: call, aggregation: min, value: size}
  - {code: most, event_type: call, aggregation: max, value: size}
  - {code: newest, event_type: call, aggregation: latest, value: size}
  - {code: users, event_type: call, aggregation: unique, value: user}
  - {code: large, event_type: call, aggregation: sum, value: size, filters: [{property: kind, op: in, values: [l]}]}
  - {code: other, event_type: other, aggregation: count}
plans:
  - code: payg
    name: Pay as you go
    currency: USD
    prices:
      - {meter: n, model: per_unit, unit_price: "1"}
      - {meter: total, model: per_unit, unit_price: "1"}
      - {meter: least, model: per_unit, unit_price: "1"}
      - {meter: most, model: per_unit, unit_price: "1"}
      - {meter: newest, model: per_unit, unit_price: "1"}
      - {meter: users, model: per_unit, unit_price: "1"}
      - {meter: large, model: per_unit, unit_price: "1"}
      - {meter: other, model: per_unit, unit_price: "1"}
customers:
  - {key: a-1, name: One, zone: UTC, currency: USD}
  - {key: a-2, name: Two, zone: UTC, currency: USD}
subscriptions:
  - {customer: a-1, plan: payg, start: 2023-11-01}
  - {customer: a-2, plan: payg, start: 2023-11-01}
"""
TRUE = {"n": 3, "total": 6, "least": -4, "most": 7, "newest": 3, "users": 2, "large": 10, "other": 1}


@pytest.fixture
def month(books: Engine, usage_store: UsageStore) -> Month:
    """One merchant with a meter of every aggregation, and two customers."""
    made = Month(books, usage_store)
    made.sell(CATALOG)
    return made


def usage(month: Month, subject: str, prefix: str = "e") -> list[Said]:
    """What makes the quantities of ``TRUE``."""
    merchant = merchant_of(month, subject)

    def said(name: str, size: int, user: str, kind: str, minute: int) -> Said:
        properties = {"size": str(size), "user": user, "kind": kind}
        at = NOON + timedelta(minutes=minute)
        return Said(f"{prefix}-{subject}-{name}", properties, subject=subject, merchant=merchant, at=at)

    other = Said(f"{prefix}-{subject}-o", {}, type="other", subject=subject, merchant=merchant)
    return [said("a", 7, "u", "l", 0), said("b", -4, "v", "s", 1), said("c", 3, "u", "l", 2), other]


def close(month: Month) -> Closing:
    """Rate the month without making invoices of it."""
    scope = Scope(PERIOD, month.clock.now())
    return close_period(month.books, month.store, scope, hand_on=lambda *_handed: None, on_step=lambda _step: None)


def billed(closing: Closing, subject: str, column: str = "quantity") -> dict[str, Any]:
    """One column of a customer's lines, by meter."""
    lines = closing.lines.filter(pl.col("subject") == subject)
    return dict(lines.select("meter", column).iter_rows())


def test_a_month_without_doubles_is_left_as_it_is(month: Month) -> None:
    """Windows stand, and no line says that it was corrected."""
    put_block(month, block_of(month, [*usage(month, "a-1"), *usage(month, "a-2")]))

    closing = close(month)

    assert billed(closing, "a-1") == billed(closing, "a-2") == TRUE
    assert closing.lines["corrected_from"].null_count() == closing.lines.height


def test_a_block_stored_twice_is_billed_once_and_says_so(month: Month, capsys: pytest.CaptureFixture[str]) -> None:
    """For every aggregation; the line keeps what the windows said, and a warning goes to the log."""
    block = block_of(month, usage(month, "a-1"))
    put_block(month, block)
    put_block(month, block)
    put_block(month, block_of(month, usage(month, "a-2"), first_offset=1))

    closing = close(month)

    assert billed(closing, "a-1") == billed(closing, "a-2") == TRUE
    doubled = TRUE | {"n": 6, "total": 12, "large": 20, "other": 2}
    assert billed(closing, "a-1", "corrected_from") == doubled
    assert set(billed(closing, "a-2", "corrected_from").values()) == {None}
    assert billed(closing, "a-1", "events")["total"] == 3
    assert "stored more than once" in capsys.readouterr().out
    with transaction(month.books) as connection:
        kept = connection.execute(text("SELECT corrected_from - quantity FROM charge_lines WHERE meter = 'total'"))
        assert sorted(kept.scalars(), key=str) == [Decimal(6), None]


def test_a_corrected_line_has_the_hash_of_the_line_that_it_should_have_been(
    month: Month, books: Engine, usage_store: UsageStore
) -> None:
    """The same inputs are the same inputs, however they were found; a dry run before the accident tells."""
    block = block_of(month, usage(month, "a-1"))
    put_block(month, block)
    scope = Scope(PERIOD, AFTER)
    clean = close_period(
        books, usage_store, scope, hand_on=lambda *_handed: None, on_step=lambda _step: None, commit=False
    )
    put_block(month, block)

    assert billed(close(month), "a-1", "input_hash") == billed(clean, "a-1", "input_hash")


@pytest.mark.parametrize("table", [EVENTS, WINDOWS])
def test_either_half_of_a_block_stored_twice_is_harmless(month: Month, table: str) -> None:
    """Only the events, or only their windows: the events are counted, each once."""
    block = block_of(month, usage(month, "a-1"))
    put_block(month, block)
    put_block(month, block, table)

    assert billed(close(month), "a-1") == TRUE


def test_copies_in_other_blocks_count_nowhere(month: Month) -> None:
    """A stream that forgot its keys stores events again: as they were, with another body, for another customer."""
    first = usage(month, "a-1")
    put_block(month, block_of(month, first))
    put_block(month, block_of(month, first[:2], first_offset=1, stored_at=NOON + timedelta(hours=1)))
    merchant = merchant_of(month, "a-2")
    stranger = Said(first[2].id, {"size": "1000", "user": "w", "kind": "l"}, subject="a-2", merchant=merchant)
    put_block(month, block_of(month, [stranger], first_offset=2, stored_at=NOON + timedelta(hours=2)))

    closing = close(month)

    assert billed(closing, "a-1") == TRUE
    assert set(billed(closing, "a-2").values()) == {Decimal(0)}
    assert billed(closing, "a-2", "corrected_from")["total"] == 1000


def test_a_meter_that_changed_in_the_month_counts_each_block_by_its_own_rule(month: Month) -> None:
    """What was doubled before and after the change is counted as the stream counted it then."""
    before = block_of(month, usage(month, "a-1", "before"))
    month.sell(CATALOG.replace("values: [l]", "values: [s]"))
    after = block_of(month, usage(month, "a-1", "after"), first_offset=1)
    for block in (before, before, after, after):
        put_block(month, block)

    closing = close(month)

    expected = {name: 2 * value for name, value in TRUE.items()} | {"least": -4, "most": 7, "newest": 3, "users": 2}
    assert billed(closing, "a-1") == expected | {"large": 10 - 4}


def test_a_meter_that_came_in_the_month_counts_nothing_from_before(month: Month) -> None:
    """Doubles do not give it events that its windows never had."""
    meter = "  - {code: late, event_type: call, aggregation: count}\n"
    before = block_of(month, usage(month, "a-1", "before"))
    month.sell(
        CATALOG.replace("plans:\n", meter + "plans:\n").replace(
            "customers:\n", '      - {meter: late, model: per_unit, unit_price: "1"}\ncustomers:\n'
        )
    )
    after = block_of(month, usage(month, "a-1", "after"), first_offset=1)
    for block in (before, before, after, after):
        put_block(month, block)

    assert billed(close(month), "a-1")["late"] == 3


def test_a_sum_that_only_fits_once_is_billed(month: Month) -> None:
    """The doubled windows overflow, which alone would park the line; the events themselves fit."""
    merchant = merchant_of(month, "a-1")
    most = {"size": "9999999999999999999", "user": "u", "kind": "l"}
    block = block_of(month, [Said("big", most, subject="a-1", merchant=merchant)])
    put_block(month, block)
    wide = block.windows.to_pylist()
    rows = pl.DataFrame(wide).with_columns(sum=pl.lit(Decimal(99999999999999999999999999)).cast(pl.Decimal(38, 12)))
    for _ in range(2):
        month.store.insert_frame(WINDOWS, rows.cast({"last_key": pl.Binary}), token=f"wide-{_}")

    closing = close(month)

    total = closing.lines.filter((pl.col("subject") == "a-1") & (pl.col("meter") == "total")).row(0, named=True)
    assert (total["quantity"], total["events"]) == (Decimal(most["size"]), 1)
    assert total["corrected_from"] is not None
