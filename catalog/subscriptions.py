"""Subscriptions in the books: made once, ended once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import lru_cache
from zoneinfo import ZoneInfo

import polars as pl
from sqlalchemy import Connection, bindparam, select, update

from catalog.change import Change, Known, Naming
from catalog.declaration import SubscriptionDeclaration
from catalog.tables import customers, plans, subscriptions
from core.bulk import copy_rows
from core.frames import Schema
from core.ids import new_id
from core.period import day_start

ROWS: Schema = {
    "subscription_id": pl.String(),
    "merchant_id": pl.String(),
    "customer_id": pl.String(),
    "plan_id": pl.String(),
    "starts_at": pl.Datetime("us", "UTC"),
    "ends_at": pl.Datetime("us", "UTC"),
    "anchor_day": pl.Int16(),
    "interval": pl.String(),
    "from_version": pl.Int64(),
    "ended_version": pl.Int64(),
}


def subscription_code(subscription: SubscriptionDeclaration) -> str:
    """A subscription's name: who has what since when."""
    return f"{subscription.customer} on {subscription.plan} from {subscription.start.isoformat()}"


NAMING: Naming[SubscriptionDeclaration] = Naming(
    "subscription",
    "subscriptions",
    code=subscription_code,
    says=lambda subscription: {"end": subscription.end.isoformat() if subscription.end else None},
)


def load_subscriptions(connection: Connection, merchant_id: str) -> dict[str, Known[SubscriptionDeclaration]]:
    """A merchant's subscriptions, the ended ones too, in the words of a file."""
    statement = (
        select(
            subscriptions.c.subscription_id,
            customers.c.subject,
            plans.c.code,
            subscriptions.c.starts_at,
            subscriptions.c.ends_at,
            customers.c.zone,
        )
        .join(plans, plans.c.plan_id == subscriptions.c.plan_id)
        .join(
            customers,
            (customers.c.customer_id == subscriptions.c.customer_id) & customers.c.until_version.is_(None),
        )
        .where(subscriptions.c.merchant_id == merchant_id)
    )
    local_day = lru_cache(maxsize=10_000)(day_of)
    found = [
        Known(
            subscription_id,
            SubscriptionDeclaration(
                subject, plan, local_day(starts_at, zone), local_day(ends_at, zone) if ends_at else None
            ),
        )
        for subscription_id, subject, plan, starts_at, ends_at, zone in connection.execute(statement)
    ]
    return {subscription_code(known.value): known for known in found}


def day_of(instant: datetime, zone: str) -> date:
    """The local calendar day of an instant."""
    return instant.astimezone(ZoneInfo(zone)).date()


@dataclass(frozen=True, slots=True)
class SubscriptionPlaces:
    """What a subscription's row refers to: customers by key, plans by code."""

    customer_ids: Mapping[str, str]
    zones: Mapping[str, str]
    plan_ids: Mapping[str, str]


def write_subscriptions(
    connection: Connection,
    merchant_id: str,
    version: int,
    changes: Sequence[Change[SubscriptionDeclaration]],
    places: SubscriptionPlaces,
) -> None:
    """Create subscriptions, or set the end of those that have none."""
    first_instant = lru_cache(maxsize=10_000)(day_start)
    rows, ends = [], []
    for change in changes:
        declared, zone = change.declared, places.zones[change.declared.customer]
        ends_at = first_instant(declared.end, zone) if declared.end else None
        if change.current is not None:
            ends.append({"ended_id": change.current.row_id, "end": ends_at})
            continue
        rows.append(
            {
                "subscription_id": new_id("sub"),
                "merchant_id": merchant_id,
                "customer_id": places.customer_ids[declared.customer],
                "plan_id": places.plan_ids[declared.plan],
                "starts_at": first_instant(declared.start, zone),
                "ends_at": ends_at,
                "anchor_day": declared.start.day,
                "interval": "month",
                "from_version": version,
                "ended_version": version if ends_at else None,
            }
        )
    copy_rows(connection, subscriptions, pl.DataFrame(rows, schema=ROWS))
    if ends:
        same = subscriptions.c.subscription_id == bindparam("ended_id")
        connection.execute(
            update(subscriptions).where(same).values(ends_at=bindparam("end"), ended_version=version), ends
        )
