"""What a correction or fill asks of the rows that its partition stored before: the questions, and who answers them.

Only rows of the partition's own blocks before this one are looked at, so that a block done again finds the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

import polars as pl
import pyarrow as pa

from streams.plan import Intent

MINUTE_US = 60_000_000
# A window's minute with whose events fall into it; ``minute`` counts from 1970.
PLACES = {"merchant_id": pl.String(), "subject": pl.String(), "minute": pl.Int64()}
# What names a row of ``usage_windows`` of one merchant's meter.
WINDOW_LABELS = {
    "customer_id": pl.String(),
    "subject": pl.String(),
    "meter": pl.String(),
    "aggregation": pl.String(),
    "minute": pl.Int64(),
    "group_key": pl.String(),
}
# The last correction of a key that decides whether it counts: where its row stands.
DECIDERS = {"key": pl.Binary(), "stored_us": pl.Int64(), "kafka_offset": pl.UInt64(), "position": pl.UInt32()}


@dataclass(frozen=True, slots=True)
class Before:
    """The rows of a partition's blocks that were announced before an instant, but for those that were given up."""

    partition: int
    stored_before: datetime
    leaving_out: tuple[Intent, ...] = ()


@dataclass(frozen=True, slots=True)
class EventSpan:
    """A merchant's events of one type that occurred in [``starts_at``, ``ends_at``)."""

    merchant_id: str
    event_type: str
    starts_at: datetime
    ends_at: datetime


@dataclass(frozen=True, slots=True)
class WindowSpan:
    """The windows of a merchant's meter that start in [``starts_at``, ``ends_at``)."""

    merchant_id: str
    meter_id: str
    starts_at: datetime
    ends_at: datetime


class History(Protocol):
    """Answers in no order. Every call raises ``Transient`` when the store is out of reach."""

    def rows_of(self, before: Before, merchant_ids: Sequence[str], keys: Sequence[bytes]) -> pa.Table:
        """All rows of some keys (EVENTS_SCHEMA), which belong to these merchants."""

    def counted_at(self, before: Before, places: pl.DataFrame) -> pa.Table:
        """The rows that count (EVENTS_SCHEMA) at some places (PLACES)."""

    def counted_between(self, before: Before, span: EventSpan) -> pa.Table:
        """The rows that count (EVENTS_SCHEMA) in a span."""

    def busy_minutes(self, before: Before, span: EventSpan) -> pl.DataFrame:
        """The minutes of a span with stored rows: ``minute`` (Int64) and about how many, ``events`` (UInt64)."""

    def windows_between(self, before: Before, span: WindowSpan) -> pl.DataFrame:
        """The distinct WINDOW_LABELS of the rows of a meter's windows in a span."""


def counting(candidates: pa.Table, deciders: pl.DataFrame) -> pa.Table:
    """Those of some stored rows (EVENTS_SCHEMA) that count, given the last corrections (DECIDERS) of their keys.

    A key that was corrected counts with the row that its last correction left, or not at all. Any other counts with
    its first row: more than one is a double, which only a copy beyond the dedupe horizon can be.
    """
    frame = pl.DataFrame(
        {
            "key": pl.Series(candidates.column("key").to_pylist(), dtype=pl.Binary),
            "stored_us": pl.Series(candidates.column("stored_at").cast(pa.int64()).to_numpy()),
            "kafka_offset": pl.Series(candidates.column("kafka_offset").to_numpy()),
            "position": pl.Series(candidates.column("position").to_numpy()),
        }
    ).with_row_index("row")
    place = pl.struct("stored_us", "kafka_offset", "position")
    left = frame.join(deciders.with_columns(decider=place).select("key", "decider"), on="key", how="left")
    decided = left.filter(pl.col("decider").is_not_null()).filter(place == pl.col("decider"))
    plain = (
        left.filter(pl.col("decider").is_null())
        .sort("stored_us", "kafka_offset", "position")
        .unique("key", keep="first", maintain_order=True)
    )
    kept = pl.concat([decided["row"], plain["row"]]).sort()
    return candidates.take(pa.array(kept.to_numpy()))
