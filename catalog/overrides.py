"""Prices of single subscriptions: in periods that begin within their days they stand in for the price of the plan."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from sqlalchemy import Connection, insert, inspect, select, text

from catalog.change import Change, Known, Naming
from catalog.declaration import PriceDeclaration, SubscriptionDeclaration
from catalog.plans import price_row
from catalog.price import price_text
from catalog.subscriptions import day_of, subscription_code
from catalog.tables import meters, price_overrides
from catalog.version import close_rows
from core.errors import Problem


@dataclass(frozen=True, slots=True)
class Override:
    """A price with the name of the subscription that it is for."""

    subscription: str
    price: PriceDeclaration
    until: date | None


def override_code(override: Override) -> str:
    """A price's name: that of its subscription, the meter, and its first day."""
    since = f" from {override.price.effective_from}" if override.price.effective_from else ""
    return f"{override.subscription}/{override.price.meter}{since}"


def override_naming(index: int) -> Naming[Override]:
    """How the prices of the subscription at this place of the file are compared with the books."""
    return Naming(
        "override",
        f"subscriptions[{index}].prices",
        code=override_code,
        says=lambda said: {
            "definition": said.price.definition,
            "until": said.until.isoformat() if said.until else "",
        },
    )


def overrides_of(subscription: SubscriptionDeclaration) -> list[Override]:
    """What a file says about one subscription."""
    code = subscription_code(subscription)
    return [Override(code, said.price, said.until) for said in subscription.prices]


def load_overrides(connection: Connection, merchant_id: str, names: Mapping[str, str]) -> dict[str, Known[Override]]:
    """A merchant's prices of single subscriptions, by name; ``names`` are those of subscriptions by id."""
    columns = price_overrides.c
    statement = (
        select(price_overrides, meters.c.code.label("meter"))
        .join(meters, (meters.c.meter_id == columns.meter_id) & meters.c.until_version.is_(None))
        .where(columns.merchant_id == merchant_id, columns.until_version.is_(None))
    )
    found: dict[str, Known[Override]] = {}
    for row in connection.execute(statement):
        since = row.holds_from if row.holds_from > date.min else None
        price = PriceDeclaration(row.meter, row.model, price_text(row.definition), since)
        override = Override(names[row.subscription_id], price, row.holds_until)
        found[override_code(override)] = Known(row.price_id, override)
    return found


@dataclass(frozen=True, slots=True)
class OverridePlaces:
    """What an override's row refers to, by name."""

    subscription_ids: Mapping[str, str]
    currencies: Mapping[str, str]
    meter_ids: Mapping[str, str]


def write_overrides(
    connection: Connection, merchant_id: str, version: int, changes: Sequence[Change[Override]], places: OverridePlaces
) -> None:
    """Create them; a changed one ends the row that held before."""
    close_rows(connection, price_overrides.c.price_id, (c.current.row_id for c in changes if c.current), version)
    rows = [
        price_row(change.declared.price, merchant_id, places.meter_ids, version)
        | {
            "subscription_id": places.subscription_ids[change.declared.subscription],
            "currency": places.currencies[change.declared.subscription],
            "holds_from": change.declared.price.effective_from or date.min,
            "holds_until": change.declared.until,
        }
        for change in changes
    ]
    if rows:
        connection.execute(insert(price_overrides), rows)


# On which days billed periods begin, by subscription and meter.
BilledDays = Mapping[tuple[str, str], Collection[date]]


def billed_days(connection: Connection, zones: Mapping[str, tuple[str, str]]) -> BilledDays:
    """What was billed to subscriptions; ``zones`` are their names and customers' zones by id."""
    if not zones or not inspect(connection).has_table("charge_lines"):
        return {}
    # By name: charges come after the catalog, which must not import them.
    statement = text(
        "SELECT subscription_id, meter, period_start FROM charge_lines "
        "WHERE subscription_id = ANY(:subscription_ids) AND amount IS NOT NULL"
    )
    found: dict[tuple[str, str], set[date]] = {}
    for subscription_id, meter, start in connection.execute(statement, {"subscription_ids": list(zones)}):
        name, zone = zones[subscription_id]
        found.setdefault((name, meter), set()).add(day_of(start, zone))
    return found


def override_conflicts(changes: Sequence[Change[Override]], billed: BilledDays) -> Iterator[Problem]:
    """New prices for periods that are billed already, and changes of prices that periods were billed by."""
    for change in changes:
        first, last = changed_days(change)
        days = billed.get((change.declared.subscription, change.declared.price.meter), ())
        if hit := sorted(day for day in days if first <= day < last):
            say = f"{change.code} would change the period that begins on {hit[0]}, which has been billed"
            yield Problem("period_already_billed", say, change.path)


def changed_days(change: Change[Override]) -> tuple[date, date]:
    """The first day on which the price would be another one, and the day after the last."""
    declared = change.declared
    since, until = declared.price.effective_from or date.min, declared.until or date.max
    if change.current is None:
        return since, until
    before = change.current.value.until or date.max
    if change.current.value.price.definition == declared.price.definition:
        return min(before, until), max(before, until)
    return since, max(before, until)
