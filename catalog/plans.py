"""Plans and the prices in them. A price never changes: another definition is another price, with its own id."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import orjson
from sqlalchemy import Connection, insert, inspect, select, text, update

from catalog.change import Change, Known, Naming
from catalog.declaration import PlanDeclaration, PriceDeclaration
from catalog.price import price_text
from catalog.tables import meters, plans, prices
from catalog.version import close_rows
from core.ids import new_id


@dataclass(frozen=True, slots=True)
class PlanPrice:
    """A price with the plan that it is part of."""

    plan: str
    price: PriceDeclaration


PLAN_NAMING: Naming[PlanDeclaration] = Naming(
    "plan", "plans", code=lambda plan: plan.code, says=lambda plan: {"name": plan.name, "currency": plan.currency}
)


def price_naming(plan_index: int) -> Naming[PlanPrice]:
    """How the prices of a file's ``plan_index``-th plan are compared."""
    return Naming(
        "price",
        f"plans[{plan_index}].prices",
        code=lambda entry: price_code(entry.plan, entry.price),
        says=lambda entry: {"definition": entry.price.definition},
    )


def price_code(plan: str, price: PriceDeclaration) -> str:
    """A price's name; codes hold no slash."""
    since = f" from {price.effective_from}" if price.effective_from else ""
    return f"{plan}/{price.meter}{since}"


def load_plans(connection: Connection, merchant_id: str) -> dict[str, Known[PlanDeclaration]]:
    """A merchant's plans by code, without their prices."""
    statement = select(plans).where(plans.c.merchant_id == merchant_id)
    return {
        row.code: Known(row.plan_id, PlanDeclaration(row.code, row.name, row.currency))
        for row in connection.execute(statement)
    }


def load_prices(connection: Connection, merchant_id: str) -> dict[str, Known[PlanPrice]]:
    """A merchant's prices as they are now, by plan and meter."""
    statement = (
        select(prices, plans.c.code.label("plan"), meters.c.code.label("meter"))
        .join(plans, plans.c.plan_id == prices.c.plan_id)
        .join(meters, (meters.c.meter_id == prices.c.meter_id) & meters.c.until_version.is_(None))
        .where(prices.c.merchant_id == merchant_id, prices.c.until_version.is_(None))
    )
    found: dict[str, Known[PlanPrice]] = {}
    for row in connection.execute(statement):
        day = row.effective_from if row.effective_from > date.min else None
        price = PriceDeclaration(row.meter, row.model, price_text(row.definition), day)
        found[price_code(row.plan, price)] = Known(row.price_id, PlanPrice(row.plan, price))
    return found


def billed_prices(connection: Connection, price_ids: Sequence[str]) -> frozenset[str]:
    """Which of the prices an amount was charged with; none before charge lines exist."""
    if not price_ids or not inspect(connection).has_table("charge_lines"):
        return frozenset()
    # By name: charges come after the catalog, which must not import them. A line without an amount was parked, maybe
    # for this very price, which then has to be mended.
    statement = text(
        "SELECT DISTINCT price_id FROM charge_lines WHERE price_id = ANY(:price_ids) AND amount IS NOT NULL"
    )
    return frozenset(connection.execute(statement, {"price_ids": list(price_ids)}).scalars())


def write_plans(connection: Connection, merchant_id: str, changes: Sequence[Change[PlanDeclaration]]) -> dict[str, str]:
    """Create or rename plans; returns the ids of new ones by code."""
    made: dict[str, str] = {}
    rows = []
    for change in changes:
        name = change.declared.name or change.code
        if change.current is None:
            made[change.code] = new_id("plan")
            rows.append(
                {
                    "plan_id": made[change.code],
                    "merchant_id": merchant_id,
                    "code": change.code,
                    "name": name,
                    "currency": change.declared.currency,
                }
            )
        else:
            connection.execute(update(plans).where(plans.c.plan_id == change.current.row_id).values(name=name))
    if rows:
        connection.execute(insert(plans), rows)
    return made


@dataclass(frozen=True, slots=True)
class PricePlaces:
    """What a price row refers to, by code."""

    plan_ids: Mapping[str, str]
    currencies: Mapping[str, str]
    meter_ids: Mapping[str, str]


def price_row(price: PriceDeclaration, merchant_id: str, meter_ids: Mapping[str, str], version: int) -> dict[str, Any]:
    """What a row of a price says whoever pays it."""
    return {
        "price_id": new_id("price"),
        "merchant_id": merchant_id,
        "meter_id": meter_ids[price.meter],
        "model": price.model,
        "definition": orjson.loads(price.definition),
        "from_version": version,
        "until_version": None,
    }


def write_prices(
    connection: Connection, merchant_id: str, version: int, changes: Sequence[Change[PlanPrice]], places: PricePlaces
) -> None:
    """Create prices; a changed one ends the row that held before."""
    close_rows(connection, prices.c.price_id, (c.current.row_id for c in changes if c.current), version)
    rows = [
        price_row(change.declared.price, merchant_id, places.meter_ids, version)
        | {
            "plan_id": places.plan_ids[change.declared.plan],
            "currency": places.currencies[change.declared.plan],
            "effective_from": change.declared.price.effective_from or date.min,
        }
        for change in changes
    ]
    if rows:
        connection.execute(insert(prices), rows)
