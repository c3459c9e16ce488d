"""Which version of a price a subscription has: the one sold when it began, or another from a day on that it was given.

A plan can sell a meter at several versions of a price, each from a day on. A subscription keeps the one that was sold
on its first day, whatever comes later, until a migration pins it to another one from the first period on that begins
on or after a day.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import date
from typing import Final

import polars as pl
from sqlalchemy import Connection, bindparam, insert, select, true, update

from catalog.change import Known
from catalog.diff import Books, Diff
from catalog.plans import PlanPrice
from catalog.tables import price_pins
from catalog.version import bump, holds_at, lock_version
from core.errors import Problem
from core.frames import Schema
from core.period import day_start

INSTANT: Final = pl.Datetime("us", "UTC")
# Of a version that has no day: it has been sold ever since.
ALWAYS: Final = date.min
PINS: Final[Schema] = {
    "subscription_id": pl.String(),
    "meter_id": pl.String(),
    "holds_from": pl.Date(),
    "effective_from": pl.Date(),
}
OWNER: Final = ["subscription_id", "meter_id"]


def load_pins(connection: Connection, version: int, subscription_ids: Collection[str] | None = None) -> pl.DataFrame:
    """The PINS of all subscriptions, or of some, as of a catalog version."""
    columns = [price_pins.c[name] for name in PINS]
    wanted = true() if subscription_ids is None else price_pins.c.subscription_id.in_(subscription_ids)
    rows = connection.execute(select(*columns).where(holds_at(price_pins, version), wanted))
    return pl.DataFrame([tuple(row) for row in rows], schema=PINS, orient="row")


def with_versions(priced: pl.DataFrame, pins: pl.DataFrame) -> pl.DataFrame:
    """Of subscriptions times all versions of their prices (``effective_from``) those that each has.

    ``effective_from`` goes, and ``holds_from`` comes: the day from which the row holds, until the next one does; null
    for ever since.
    """
    pinned = priced.join(pins, on=[*OWNER, "effective_from"], maintain_order="left")
    sold = pl.col("effective_from") <= pl.col("anchor")
    # The latest that was sold on the first day, or else the first one that was sold at all.
    first = (
        priced.with_columns(sold=sold, age=pl.when(sold).then(-day_number()).otherwise(day_number()))
        .sort(*OWNER, ~pl.col("sold"), "age")
        .unique(OWNER, keep="first", maintain_order=True)
        .with_columns(holds_from=pl.lit(None, dtype=pl.Date))
    )
    both = pl.concat([first.select(*priced.columns, "holds_from"), pinned.select(*priced.columns, "holds_from")])
    return both.drop("effective_from")


def with_overrides(spans: pl.DataFrame, overrides: pl.DataFrame) -> pl.DataFrame:
    """The rows of ``with_versions``, and in their place those of overrides within their days.

    ``overrides`` has the same columns, ``holds_from`` never null, and ``holds_until``. The override that began last
    decides; where it has ended, the plan's price holds again.
    """
    touched = spans.join(overrides, on=OWNER, how="semi")
    begun = overrides.sort(*OWNER, "holds_from").with_columns(next=pl.col("holds_from").shift(-1).over(OWNER))
    over = (pl.col("holds_until") < pl.col("next")).fill_null(pl.col("holds_until").is_not_null())
    points = pl.concat(
        [
            touched.select(*OWNER, day=pl.col("holds_from").fill_null(ALWAYS), plan_price="price_id"),
            begun.select(*OWNER, day="holds_from", own_price="price_id"),
            begun.filter(over).select(*OWNER, day="holds_until", own_price=pl.lit("")),
        ],
        how="diagonal",
    )
    prices = ("plan_price", "own_price")
    days = points.group_by(*OWNER, "day").agg(pl.col(name).drop_nulls().last() for name in prices).sort(*OWNER, "day")
    known = days.with_columns(pl.col(name).forward_fill().over(OWNER) for name in prices)
    chosen = pl.when(pl.col("own_price").fill_null("") != "").then("own_price").otherwise("plan_price")
    since = pl.when(pl.col("day") > ALWAYS).then("day")
    held = known.select(*OWNER, holds_from=since, price_id=chosen)
    either = pl.concat([touched, overrides.select(touched.columns)]).drop("holds_from").unique([*OWNER, "price_id"])
    found = held.join(either, on=[*OWNER, "price_id"]).select(spans.columns)
    return pl.concat([spans.join(overrides, on=OWNER, how="anti"), found])


def with_ends(spans: pl.DataFrame) -> pl.DataFrame:
    """Add ``priced_from`` and ``priced_until`` in place of ``holds_from``.

    Periods that begin within them are charged by the row; null has no end.
    """
    ordered = spans.sort(*OWNER, "holds_from", nulls_last=False)
    with_days = ordered.with_columns(holds_until=pl.col("holds_from").shift(-1).over(OWNER))
    return with_instants(with_days).drop("holds_from", "holds_until")


def day_number() -> pl.Expr:
    """The day of a version as a number."""
    return pl.col("effective_from").to_physical().cast(pl.Int64)


def with_instants(spans: pl.DataFrame) -> pl.DataFrame:
    """The first instants of the days, by the clocks of each customer."""

    def starts(name: str) -> pl.Series:
        days = spans.select("zone", day=name)
        known = [(zone, day, day_start(day, zone)) for zone, day in days.unique().drop_nulls().iter_rows()]
        instants = pl.DataFrame(known, schema={**days.schema, "instant": INSTANT}, orient="row")
        return days.join(instants, on=["zone", "day"], how="left", maintain_order="left")["instant"]

    return spans.with_columns(starts("holds_from").alias("priced_from"), starts("holds_until").alias("priced_until"))


def version_conflicts(diff: Diff, books: Books) -> Iterator[Problem]:
    """New versions that would not be newer than all there is, and so give running subscriptions another price."""
    begun: dict[str, date] = {}
    for known in books.subscriptions.values():
        begun[known.value.plan] = max(known.value.start, begun.get(known.value.plan, date.min))
    sold: dict[tuple[str, str], date] = {}
    for entry in books.prices.values():
        place = (entry.value.plan, entry.value.price.meter)
        sold[place] = max(effective(entry), sold.get(place, ALWAYS))
    for change in diff.prices:
        price, plan = change.declared.price, change.declared.plan
        newest = sold.get((plan, price.meter))
        if change.current is not None or newest is None or plan not in begun:
            continue
        least = max(newest, begun[plan])
        if (price.effective_from or ALWAYS) <= least:
            say = f"must be after {least}: plan {plan} has a version or a subscription from then on, which would change"
            yield Problem("price_version_not_new", say, f"{change.path}.from")


def effective(entry: Known[PlanPrice]) -> date:
    """From which day on a price in the books is sold."""
    return entry.value.price.effective_from or ALWAYS


def write_pins(connection: Connection, priced: pl.DataFrame, to: date, holds_from: date) -> int:
    """Give subscriptions another version from a day on, whatever they were to have from then on; the catalog's version.

    ``priced`` has their ``subscription_id``, ``meter_id`` and ``merchant_id``. The catalog is locked until the
    transaction ends.
    """
    lock_version(connection)
    version = bump(connection)
    pins = price_pins.c
    later = (pins.subscription_id == bindparam("of"), pins.meter_id == bindparam("by"), pins.holds_from >= holds_from)
    closing = update(price_pins).where(*later, pins.until_version.is_(None)).values(until_version=version)
    pinned = priced.select(*OWNER, "merchant_id").rows(named=True)
    connection.execute(closing, [{"of": one["subscription_id"], "by": one["meter_id"]} for one in pinned])
    said = {"holds_from": holds_from, "effective_from": to, "from_version": version}
    connection.execute(insert(price_pins), [one | said for one in pinned])
    return version
