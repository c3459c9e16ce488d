"""Which windows an event was counted in, and with what, by the stream's own code and the rules that hold for it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal

import polars as pl
import pyarrow as pa
from sqlalchemy import Connection, select, text

from api.find_copies import Copy
from catalog.snapshot import SUBJECTS, Snapshot, as_meter
from catalog.tables import meters
from catalog.version import holds_at
from ingest.event import ENVELOPE_SCHEMA
from streams.compiled import compile_catalog
from streams.contribution import contributions
from streams.rows import DELIVERED_COLUMNS

EVENT_SCHEMA = pa.schema(
    [
        *ENVELOPE_SCHEMA,
        pa.field("customer_id", pa.string(), nullable=False),
        *(pa.field(name, kind, nullable=False) for name, kind in DELIVERED_COLUMNS),
    ]
)
# Meters that counted the minute anew after the event was stored, each by its youngest fill.
FILLS = text("""
    SELECT DISTINCT ON (meter_id) meter_id, catalog_version, filled_at FROM stream_fills
    WHERE merchant_id = :merchant_id AND partition = :partition AND starts_at <= :occurred_at
        AND ends_at > :occurred_at AND filled_at > :stored_at
    ORDER BY meter_id, filled_at DESC
""")


@dataclass(frozen=True, slots=True)
class WindowOf:
    """A minute of a meter, customer and group that an event added to.

    ``quantity`` is what the event brought (1 for a count); ``value`` is the text that a unique meter lists, else None.
    ``counted_at`` is when that was stored: with the event, or by a fill of the meter since.
    """

    meter_id: str
    meter: str
    aggregation: str
    minute: datetime
    group: str
    quantity: Decimal | None
    value: str | None
    counted_at: datetime


def windows_of(connection: Connection, merchant_id: str, copy: Copy) -> list[WindowOf]:
    """The windows of a stored copy, by meter. Empty when no meter's filters let it through."""
    if copy.block.catalog_version is None:
        return []
    bound = {"merchant_id": merchant_id, "partition": copy.place.partition}
    bound |= {"occurred_at": copy.occurred_at, "stored_at": copy.stored_at}
    fills = {row.meter_id: row for row in connection.execute(FILLS, bound)}
    versions = {copy.block.catalog_version, *(fill.catalog_version for fill in fills.values())}
    found: list[WindowOf] = []
    for version in sorted(versions):
        for window in windows_by(connection, merchant_id, copy, version):
            fill = fills.get(window.meter_id)
            if version == (copy.block.catalog_version if fill is None else fill.catalog_version):
                found.append(window if fill is None else replace(window, counted_at=fill.filled_at))
    return sorted(found, key=lambda window: window.meter)


def windows_by(connection: Connection, merchant_id: str, copy: Copy, version: int) -> list[WindowOf]:
    """The windows of a copy by the rules of one catalog version."""
    rows = connection.execute(select(meters).where(meters.c.merchant_id == merchant_id, holds_at(meters, version)))
    customers = pl.DataFrame([(merchant_id, copy.subject, copy.customer_id)], schema=SUBJECTS, orient="row")
    catalog = compile_catalog(Snapshot(version, tuple(map(as_meter, rows)), customers))
    minute = copy.occurred_at.replace(second=0, microsecond=0)
    plain = {"count": Decimal(1), "unique": None}
    return [
        WindowOf(
            meter_id=row["meter_id"],
            meter=row["meter"],
            aggregation=row["aggregation"],
            minute=minute,
            group=row["group_key"],
            quantity=plain.get(row["aggregation"], row["value"]),
            value=row["text"],
            counted_at=copy.stored_at,
        )
        for row in contributions(as_events(merchant_id, copy), catalog).iter_rows(named=True)
    ]


def as_events(merchant_id: str, copy: Copy) -> pa.Table:
    """The copy as the stream keeps it: one event with its customer and its place in the log."""
    row = {
        "key": copy.key,
        "body_hash": copy.body_hash,
        "merchant_id": merchant_id,
        "event_id": copy.event_id,
        "source": copy.source,
        "type": copy.type,
        "subject": copy.subject,
        "customer_id": copy.customer_id,
        "occurred_at": copy.occurred_at,
        "received_at": copy.received_at,
        "properties": list(copy.properties.items()),
        "kafka_offset": copy.place.offset,
        "position": copy.place.position,
    }
    columns = [pa.array([row[field.name]], field.type) for field in EVENT_SCHEMA]
    return pa.Table.from_arrays(columns, schema=EVENT_SCHEMA)
