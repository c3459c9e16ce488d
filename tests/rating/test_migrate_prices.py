"""Versions of a price: a subscription keeps its own, until it is migrated; what that changes is known beforehand."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from sqlalchemy import Engine

from clickhouse.client import UsageStore
from core.errors import Conflict, Refused
from rating.migrate_prices import EFFECT, Wish, migrate_prices, preview_migration
from tests.rating.late_month import close_month, invoices
from tests.rating.month import PERIOD, Month

NOW = datetime(2023, 12, 20, tzinfo=UTC)
DECEMBER = datetime(2023, 12, 15, tzinfo=UTC)
FIRST = "{meter: tokens, model: per_unit, unit_price: 2}"
TIERS = "[{up_to: 3, unit_price: 1}, {up_to: null, unit_price: 0.5}]"
SECOND = f"{{meter: tokens, model: graduated, from: 2023-12-01, tiers: {TIERS}}}"


def catalog(prices: str, *subscriptions: tuple[str, str]) -> str:
    """A plan with these prices, and customers of it from a day on."""
    customers = ", ".join(f"{{key: {key}, zone: Europe/Berlin, currency: USD}}" for key, _ in subscriptions)
    begun = ", ".join(f"{{customer: {key}, plan: payg, start: {start}}}" for key, start in subscriptions)
    return f"""
merchant: {{code: acme}}
meters: [{{code: tokens, event_type: t, aggregation: sum, value: n}}]
plans: [{{code: payg, currency: USD, prices: [{prices}]}}]
customers: [{customers}]
subscriptions: [{begun}]
"""


@pytest.fixture
def month(books: Engine, usage_store: UsageStore) -> Month:
    """Two customers of the first version, one of the second, and usage in November and December."""
    made = Month(books, usage_store)
    made.sell(catalog(FIRST, ("a-1", "2023-11-01"), ("a-2", "2023-11-01")))
    made.sell(catalog(f"{FIRST}, {SECOND}", ("b-1", "2023-12-01")))
    made.use("a-1", "tokens", "4", "1.5")
    made.use("a-2", "tokens", "1")
    for subject in ("a-1", "a-2", "b-1"):
        made.use(subject, "tokens", "7", at=DECEMBER, stored_at=DECEMBER)
    return made


def wish(month: Month, holds_from: date, to: date | None = date(2023, 12, 1)) -> Wish:
    """All subscriptions to the second version."""
    return Wish(month.priced()["merchant_id"][0], "payg", "tokens", to, holds_from)


def amounts(month: Month, period: str) -> dict[str, Decimal]:
    """What each customer is charged for a month."""
    close_month(month, period)
    return {one.subject: one.lines[0].unrounded for one in invoices(month, period)}


def test_a_subscription_keeps_the_version_that_was_sold_when_it_began(month: Month) -> None:
    """A version that came later is for those who come later."""
    assert amounts(month, PERIOD) == {"a-1": Decimal(11), "a-2": Decimal(2)}
    assert amounts(month, "2023-12") == {"a-1": Decimal(14), "a-2": Decimal(14), "b-1": Decimal(5)}


def test_the_preview_is_the_money_of_the_last_period_with_its_real_usage(month: Month) -> None:
    """At both prices, by the code of a close; nothing is written."""
    effect = preview_migration(month.books, month.store, wish(month, date(2024, 1, 1)), NOW)

    assert effect.schema == EFFECT
    assert effect.select("subject", "old_amount", "new_amount", "amount", "problem").rows() == [
        ("a-1", 11, Decimal("4.25"), Decimal("-6.75"), None),
        ("a-2", 2, 1, -1, None),
    ]
    assert effect["period_end"].unique().to_list() == [datetime(2023, 11, 30, 23, tzinfo=UTC)]
    assert amounts(month, "2023-12")["a-1"] == 14


def test_a_migration_holds_for_periods_from_its_day_on(month: Month) -> None:
    """November at the old price, December at the new one, as the preview has told of its usage."""
    assert migrate_prices(month.books, wish(month, date(2023, 12, 1)))[0] == 2

    assert amounts(month, PERIOD) == {"a-1": Decimal(11), "a-2": Decimal(2)}
    assert amounts(month, "2023-12") == {"a-1": Decimal(5), "a-2": Decimal(5), "b-1": Decimal(5)}
    # There is nobody left to move, and the way back is the same.
    assert migrate_prices(month.books, wish(month, date(2024, 1, 1)))[0] == 0
    assert migrate_prices(month.books, wish(month, date(2024, 1, 1), to=None))[0] == 3


def test_what_was_billed_keeps_its_price(month: Month) -> None:
    """A day that would change a billed period is refused as a whole."""
    close_month(month, PERIOD)

    with pytest.raises(Refused, match="have been billed for periods from 2023-11-01 on") as refused:
        migrate_prices(month.books, wish(month, date(2023, 11, 1)))

    assert (refused.value.code, refused.value.status) == ("period_already_billed", 409)
    assert month.priced()["priced_from"].null_count() == 3


def test_an_unknown_version_is_refused(month: Month) -> None:
    """With those that there are."""
    with pytest.raises(Refused, match="it has: 2023-12-01, the first"):
        migrate_prices(month.books, wish(month, date(2024, 1, 1), to=date(2023, 12, 2)))


@pytest.mark.parametrize("day", ["2023-10-01", "2023-11-01", "2023-12-01"])
def test_a_version_that_running_subscriptions_would_slip_into_is_refused(month: Month, day: str) -> None:
    """It must begin after all versions and subscriptions that there are."""
    later = f"{{meter: tokens, model: per_unit, unit_price: 3, from: {day}}}"
    prices = f"{FIRST}, {later}" if day != "2023-12-01" else later

    with pytest.raises(Conflict) as refused:
        month.sell(catalog(prices.replace("2023-12-01", "2023-11-30")))

    assert {problem.code for problem in refused.value.problems} == {"price_version_not_new"}
