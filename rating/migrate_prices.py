"""Moves the subscriptions of a plan to another version of a price, and says beforehand what that changes in money.

The preview rates the last period of each subscription that has ended, with its real usage as it is now, at the price
that it had and at the other version, by the very functions that a close calls. It writes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final

import polars as pl
from sqlalchemy import Connection, Engine, text

from catalog.price_versions import ALWAYS, write_pins
from catalog.pricing import every_version, load_priced_subscriptions, load_subscriptions
from catalog.version import lock_version
from clickhouse.client import UsageStore
from core.db import transaction
from core.errors import Refused
from core.frames import Schema, checked
from core.period import add_months, day_start
from rating.charge import AMOUNT, INSTANT, PRICE_OF
from rating.derive import derive
from rating.due import with_periods
from rating.engine import rate
from rating.exact import as_amount, minus, units
from rating.freeze import Freeze, freeze_now
from rating.inputs import DUE_PRICES
from rating.load_detail import load_detail
from rating.load_usage import load_usage
from rating.recount import recount

# One row a subscription that would move. Amounts are unrounded, and null where ``problem`` says why; a subscription
# that no period has ended of yet has none, and no problem.
EFFECT: Final[Schema] = {
    **PRICE_OF,
    "currency": pl.String(),
    "zone": pl.String(),
    "period_start": INSTANT,
    "period_end": INSTANT,
    "old_amount": AMOUNT,
    "new_amount": AMOUNT,
    "amount": AMOUNT,
    "problem": pl.String(),
}
# Months to look back for a period that has ended.
MONTHS_BACK: Final = 2
BILLED = text("""
    SELECT DISTINCT c.subscription_id FROM charge_lines AS c
    WHERE c.subscription_id = ANY(:subscription_ids) AND c.meter_id = :meter_id AND c.amount IS NOT NULL
        AND c.period_start >= :since
""")


@dataclass(frozen=True, slots=True)
class Wish:
    """Which version of a price the subscriptions of a plan should have, in periods that begin from a day on."""

    merchant_id: str
    plan: str
    meter: str
    to: date | None
    holds_from: date


def preview_migration(books: Engine, store: UsageStore, wish: Wish, now: datetime) -> pl.DataFrame:
    """EFFECT of a migration, sorted by subject; raises ``Refused`` for names that lead nowhere."""
    freeze = freeze_now(books, now)
    with transaction(books) as connection:
        moving, target = moving_to(connection, wish, freeze.catalog_version)
    last = last_periods(moving, now)
    unrated = moving.join(last, on="subscription_id", how="anti", maintain_order="left").with_columns(
        pl.lit(None, dtype=kind).alias(name) for name, kind in EFFECT.items() if name not in moving.columns
    )
    if last.is_empty():
        return checked(unrated, EFFECT)
    other = last.drop("price_id", "model", "definition", "currency").join(
        target.select("subscription_id", "price_id", "model", "definition", "currency"), on="subscription_id"
    )
    old, new = (rated(books, store, some, freeze) for some in (last, other))
    before = old.select("subscription_id", old_amount="amount", old_problem="parked_reason")
    after = new.select("subscription_id", new_amount="amount", new_problem="parked_reason")
    both = last.join(before, on="subscription_id").join(after, on="subscription_id")
    found = both.with_columns(
        amount=as_amount(minus(units(pl.col("new_amount")), units(pl.col("old_amount")))),
        problem=pl.coalesce("new_problem", "old_problem"),
    )
    return pl.concat([checked(found, EFFECT), checked(unrated, EFFECT)]).sort("subject", "subscription_id")


def migrate_prices(books: Engine, wish: Wish) -> tuple[int, int]:
    """Move them all, or none; returns how many and the new catalog version (0 and the current one for none).

    Raises ``Refused`` with ``period_already_billed`` when one of them has been billed for a period that would change.
    """
    with transaction(books) as connection:
        version = lock_version(connection)
        moving, _ = moving_to(connection, wish, version)
        if moving.is_empty():
            return 0, version
        refuse_billed(connection, wish, moving)
        return moving.height, write_pins(connection, moving, wish.to or ALWAYS, wish.holds_from)


def moving_to(connection: Connection, wish: Wish, version: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The rows of subscriptions that would move, by the price they have on the day, and those of the other version."""
    here = (pl.col("merchant_id") == wish.merchant_id, pl.col("plan") == wish.plan, pl.col("meter") == wish.meter)
    versions = every_version(connection, version, load_subscriptions(connection, version)).filter(*here)
    target = versions.filter(pl.col("effective_from") == (wish.to or ALWAYS))
    if target.is_empty():
        known = ", ".join(sorted({str(day) if day > ALWAYS else "the first" for day in versions["effective_from"]}))
        say = f"plan {wish.plan} has no subscription, or no such version of the price of {wish.meter}; it has: {known}"
        raise Refused("price_version_unknown", say)
    priced = load_priced_subscriptions(connection, version).filter(*here)
    zones = {zone: day_start(wish.holds_from, zone) for zone in priced["zone"].unique()}
    at = pl.col("zone").replace_strict(zones, return_dtype=INSTANT)
    has = (pl.col("priced_from") <= at).fill_null(value=True) & (at < pl.col("priced_until")).fill_null(value=True)
    runs = (pl.col("ends_at") > at).fill_null(value=True)
    # A price that a subscription has of its own stands: it is not the plan's.
    on_day = priced.filter(has, runs).join(versions, on=["subscription_id", "price_id"], how="semi")
    moved = on_day.join(target, on=["subscription_id", "price_id"], how="anti", maintain_order="left")
    return moved, chosen_currency(target)


def chosen_currency(versions: pl.DataFrame) -> pl.DataFrame:
    """Versions in the currency that each customer pays in, where they have several."""
    several = pl.col("definition").str.contains('"currencies"', literal=True)
    return versions.with_columns(currency=pl.when(several).then("pays_in").otherwise("currency"))


def last_periods(priced: pl.DataFrame, now: datetime) -> pl.DataFrame:
    """The last period of each subscription that has ended."""
    ever = priced.with_columns(priced_from=pl.lit(None, dtype=INSTANT), priced_until=pl.lit(None, dtype=INSTANT))
    months = [add_months(now.date().replace(day=1), -back) for back in range(MONTHS_BACK + 1)]
    periods = pl.concat(with_periods(ever, month) for month in months)
    ended = periods.filter(pl.col("period_end") <= now).sort("period_end", descending=True, maintain_order=True)
    return ended.unique("subscription_id", keep="first", maintain_order=True).sort("subject", "subscription_id")


def rated(books: Engine, store: UsageStore, periods: pl.DataFrame, freeze: Freeze) -> pl.DataFrame:
    """The lines of some periods, as a close would have them now."""
    prices = checked(periods, DUE_PRICES)
    usage = recount(books, store, load_usage(store, prices, freeze.cutoff), prices, freeze)
    usage = derive(books, store, usage, prices, freeze)
    detail, usage = load_detail(books, store, usage, prices, freeze)
    return rate(usage, prices, detail)


def refuse_billed(connection: Connection, wish: Wish, moving: pl.DataFrame) -> None:
    """What was billed keeps its price."""
    billed: list[str] = []
    for (zone, meter_id), some in moving.group_by("zone", "meter_id", maintain_order=True):
        values: dict[str, Any] = {
            "subscription_ids": some["subscription_id"].to_list(),
            "meter_id": meter_id,
            "since": day_start(wish.holds_from, str(zone)),
        }
        billed += connection.execute(BILLED, values).scalars()
    if billed:
        say = f"{len(billed)} subscriptions have been billed for periods from {wish.holds_from} on: take a later day"
        raise Refused("period_already_billed", say, 409)
