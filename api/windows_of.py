"""Which windows an event was counted in, and with what, by the stream's own code and the block's own catalog."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

import numpy as np
import polars as pl
import pyarrow as pa
from sqlalchemy import Connection, select

from api.find_copies import Copy
from catalog.snapshot import SUBJECTS, Snapshot, as_meter
from catalog.tables import meters
from catalog.version import holds_at
from ingest.event import ENVELOPE_SCHEMA
from streams.compiled import compile_catalog
from streams.measure import measure
from streams.rows import DELIVERED_COLUMNS
from streams.window import BlockPlace, window_deltas


@dataclass(frozen=True, slots=True)
class WindowOf:
    """A minute of a meter, customer and group that an event added to.

    ``quantity`` is what the event brought (1 for a count); ``value`` is the text that a unique meter lists, else None.
    """

    meter_id: str
    meter: str
    aggregation: str
    minute: datetime
    group: str
    quantity: Decimal | None
    value: str | None


def windows_of(connection: Connection, merchant_id: str, copy: Copy) -> list[WindowOf]:
    """The windows of a stored copy, by meter. Empty when no meter's filters let it through."""
    version = copy.block.catalog_version
    if version is None:
        return []
    rows = connection.execute(select(meters).where(meters.c.merchant_id == merchant_id, holds_at(meters, version)))
    customers = pl.DataFrame([(merchant_id, copy.subject, copy.customer_id)], schema=SUBJECTS, orient="row")
    catalog = compile_catalog(Snapshot(version, tuple(map(as_meter, rows)), customers))
    events = as_events(merchant_id, copy)
    place = BlockPlace(copy.stored_at, copy.place.incarnation, copy.place.partition, copy.block.first)
    windows, uniques = window_deltas(events, measure(events, catalog), np.array([True]), catalog, place)
    listed = {(row["meter_id"], row["group_key"]): row["value"] for row in uniques.to_pylist()}
    return [
        WindowOf(
            meter_id=row["meter_id"],
            meter=row["meter"],
            aggregation=row["aggregation"],
            minute=row["window_start"],
            group=row["group_key"],
            quantity=None if row["aggregation"] == "unique" else row["sum"],
            value=listed.get((row["meter_id"], row["group_key"])),
        )
        for row in windows.to_pylist()
    ]


def as_events(merchant_id: str, copy: Copy) -> pa.Table:
    """The copy as the stream saw it: one row of an envelope, with its place in the log."""
    row = {
        "key": copy.key,
        "body_hash": copy.body_hash,
        "merchant_id": merchant_id,
        "event_id": copy.event_id,
        "source": copy.source,
        "type": copy.type,
        "subject": copy.subject,
        "occurred_at": copy.occurred_at,
        "received_at": copy.received_at,
        "properties": list(copy.properties.items()),
        "kafka_offset": copy.place.offset,
        "position": copy.place.position,
    }
    schema = pa.schema([*ENVELOPE_SCHEMA, *(pa.field(name, kind, nullable=False) for name, kind in DELIVERED_COLUMNS)])
    return pa.Table.from_arrays([pa.array([row[field.name]], field.type) for field in schema], schema=schema)
