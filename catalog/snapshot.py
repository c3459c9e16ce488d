"""What the stream needs of the catalog: every meter, and who each subject is, as of one version."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import polars as pl
from sqlalchemy import Connection, Row, select

from catalog.meter import Meter, as_filters
from catalog.read_frame import read_frame
from catalog.tables import meters
from catalog.version import current_version, holds_at
from core.frames import Schema, checked
from core.ids import MerchantId, MeterId

__all__ = ["SUBJECTS", "Snapshot", "current_version", "load_snapshot"]

SUBJECTS: Schema = {"merchant_id": pl.String(), "subject": pl.String(), "customer_id": pl.String()}

SUBJECTS_QUERY = """
    SELECT merchant_id, subject, customer_id FROM customers
    WHERE from_version <= %(version)s AND (until_version IS NULL OR %(version)s < until_version)
"""


@dataclass(frozen=True, slots=True, eq=False)
class Snapshot:
    """The meters, by merchant and code, and the customers as a frame of ``SUBJECTS``."""

    version: int
    meters: tuple[Meter, ...]
    customers: pl.DataFrame


def load_snapshot(connection: Connection, version: int) -> Snapshot:
    """The catalog as of ``version``, which must exist: the same version always gives the same snapshot."""
    assert 0 <= version <= current_version(connection), f"catalog version {version} is not written yet"
    return Snapshot(version, load_meters(connection, version), load_subjects(connection, version))


def load_meters(connection: Connection, version: int) -> tuple[Meter, ...]:
    """All merchants' meters as of ``version``, sorted by merchant and code."""
    rows = connection.execute(select(meters).where(holds_at(meters, version)))
    return tuple(sorted(map(as_meter, rows), key=lambda meter: (meter.merchant_id, meter.code)))


def as_meter(row: Row[Any]) -> Meter:
    """A row of ``meters`` as the value that it stands for."""
    return Meter(
        meter_id=MeterId(row.meter_id),
        merchant_id=MerchantId(row.merchant_id),
        code=row.code,
        event_type=row.event_type,
        aggregation=row.aggregation,
        value_property=row.value_property,
        group_by=tuple(row.group_by),
        filters=as_filters(row.filters),
        expression=row.expression,
    )


def load_subjects(connection: Connection, version: int) -> pl.DataFrame:
    """Who each merchant's subjects are, as of ``version``: a frame of ``SUBJECTS``, sorted."""
    found = read_frame(connection, SUBJECTS_QUERY, {"version": version}, SUBJECTS)
    return checked(found.sort("merchant_id", "subject"), SUBJECTS)
