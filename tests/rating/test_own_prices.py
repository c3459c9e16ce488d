"""A subscription's own price through a close: within its days it is charged, before and after them the plan's."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from sqlalchemy import Engine

from clickhouse.client import UsageStore
from core.errors import Conflict
from rating.migrate_prices import Wish, migrate_prices, preview_migration
from tests.rating.late_month import close_month, invoices
from tests.rating.month import PERIOD, Month

FIRST = "{meter: tokens, model: per_unit, unit_price: 2}"
SECOND = "{meter: tokens, model: per_unit, unit_price: 3, from: 2024-02-01}"
OWN = "{meter: tokens, model: package, package_size: 5, package_price: 1, from: 2023-12-01, until: 2024-01-01}"
MONTHS = (PERIOD, "2023-12", "2024-01")


def catalog(prices: str, own: str) -> str:
    """A plan, a customer in Tokyo with a price of its own, and one without."""
    return f"""
merchant: {{code: acme}}
meters: [{{code: tokens, event_type: t, aggregation: sum, value: n}}]
plans: [{{code: payg, currency: JPY, prices: [{prices}]}}]
customers: [{{key: a-1, zone: Asia/Tokyo, currency: JPY}}, {{key: a-2, zone: Asia/Tokyo, currency: JPY}}]
subscriptions:
  - {{customer: a-1, plan: payg, start: 2023-11-01, prices: [{own}]}}
  - {{customer: a-2, plan: payg, start: 2023-11-01}}
"""


@pytest.fixture
def month(books: Engine, usage_store: UsageStore) -> Month:
    """Eleven tokens of both in each of three months, the last of them in the last minute of the month in Tokyo."""
    made = Month(books, usage_store)
    made.sell(catalog(FIRST, OWN))
    for subject in ("a-1", "a-2"):
        for year, number in ((2023, 11), (2023, 12), (2024, 1)):
            made.use(subject, "tokens", "10.5", at=datetime(year, number, 5, tzinfo=UTC))
        made.use(subject, "tokens", "0.5", at=datetime(2023, 12, 31, 14, 59, tzinfo=UTC))
    return made


def charged(month: Month, subject: str) -> list[Decimal]:
    """What a customer pays in each of the months."""
    found: list[Decimal] = []
    for period in MONTHS:
        close_month(month, period)
        found += [one.lines[0].unrounded for one in invoices(month, period) if one.subject == subject]
    return found


def test_it_is_charged_in_periods_that_begin_within_its_days(month: Month) -> None:
    """By the clocks of the customer, and for nobody else."""
    assert charged(month, "a-1") == [Decimal(21), Decimal(3), Decimal(21)]
    assert charged(month, "a-2") == [Decimal(21), Decimal(22), Decimal(21)]


def test_a_migration_leaves_it_alone(month: Month) -> None:
    """Where it holds on the day of the migration; its subscription can be migrated once it has ended."""
    month.sell(catalog(f"{FIRST}, {SECOND}", OWN))
    merchant_id = month.priced()["merchant_id"][0]
    within = Wish(merchant_id, "payg", "tokens", date(2024, 2, 1), date(2023, 12, 1))
    now = datetime(2024, 1, 20, tzinfo=UTC)

    assert preview_migration(month.books, month.store, within, now)["subject"].to_list() == ["a-2"]
    assert migrate_prices(month.books, within)[0] == 1
    after = Wish(merchant_id, "payg", "tokens", date(2024, 2, 1), date(2024, 1, 1))
    assert migrate_prices(month.books, after)[0] == 1
    assert charged(month, "a-1") == [Decimal(21), Decimal(3), Decimal("31.5")]


def test_billed_periods_keep_their_price(month: Month) -> None:
    """Another price for one is refused; an end after it has begun leaves it as it was."""
    charged(month, "a-1")

    with pytest.raises(Conflict) as refused:
        month.sell(catalog(FIRST, OWN.replace("package_price: 1", "package_price: 2")))
    assert {problem.code for problem in refused.value.problems} == {"period_already_billed"}

    month.sell(catalog(FIRST, OWN.replace("2024-01-01", "2023-12-15")))
    assert [one.lines[0].unrounded for one in invoices(month, "2023-12")] == [Decimal(3), Decimal(22)]
