"""The money effect of usage that is not counted yet, such as a backfill's held events: a close with writing off.

    effect = preview_backfill(books, store, "mer_…", "backfill-id", clock.now())

Old and new quantities are asked for in the same way and rated by the same ``rate`` that closes use, so that the preview
is what a close would bill. It looks at open and at billed periods; what the difference would become is in ``outcome``.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Final

import polars as pl
from sqlalchemy import Connection, Engine, select

from catalog.late_usage import load_late_settings, with_late_settings
from catalog.meter import as_filters
from catalog.pricing import load_priced_subscriptions
from catalog.tables import meters
from catalog.version import holds_at
from clickhouse.client import UsageStore
from clickhouse.held_usage import Held, held_usage, usage_with_held
from clickhouse.recompute import Rule
from core.db import transaction
from core.frames import Schema, checked
from core.period import add_months
from rating.adjustment import DIFFERENCE
from rating.billed import OWNER_PERIODS, load_billed
from rating.charge import INSTANT, PRICE_OF
from rating.derive import is_derived
from rating.due import with_periods
from rating.engine import rate
from rating.exact import as_amount, minus, units
from rating.freeze import Freeze, freeze_now
from rating.inputs import DUE_PRICES
from rating.load_usage import SCOPE, load_usage, measured_or_too_large

# One row a price of a subscription and period that the change touches. ``outcome`` says where the difference goes:
#   invoice       the period is open: its invoice will have it
#   next_invoice  the period is billed: an adjustment on the subscription's next invoice
#   report_only   the period is billed, and the merchant wants late usage to be reported only
#   too_old       the period is billed, and too old for the merchant's months_back
# Amounts are unrounded, and null where ``problem`` says why the line cannot be rated.
PREVIEW: Final[Schema] = {
    **PRICE_OF,
    "currency": pl.String(),
    "period": pl.String(),
    "period_start": INSTANT,
    "period_end": INSTANT,
    "billed": pl.Boolean(),
    "outcome": pl.String(),
    **DIFFERENCE,
    "problem": pl.String(),
}
# Why the effect on a quantity that is derived is not told.
UNTOLD: Final = "the quantity is worked out when the period is closed, and held events are not looked at before"
PLACE: Final = ("period", "subscription_id", "price_id")
OWNER: Final = ("merchant_id", "customer_id", "meter_id")


def preview_backfill(
    books: Engine, store: UsageStore, merchant_id: str, correction_id: str, now: datetime
) -> pl.DataFrame:
    """PREVIEW of counting the events that a backfill still holds, by the catalog as it is now; writes nothing.

    Sorted by subject, period and meter; empty when the held events feed no priced meter. Events of meters or customers
    that nobody knows, and of customers without a subscription, change no bill and are not in it. Raises ``Transient``
    when a store does not answer.
    """
    freeze = freeze_now(books, now)
    with transaction(books) as connection:
        held = Held(merchant_id, correction_id, load_rules_now(connection, merchant_id, freeze.catalog_version))
    touched = held_usage(store, held)
    with transaction(books) as connection:
        prices = touched_prices(connection, freeze, merchant_id, touched)
    if prices.is_empty():
        return pl.DataFrame(schema=PREVIEW)
    parts = [compared(store, held, freeze, some) for _, some in prices.group_by("period", maintain_order=True)]
    return checked(pl.concat(parts).with_columns(outcome=outcome(now)), PREVIEW).sort("subject", "period", "meter")


def load_rules_now(connection: Connection, merchant_id: str, version: int) -> dict[str, Rule]:
    """How the merchant's meters count as of a catalog version, by id."""
    columns = meters.c
    statement = (
        select(columns.meter_id, columns.event_type, columns.value_property, columns.filters, columns.expression)
    ).where(columns.merchant_id == merchant_id, holds_at(meters, version))
    return {
        meter_id: Rule(event_type, value_property, as_filters(filters), expression=expression)
        for meter_id, event_type, value_property, filters, expression in connection.execute(statement)
    }


def touched_prices(connection: Connection, freeze: Freeze, merchant_id: str, touched: pl.DataFrame) -> pl.DataFrame:
    """Every price of a period in which one of the touched customers and meters has held events.

    DUE_PRICES with the period's name, whether it is billed, and what the merchant wants of late usage.
    """
    priced = load_priced_subscriptions(connection, freeze.catalog_version)
    owners = touched.select("customer_id", "meter_id").unique()
    priced = priced.filter(pl.col("merchant_id") == merchant_id).join(
        owners, on=["customer_id", "meter_id"], how="semi", maintain_order="left"
    )
    # A period is named after the month in which it begins, which may be one before that of the event, or, east of
    # Greenwich, one after.
    months = {add_months(month, step) for month in touched["month"].unique() for step in (-1, 0, 1)}
    parts = [in_month(priced, month) for month in sorted(months)]
    if not parts:
        return pl.DataFrame(schema=DUE_PRICES)
    inside = (pl.col("first_at") < pl.col("period_end")) & (pl.col("last_at") >= pl.col("period_start"))
    hit = pl.concat(parts).join(touched, on=["customer_id", "meter_id"]).filter(inside)
    found = hit.unique(PLACE, maintain_order=True)
    billed = load_billed(connection, found.select(list(OWNER_PERIODS)).unique())
    known = billed.select("subscription_id", "price_id", period="for_period", billed=pl.lit(value=True))
    settled = with_late_settings(found, load_late_settings(connection, freeze.catalog_version))
    return settled.join(known, on=PLACE, how="left", maintain_order="left").with_columns(
        pl.col("billed").fill_null(value=False)
    )


def in_month(priced: pl.DataFrame, month: date) -> pl.DataFrame:
    """The periods that begin in a month, with its name."""
    return with_periods(priced, month).with_columns(period=pl.lit(f"{month:%Y-%m}"))


def compared(store: UsageStore, held: Held, freeze: Freeze, prices: pl.DataFrame) -> pl.DataFrame:
    """The prices of periods of one name, rated without the held events and with them."""
    due = checked(prices, DUE_PRICES)
    without = rate(load_usage(store, due, freeze.cutoff), due)
    counted = measured_or_too_large(due.select(SCOPE), lambda some: usage_with_held(store, held, some, freeze.cutoff))
    with_held = rate(counted, due)
    old = without.select(*PLACE[1:], old_quantity="quantity", old_amount="amount", old_problem="parked_reason")
    new = with_held.select(*PLACE[1:], new_quantity="quantity", new_amount="amount", new_problem="parked_reason")
    joined = prices.join(old, on=PLACE[1:], maintain_order="left").join(new, on=PLACE[1:], maintain_order="left")
    not_told = pl.when(is_derived()).then(pl.lit(UNTOLD))
    return joined.with_columns(
        quantity=pl.col("new_quantity") - pl.col("old_quantity"),
        amount=as_amount(minus(units(pl.col("new_amount")), units(pl.col("old_amount")))),
        problem=pl.coalesce(not_told, "new_problem", "old_problem"),
    ).with_columns(pl.when(is_derived()).then(None).otherwise(name).alias(name) for name in DIFFERENCE)


def outcome(now: datetime) -> pl.Expr:
    """Where a difference goes."""
    months_ago = (now.year - pl.col("period").str.slice(0, 4).cast(pl.Int64)) * 12 + (
        now.month - pl.col("period").str.slice(5, 2).cast(pl.Int64)
    )
    return (
        pl.when(~pl.col("billed"))
        .then(pl.lit("invoice"))
        .when(pl.col("policy") != "next_invoice")
        .then(pl.lit("report_only"))
        .when(months_ago > pl.col("months_back"))
        .then(pl.lit("too_old"))
        .otherwise(pl.lit("next_invoice"))
    )
