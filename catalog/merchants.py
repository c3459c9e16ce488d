"""Merchants: the tenants. Everything else carries their id."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, insert, select, update

from catalog.change import Change, Known, Naming
from catalog.declaration import MerchantDeclaration
from catalog.tables import merchants
from core.errors import Refused
from core.ids import MerchantId, new_id

NAMING: Naming[MerchantDeclaration] = Naming(
    "merchant", "merchant", code=lambda merchant: merchant.code, says=lambda merchant: {"name": merchant.name}
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
    return {
        row.code: Known(row.merchant_id, MerchantDeclaration(row.code, row.name))
        for row in connection.execute(statement)
    }


def write_merchants(connection: Connection, changes: Sequence[Change[MerchantDeclaration]]) -> dict[str, str]:
    """Create or rename merchants; returns the ids of new ones by code."""
    made: dict[str, str] = {}
    for change in changes:
        name = change.declared.name or change.code
        if change.current is None:
            made[change.code] = new_id("mer")
            values = {"merchant_id": made[change.code], "code": change.code, "name": name}
            connection.execute(insert(merchants).values(values))
        else:
            same = merchants.c.merchant_id == change.current.row_id
            connection.execute(update(merchants).where(same).values(name=name))
    return made
