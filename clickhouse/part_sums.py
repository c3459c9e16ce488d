"""What each of a merchant's customers used of each meter, kept by the part of the table that it was read from.

ClickHouse never changes a part: it replaces it, by one whose name says which blocks of rows it took over. So the sums
of a part hold as long as the part is there, and a question reads only the parts that it has not met. Late events,
corrections, merges and repairs all come as other parts. Of the parts that were there just before the question, the
question leaves out those it knows; if one of them was replaced in between, then its rows are found in the part that
took its place, which covers it by name, and what was kept of it is dropped.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from threading import Lock

import polars as pl

from clickhouse.client import UsageStore
from clickhouse.report import unless_overflown, whole_minute
from clickhouse.sums import SUMS
from core.gather import Gathering

# Of all merchants together; a row takes about 200 bytes.
KEPT_ROWS_MAX = 500_000
# Fewer windows are read again in less time than it takes to ask which parts are there.
KEPT_FROM_WINDOWS = 50_000

_BY_PART = f"""
    SELECT toString(d._part) AS part, d.customer_id AS customer_id, d.subject AS subject, d.meter AS meter,
        d.aggregation AS aggregation, {SUMS}, max(d.restates) AS restated,
        count() AS windows
    FROM usage_windows AS d
    WHERE merchant_id = {{merchant_id:String}} AND d._part NOT IN {{known:Array(String)}}
        AND window_start >= {{since:DateTime('UTC')}} AND window_start < {{until:DateTime('UTC')}}
    GROUP BY part, customer_id, subject, meter, aggregation
"""
_ACTIVE = "SELECT name FROM system.parts WHERE active AND database = currentDatabase() AND table = 'usage_windows'"


@dataclass(frozen=True, slots=True)
class Span:
    """A merchant's usage between two instants, half-open, on whole minutes."""

    merchant_id: str
    since: datetime
    until: datetime


class PartSums:
    """Sums by part, customer and meter; may be shared by threads."""

    def __init__(
        self, store: UsageStore, *, kept_from_windows: int = KEPT_FROM_WINDOWS, kept_rows_max: int = KEPT_ROWS_MAX
    ) -> None:
        self._store = store
        self._kept_from_windows = kept_from_windows
        self._kept_rows_max = kept_rows_max
        self._lock = Lock()
        self._kept: OrderedDict[Span, pl.DataFrame] = OrderedDict()
        self._gathering: Gathering[Span, None, pl.DataFrame | None] = Gathering(
            lambda span, _items: {None: self._read(span)}, items_max=1
        )

    def of(self, span: Span) -> pl.DataFrame | None:
        """The sums (``clickhouse.sums``, without latest) as if nothing were restated; ``restated`` says if it was.

        None when a sum does not fit.
        """
        return self._gathering.ask(span, None)

    def _read(self, span: Span) -> pl.DataFrame | None:
        with self._lock:
            kept = self._kept.get(span)
        if kept is not None:
            active = self._store.query_frame(_ACTIVE)["name"]
            kept = kept.filter(pl.col("part").is_in(active.implode()))
        known = [] if kept is None else kept["part"].unique().to_list()
        parameters: dict[str, object] = {
            "merchant_id": span.merchant_id,
            "since": whole_minute(span.since),
            "until": whole_minute(span.until),
            "known": known,
        }
        found = unless_overflown(self._store, _BY_PART, parameters)
        if found is None:
            return None
        if kept is not None:
            gone = covered(known, found["part"].unique())
            found = pl.concat([kept.filter(~pl.col("part").is_in(gone)), found])
        if found["windows"].sum() >= self._kept_from_windows:
            self._keep(span, found)
        return found

    def _keep(self, span: Span, found: pl.DataFrame) -> None:
        with self._lock:
            self._kept[span] = found
            self._kept.move_to_end(span)
            while self._kept and sum(frame.height for frame in self._kept.values()) > self._kept_rows_max:
                self._kept.popitem(last=False)


def covered(names: Iterable[str], by: Iterable[str]) -> list[str]:
    """Those parts whose blocks of rows another one has taken over."""
    spans = [blocks_of(name) for name in by]
    return [
        name
        for name, (month, first, last) in ((name, blocks_of(name)) for name in names)
        if any(month == other and begins <= first and last <= ends for other, begins, ends in spans)
    ]


def blocks_of(part: str) -> tuple[str, int, int]:
    """A part's partition, and the first and last block of rows in it: ``202602_1_20_2``."""
    month, first, last = part.split("_")[:3]
    return month, int(first), int(last)
