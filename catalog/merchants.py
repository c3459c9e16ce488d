"""Merchants: the tenants. Everything else carries their id."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, insert, select, update

from catalog.change import Change, Known, Naming
from catalog.declaration import MerchantDeclaration
from catalog.late_usage import DEFAULT_LATE_USAGE, SAYS_NOTHING, known_late_usage, write_late_usage
from catalog.tables import merchants
from core.errors import Refused
from core.ids import MerchantId, new_id

NAMING: Naming[MerchantDeclaration] = Naming(
    "merchant",
    "merchant",
    code=lambda merchant: merchant.code,
    says=lambda merchant: {"name": merchant.name, **merchant.late_usage.says()},
)


def find_merchant(connection: Connection, merchant_code: str) -> MerchantId:
    """The id behind a merchant's code; raises ``Refused`` with ``merchant_unknown``."""
    found = load_merchant(connection, merchant_code)
    if not found:
        raise Refused("merchant_unknown", f"there is no merchant {merchant_code!r}", status=404)
    return MerchantId(found[merchant_code].row_id)


def load_merchant(connection: Connection, merchant_code: str) -> dict[str, Known[MerchantDeclaration]]:
    """The merchant by its code; empty when there is none."""
    statement = select(merchants).where(merchants.c.code == merchant_code)
    row = connection.execute(statement).one_or_none()
    if row is None:
        return {}
    late_usage = known_late_usage(connection, row.merchant_id)
    return {row.code: Known(row.merchant_id, MerchantDeclaration(row.code, row.name, late_usage))}


def write_merchants(
    connection: Connection, version: int, changes: Sequence[Change[MerchantDeclaration]]
) -> dict[str, str]:
    """Create merchants, rename them or change their settings; returns the ids of new ones by code."""
    made: dict[str, str] = {}
    for change in changes:
        name = change.declared.name or (change.current.value.name if change.current else change.code)
        if change.current is None:
            made[change.code] = new_id("mer")
            values = {"merchant_id": made[change.code], "code": change.code, "name": name}
            connection.execute(insert(merchants).values(values))
        else:
            same = merchants.c.merchant_id == change.current.row_id
            connection.execute(update(merchants).where(same).values(name=name))
        if change.declared.late_usage != SAYS_NOTHING:
            before = change.current.value.late_usage if change.current else DEFAULT_LATE_USAGE
            merchant_id = change.current.row_id if change.current else made[change.code]
            write_late_usage(connection, merchant_id, version, change.declared.late_usage.or_else(before))
    return made
