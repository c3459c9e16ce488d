"""A customer's current prices from one statement: those that the frames of the whole catalog tell, row by row."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest
from sqlalchemy import Engine

from catalog.apply import apply_text
from catalog.pricing import load_priced_of_customer
from core.db import transaction
from rating.current_bill import in_progress, prices_of
from rating.seen_now import SEEN, Seen, see

ZONES = ("UTC", "Asia/Tokyo", "America/New_York", "Pacific/Kiritimati", "America/Santiago")
# Both sides of the turns of months and days, of leap days, and of the clocks' changes.
INSTANTS = [
    datetime(2024, month, day, hour, tzinfo=UTC) + timedelta(microseconds=shift)
    for month, day in ((1, 1), (1, 31), (2, 1), (2, 29), (3, 1), (3, 10), (3, 31), (4, 1), (7, 15), (12, 31))
    for hour in (0, 3, 5, 10, 15)
    for shift in (-1, 0)
]


def catalog(zone: str, own: str = "", second: str = "") -> str:
    """A customer with a subscription from the end of a month on, that was ended, and with another one after it."""
    return f"""
merchant: {{code: acme, name: Acme}}
meters:
  - {{code: tokens, event_type: t, aggregation: sum, value: n}}
  - {{code: peak, event_type: t, aggregation: sum, value: n, billed: {{bucket: hour, combine: max}}}}
plans:
  - {{code: payg, currency: EUR, prices: [{{meter: tokens, model: per_unit, unit_price: 2}}, {PEAK}{second}]}}
  - {{code: pro, currency: JPY, prices: [{BOTH}]}}
customers: [{{key: a-1, zone: {zone}, currency: EUR}}, {{key: a-2, zone: UTC, currency: EUR}}]
subscriptions:
  - {{customer: a-1, plan: payg, start: 2023-01-31, end: 2024-02-28{own}}}
  - {{customer: a-1, plan: pro, start: 2024-02-29}}
"""


PEAK = "{meter: peak, model: package, package_size: 5, package_price: 1}"
BOTH = "{meter: tokens, model: per_unit, currencies: {EUR: {unit_price: '0.9'}, JPY: {unit_price: 150}}}"
OWN = ", prices: [{meter: tokens, model: per_unit, unit_price: 1, from: 2023-12-31}]"
SECOND = ", {meter: tokens, model: per_unit, unit_price: 3, from: 2024-01-01}"


def told(books: Engine, subject: str = "a-1") -> tuple[Seen, list[pl.DataFrame], list[pl.DataFrame]]:
    """What is seen now, its prices at each instant, and those of the frames."""
    with transaction(books) as connection:
        merchant_id = connection.exec_driver_sql("SELECT merchant_id FROM merchants").scalar_one()
        seen = see(connection, merchant_id, subject)
        assert seen is not None
        priced = load_priced_of_customer(connection, seen.version, merchant_id, seen.customer_id)
        found = [prices_of(connection, seen, merchant_id, now) for now in INSTANTS]
    return seen, found, [in_progress(priced, now) for now in INSTANTS]


@pytest.mark.parametrize("zone", ZONES)
def test_periods_are_those_of_the_frames(books: Engine, zone: str) -> None:
    """Cut short by starts and ends, by the customer's clocks, in the currency that the customer pays in."""
    apply_text(books, catalog(zone))

    seen, found, wanted = told(books)

    assert seen.plain and len(seen.rows) == 3
    assert [one.equals(other) for one, other in zip(found, wanted, strict=True)] == [True] * len(INSTANTS)
    assert {one.height for one in found} >= {1, 2}


@pytest.mark.parametrize("change", [{"own": OWN}, {"second": SECOND}])
def test_versions_and_prices_of_its_own_are_left_to_the_frames(books: Engine, change: dict[str, str]) -> None:
    """They decide by days which price a period has."""
    apply_text(books, catalog("Asia/Tokyo", **change))

    seen, found, wanted = told(books)

    assert not seen.plain
    assert all(one.equals(other) for one, other in zip(found, wanted, strict=True))


def test_a_changed_price_is_seen_at_once(books: Engine) -> None:
    """And so are a customer without a subscription, and that nobody has a key."""
    apply_text(books, catalog("UTC"))
    before = told(books)[1]
    apply_text(books, catalog("UTC").replace("unit_price: 2", "unit_price: 7"))

    seen, after, wanted = told(books)

    assert [one.equals(other) for one, other in zip(after, wanted, strict=True)] == [True] * len(INSTANTS)
    definitions = [set(pl.concat(frames)["definition"]) for frames in (before, after)]
    assert any('"unit_price":"7"' in text for text in definitions[1] - definitions[0])
    assert told(books, "a-2")[0].rows == [] and seen.rows
    with transaction(books) as connection:
        assert see(connection, seen.rows[0].merchant_id, "a-3") is None
        assert see(connection, "mer_other", "a-1") is None


def test_nobody_elses_subscriptions_are_read(books: Engine) -> None:
    """They are found by their customer, not by their plan, however little Postgres knows of its tables."""
    apply_text(books, catalog("UTC"))
    with transaction(books) as connection:
        connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
        said = {"merchant_id": "mer_other", "subject": "a-1"}
        plan = "\n".join(row[0] for row in connection.exec_driver_sql(f"EXPLAIN {SEEN}", said))

    assert "ix_subscriptions_merchant_id_customer_id" in plan and "ix_subscriptions_plan_id" not in plan, plan
