"""Meters in the books: one row for each version that a meter has had."""

from __future__ import annotations

from collections.abc import Sequence

import orjson
from sqlalchemy import Connection, insert, select

from catalog.change import Change, Known, Naming, Says
from catalog.declaration import MeterDeclaration
from catalog.meter import as_filters, filters_json
from catalog.tables import meters
from catalog.version import close_rows
from core.ids import new_id


def says(meter: MeterDeclaration) -> Says:
    """What a declaration says; apart from the name everything is always said."""
    return {
        "name": meter.name,
        "event_type": meter.event_type,
        "aggregation": meter.aggregation,
        "value": meter.value_property or "",
        "expression": meter.expression or "",
        "group_by": orjson.dumps(meter.group_by).decode(),
        "filters": orjson.dumps(filters_json(meter.filters)).decode(),
        "billed": meter.billed or "",
    }


NAMING: Naming[MeterDeclaration] = Naming("meter", "meters", code=lambda meter: meter.code, says=says)


def load_meters(connection: Connection, merchant_id: str) -> dict[str, Known[MeterDeclaration]]:
    """A merchant's meters as they are now, by code."""
    statement = select(meters).where(meters.c.merchant_id == merchant_id, meters.c.until_version.is_(None))
    return {
        row.code: Known(
            row.meter_id,
            MeterDeclaration(
                code=row.code,
                name=row.name,
                event_type=row.event_type,
                aggregation=row.aggregation,
                value_property=row.value_property,
                group_by=tuple(row.group_by),
                filters=as_filters(row.filters),
                billed=row.billed,
                expression=row.expression,
            ),
            row.meter_version,
        )
        for row in connection.execute(statement)
    }


def write_meters(
    connection: Connection, merchant_id: str, version: int, changes: Sequence[Change[MeterDeclaration]]
) -> dict[str, str]:
    """Create meters, or give them a new version under their old id; returns all written ids by code."""
    close_rows(connection, meters.c.meter_id, (c.current.row_id for c in changes if c.current), version)
    rows = [meter_row(merchant_id, version, change) for change in changes]
    if rows:
        connection.execute(insert(meters), rows)
    return {str(row["code"]): str(row["meter_id"]) for row in rows}


def meter_row(merchant_id: str, version: int, change: Change[MeterDeclaration]) -> dict[str, object]:
    """The row that holds from ``version`` on."""
    declared, current = change.declared, change.current
    return {
        "meter_id": current.row_id if current else new_id("met"),
        "meter_version": current.version + 1 if current else 1,
        "merchant_id": merchant_id,
        "code": declared.code,
        "name": declared.name or (current.value.name if current else declared.code),
        "event_type": declared.event_type,
        "aggregation": declared.aggregation,
        "value_property": declared.value_property,
        "group_by": list(declared.group_by),
        "filters": filters_json(declared.filters),
        "billed": declared.billed,
        "expression": declared.expression,
        "from_version": version,
        "until_version": None,
    }
