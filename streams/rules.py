"""Which rules measure an event that was stored before: those of its own block, or of a fill since then."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from core.errors import Stop
from streams.arrow import column_of, one_chunk
from streams.contribution import CONTRIBUTIONS, contributions
from streams.fills import Fill
from streams.past import Past

Flags = npt.NDArray[np.bool_]

BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


def contributions_by_rules(events: pa.Table, past: Past) -> pl.DataFrame:
    """What stored events (EVENTS_SCHEMA) have added to windows so far: CONTRIBUTIONS, ``row`` by place.

    A meter measures an event by the catalog of the event's block, unless a fill of that meter covers its minute and
    was done after it was stored: then by the catalog of the youngest such fill.
    """
    if not events.num_rows:
        return pl.DataFrame(schema=CONTRIBUTIONS)
    versions = versions_of(events, past)
    fills = [(fill, covered) for fill in past.fills for covered in [covers(fill, events)] if covered.any()]
    parts: list[pl.DataFrame] = []
    for version in np.unique(versions).tolist():
        found = measured(events, versions == version, past, version)
        for fill, covered in fills:
            found = found.filter((pl.col("meter_id") != fill.meter_id) | ~pl.Series(covered).gather(found["row"]))
        parts.append(found)
    for place, (fill, covered) in enumerate(fills):
        parts.append(
            measured(events, covered & ~younger(fill, fills[place + 1 :], covered), past, fill.catalog_version)
        )
        parts[-1] = parts[-1].filter(pl.col("meter_id") == fill.meter_id)
    return pl.concat(parts)


def versions_of(events: pa.Table, past: Past) -> npt.NDArray[np.int64]:
    """The catalog version of each event's block; raises ``Stop`` when the ledger does not know one of them."""
    blocks = pl.DataFrame({name: column_of(events, name) for name in ("incarnation", "block_first")})
    distinct = blocks.unique()
    found = past.versions(list(distinct.iter_rows()))
    missing = [name for name in distinct.iter_rows() if name not in found]
    if missing:
        raise Stop(f"the ledger does not know the blocks {missing[:3]} whose events are stored")
    known = distinct.with_columns(version=pl.Series([found[name] for name in distinct.iter_rows()], dtype=pl.Int64))
    joined = blocks.join(known, on=["incarnation", "block_first"], how="left", maintain_order="left")
    versions: npt.NDArray[np.int64] = joined["version"].to_numpy()
    return versions


def covers(fill: Fill, events: pa.Table) -> Flags:
    """Which events a fill has counted, or left out, anew."""
    occurred_us, stored_us = (
        np.asarray(one_chunk(events, name).cast(pa.int64())) for name in ("occurred_at", "stored_at")
    )
    mine = (column_of(events, "merchant_id") == fill.merchant_id).to_numpy()
    inside = (occurred_us >= as_us(fill.starts_at)) & (occurred_us < as_us(fill.ends_at))
    covered: Flags = mine & inside & (stored_us < as_us(fill.filled_at))
    return covered


def younger(fill: Fill, later: Sequence[tuple[Fill, Flags]], covered: Flags) -> Flags:
    """Which events a later fill of the same meter covers too."""
    result: Flags = np.zeros(len(covered), dtype=np.bool_)
    for other, flags in later:
        if other.meter_id == fill.meter_id:
            result |= flags
    return result


def measured(events: pa.Table, kept: Flags, past: Past, version: int) -> pl.DataFrame:
    """What some of the events add by the rules of one catalog; ``row`` is the place among all."""
    places = np.flatnonzero(kept)
    if not len(places):
        return pl.DataFrame(schema=CONTRIBUTIONS)
    some = events.take(pa.array(places)).combine_chunks()
    found = contributions(some, past.catalog(version))
    return found.with_columns(row=pl.Series(places[found["row"].to_numpy()], dtype=pl.Int64))


def as_us(at: datetime) -> int:
    """An instant in microseconds from 1970, exactly."""
    return (at - BEGINNING) // MICROSECOND
