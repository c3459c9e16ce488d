"""What rating needs of the catalog: every subscription with every price of its plan, in one frame."""

from __future__ import annotations

from collections.abc import Callable, Collection
from zoneinfo import ZoneInfo

import polars as pl
from sqlalchemy import Connection, func, select, true

from catalog.price import price_text
from catalog.price_versions import load_pins, with_ends, with_overrides, with_versions
from catalog.read_frame import read_frame
from catalog.tables import meters, plans, price_overrides, prices
from catalog.tables import subscriptions as subscription_rows
from catalog.version import current_version, holds_at
from core.frames import Schema, checked

INSTANT = pl.Datetime("us", "UTC")

PRICED_SUBSCRIPTIONS: Schema = {
    "merchant_id": pl.String(),
    "subscription_id": pl.String(),
    "customer_id": pl.String(),
    "subject": pl.String(),
    "zone": pl.String(),
    "currency": pl.String(),
    "starts_at": INSTANT,
    "ends_at": INSTANT,
    "anchor": pl.Date(),
    "plan_id": pl.String(),
    "plan": pl.String(),
    "price_id": pl.String(),
    "meter_id": pl.String(),
    "meter": pl.String(),
    "aggregation": pl.String(),
    "model": pl.String(),
    "definition": pl.String(),
    # Periods that begin within these are charged by the row's price; null is without end.
    "priced_from": INSTANT,
    "priced_until": INSTANT,
}

SUBSCRIPTIONS: Schema = {
    "merchant_id": pl.String(),
    "subscription_id": pl.String(),
    "customer_id": pl.String(),
    "subject": pl.String(),
    "zone": pl.String(),
    "pays_in": pl.String(),
    "plan_id": pl.String(),
    "starts_us": pl.Int64(),
    "ends_us": pl.Int64(),
}

# An end counts from the version on that set it.
SUBSCRIPTIONS_QUERY = """
    SELECT s.merchant_id, s.subscription_id, s.customer_id, c.subject, c.zone, c.currency, s.plan_id,
        (extract(epoch FROM s.starts_at) * 1000000)::bigint,
        CASE WHEN s.ended_version <= %(version)s THEN (extract(epoch FROM s.ends_at) * 1000000)::bigint END
    FROM subscriptions s JOIN customers c ON c.customer_id = s.customer_id
        AND c.from_version <= %(version)s AND (c.until_version IS NULL OR %(version)s < c.until_version)
    WHERE s.from_version <= %(version)s
"""
OF_CUSTOMER = " AND s.merchant_id = %(merchant_id)s AND s.customer_id = %(customer_id)s"

PRICES: Schema = {
    "plan_id": pl.String(),
    "plan": pl.String(),
    "currency": pl.String(),
    "price_id": pl.String(),
    "meter_id": pl.String(),
    "meter": pl.String(),
    "aggregation": pl.String(),
    "model": pl.String(),
    "effective_from": pl.Date(),
    "definition": pl.String(),
}


# A derivation stands behind the aggregation, as ``core.derivation`` reads it.
AGGREGATION = func.concat_ws(" ", meters.c.aggregation, meters.c.billed).label("aggregation")

OWN_PRICES: Schema = {
    "subscription_id": pl.String(),
    **{name: kind for name, kind in PRICES.items() if name != "effective_from"},
    "holds_from": pl.Date(),
    "holds_until": pl.Date(),
}


def load_priced_subscriptions(connection: Connection, version: int) -> pl.DataFrame:
    """All subscriptions times the prices of their plans, as of a catalog version: ``PRICED_SUBSCRIPTIONS``.

    The ended ones are there too, for their last period may not be billed yet. ``ends_at`` is null for those
    without an end; ``anchor`` is the local day of the start. The same version always gives the same frame,
    sorted by merchant, subscription and price.
    """
    assert 0 <= version <= current_version(connection), f"catalog version {version} is not written yet"
    sold, own = load_prices(connection, version), load_own_prices(connection, version)
    return all_priced(load_subscriptions(connection, version), sold, own, lambda: load_pins(connection, version))


def load_priced_of_customer(connection: Connection, version: int, merchant_id: str, customer_id: str) -> pl.DataFrame:
    """The rows of ``load_priced_subscriptions`` of one customer, without looking at those of others."""
    said = {"version": version, "merchant_id": merchant_id, "customer_id": customer_id}
    subscriptions = with_times(read_frame(connection, SUBSCRIPTIONS_QUERY + OF_CUSTOMER, said, SUBSCRIPTIONS))
    plan_ids = subscriptions["plan_id"].unique().to_list()
    ids = subscriptions["subscription_id"].to_list()
    sold, own = load_prices(connection, version, plan_ids), load_own_prices(connection, version, ids)
    return all_priced(subscriptions, sold, own, lambda: load_pins(connection, version, ids))


def all_priced(
    subscriptions: pl.DataFrame, sold: pl.DataFrame, own: pl.DataFrame, find_pins: Callable[[], pl.DataFrame]
) -> pl.DataFrame:
    """PRICED_SUBSCRIPTIONS of subscriptions with the prices of their plans, their own prices and, if needed, pins."""
    priced = with_anchors(subscriptions).join(sold, on="plan_id")
    # Asked of the prices, which are few: subscriptions may be a million.
    if own.height or sold.select("plan_id", "meter_id").is_duplicated().any():
        spans = with_versions(priced, find_pins())
        own = with_anchors(subscriptions).join(own, on=["subscription_id", "plan_id"])
        priced = with_ends(with_overrides(spans, own) if own.height else spans)
    else:
        ever = pl.lit(None, dtype=INSTANT)
        priced = priced.with_columns(priced_from=ever, priced_until=ever)
    # The customer chooses among the currencies of a price; one that it does not have is for rating to refuse.
    chosen = pl.when(pl.col("definition").str.contains('"currencies"', literal=True)).then("pays_in")
    priced = priced.with_columns(currency=chosen.otherwise("currency"))
    return checked(priced.sort("merchant_id", "subscription_id", "price_id"), PRICED_SUBSCRIPTIONS)


def load_subscriptions(connection: Connection, version: int) -> pl.DataFrame:
    """All subscriptions as of a catalog version, with their instants."""
    return with_times(read_frame(connection, SUBSCRIPTIONS_QUERY, {"version": version}, SUBSCRIPTIONS))


def with_times(subscriptions: pl.DataFrame) -> pl.DataFrame:
    """SUBSCRIPTIONS with their instants."""
    return subscriptions.with_columns(
        pl.from_epoch("starts_us", "us").dt.replace_time_zone("UTC").alias("starts_at"),
        pl.from_epoch("ends_us", "us").dt.replace_time_zone("UTC").alias("ends_at"),
    )


def every_version(connection: Connection, version: int, subscriptions: pl.DataFrame) -> pl.DataFrame:
    """Subscriptions with every version of the prices of their plans."""
    return with_anchors(subscriptions).join(load_prices(connection, version), on="plan_id")


def with_anchors(subscriptions: pl.DataFrame) -> pl.DataFrame:
    """Add the local day of each start. Many share few starts, so each is worked out once, in Python."""
    starts = subscriptions.select("zone", "starts_at").unique()
    days = [starts_at.astimezone(ZoneInfo(zone)).date() for zone, starts_at in starts.iter_rows()]
    return subscriptions.join(starts.with_columns(pl.Series("anchor", days, pl.Date())), on=["zone", "starts_at"])


def load_prices(connection: Connection, version: int, plan_ids: Collection[str] | None = None) -> pl.DataFrame:
    """All prices, or those of some plans, with their plan and meter, as of ``version``: a frame of ``PRICES``."""
    wanted = true() if plan_ids is None else prices.c.plan_id.in_(plan_ids)
    statement = (
        select(
            prices.c.plan_id,
            plans.c.code.label("plan"),
            prices.c.currency,
            prices.c.price_id,
            prices.c.meter_id,
            meters.c.code.label("meter"),
            AGGREGATION,
            prices.c.model,
            prices.c.effective_from,
            prices.c.definition,
        )
        .join(plans, plans.c.plan_id == prices.c.plan_id)
        .join(meters, meters.c.meter_id == prices.c.meter_id)
        .where(holds_at(prices, version), holds_at(meters, version), wanted)
    )
    rows = [(*row[:-1], price_text(row.definition)) for row in connection.execute(statement)]
    return pl.DataFrame(rows, schema=PRICES, orient="row")


def load_own_prices(
    connection: Connection, version: int, subscription_ids: Collection[str] | None = None
) -> pl.DataFrame:
    """The prices of single subscriptions, all or some, as of ``version``: a frame of ``OWN_PRICES``."""
    own = price_overrides.c
    wanted = true() if subscription_ids is None else own.subscription_id.in_(subscription_ids)
    statement = (
        select(
            own.subscription_id,
            plans.c.plan_id,
            plans.c.code.label("plan"),
            own.currency,
            own.price_id,
            own.meter_id,
            meters.c.code.label("meter"),
            AGGREGATION,
            own.model,
            own.definition,
            own.holds_from,
            own.holds_until,
        )
        .join(subscription_rows, subscription_rows.c.subscription_id == own.subscription_id)
        .join(plans, plans.c.plan_id == subscription_rows.c.plan_id)
        .join(meters, meters.c.meter_id == own.meter_id)
        .where(holds_at(price_overrides, version), holds_at(meters, version), wanted)
    )
    found = [row._asdict() for row in connection.execute(statement)]
    rows = [row | {"definition": price_text(row["definition"])} for row in found]
    return pl.DataFrame(rows, schema=OWN_PRICES)
