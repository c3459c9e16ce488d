"""Events against the catalog: whose they are, which meters they feed and with what value, or why they cannot."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from streams.arrow import column_of, one_chunk
from streams.compiled import COUNT, NONE, UNIQUE, Compiled, Filters
from streams.numbers import QUANTITY, parse_quantities
from streams.properties import PropertyTable, flatten

Places = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
Codes = npt.NDArray[np.int8]

REASONS = (
    "",
    "unknown_meter",
    "unknown_customer",
    "value_missing",
    "value_not_numeric",
    "value_too_precise",
    "value_too_large",
    "time_out_of_range",
)
REASON_CODES = {reason: code for code, reason in enumerate(REASONS)}
FIRST_BAD = REASON_CODES["value_missing"]

# What ClickHouse's DateTime can say, in microseconds: 1970 to 2106.
TIME_END_US = 2**32 * 1_000_000


@dataclass(frozen=True, slots=True)
class Pairs:
    """Which event (``row``) feeds which meter, ordered by both.

    ``value`` is a Decimal(38, 12), null for meters that count or list; ``text`` is what a unique meter lists, else
    null.
    """

    row: Places
    meter: Places
    value: pl.Series
    text: pl.Series

    def of(self, kept: Flags) -> Pairs:
        """The pairs for which ``kept`` holds."""
        if kept.all():
            return self
        flags = pl.Series(kept)
        return Pairs(self.row[kept], self.meter[kept], self.value.filter(flags), self.text.filter(flags))


@dataclass(frozen=True, slots=True)
class Measured:
    """What the catalog makes of events. ``reason`` is empty for good ones, else says why they are held or bad."""

    customer: Places
    reason: Codes
    pairs: Pairs
    properties: PropertyTable
    # For bad events the meter that refused them; NONE otherwise.
    refused_by: Places

    @property
    def bad(self) -> Flags:
        """Events that can never count."""
        return self.reason >= FIRST_BAD


def measure(events: pa.Table, catalog: Compiled) -> Measured:
    """Find each event's customer and meters, and read the values that the meters need.

    An event without a meter of its type, or of a customer that the catalog does not know, is held. An event whose
    value one of its meters cannot use is bad as a whole: half an event is never counted. A meter whose filters do
    not match does not look at the value.
    """
    merchant, kind, subject = (column_of(events, name) for name in ("merchant_id", "type", "subject"))
    kinds = catalog.kinds.find(merchant, kind)
    customer = catalog.customer_index.find(merchant, subject)
    properties = flatten(one_chunk(events, "properties"), catalog.property_names)
    known = np.flatnonzero(kinds >= 0)
    owner, members = spread(catalog.kind_first[kinds[known]], catalog.kind_count[kinds[known]])
    rows, meters = known[owner], catalog.kind_meters[members]
    passing = filters_hold(rows, meters, catalog.filters, properties)
    pairs, codes = read_values(rows[passing], meters[passing], catalog, properties)

    reason = np.zeros(events.num_rows, dtype=np.int8)
    reason[customer < 0] = REASON_CODES["unknown_customer"]
    reason[kinds < 0] = REASON_CODES["unknown_meter"]
    refused_by = np.full(events.num_rows, NONE, dtype=np.int64)
    # Backwards, so that the first meter that refuses gives the reason.
    refusals = np.flatnonzero(codes)[::-1]
    reason[pairs.row[refusals]] = codes[refusals]
    refused_by[pairs.row[refusals]] = pairs.meter[refusals]
    occurred_us = np.asarray(one_chunk(events, "occurred_at").cast(pa.int64()))
    reason[(occurred_us < 0) | (occurred_us >= TIME_END_US)] = REASON_CODES["time_out_of_range"]
    return Measured(customer, reason, pairs, properties, refused_by)


def spread(first: Places, count: Places) -> tuple[Places, Places]:
    """Runs given by start and length, laid out: for each member the number of its run, and its own place."""
    owner = np.repeat(np.arange(len(count), dtype=np.int64), count)
    within = np.arange(len(owner), dtype=np.int64) - np.repeat(np.cumsum(count) - count, count)
    return owner, first[owner] + within


def filters_hold(rows: Places, meters: Places, filters: Filters, properties: PropertyTable) -> Flags:
    """For each event and meter, whether all the meter's filters hold.

    A missing property is not equal to anything: ``ne`` and ``not_in`` hold for it, ``eq``, ``in`` and ``exists`` fail.
    """
    holds = np.ones(len(rows), dtype=np.bool_)
    if not len(filters.meter):
        return holds
    first = np.searchsorted(filters.meter, meters, side="left")
    count = np.searchsorted(filters.meter, meters, side="right") - first
    pair, number = spread(first, count)
    texts = properties.fetch(rows[pair], filters.property[number])
    there = texts.is_not_null().to_numpy()
    listed = filters.values.find(pl.Series(number).cast(pl.String), texts.fill_null("")) >= 0
    answer = there & (filters.exists[number] | listed)
    holds[pair[answer == filters.negated[number]]] = False
    return holds


def read_values(rows: Places, meters: Places, catalog: Compiled, properties: PropertyTable) -> tuple[Pairs, Codes]:
    """The value of each event for each of its meters, and a reason's code where there is none."""
    aggregation = catalog.aggregation[meters]
    texts = properties.fetch(rows, catalog.value_property[meters])
    codes = np.zeros(len(rows), dtype=np.int8)
    codes[(aggregation != COUNT) & texts.is_null().to_numpy()] = REASON_CODES["value_missing"]
    numeric = (aggregation != COUNT) & (aggregation != UNIQUE) & (codes == 0)
    nothing = pl.Series([None], dtype=pl.String).new_from_index(0, len(rows))
    unique = aggregation == UNIQUE
    listed = texts.zip_with(pl.Series(unique), nothing) if unique.any() else nothing
    if numeric.all():
        values, reasons = parse_quantities(texts)
        return Pairs(rows, meters, values, listed), reason_codes(reasons)
    values = pl.Series([None], dtype=QUANTITY).new_from_index(0, len(rows))
    if numeric.any():
        where = np.flatnonzero(numeric)
        found, reasons = parse_quantities(texts.gather(where))
        values = values.scatter(where, found)
        codes[where] = reason_codes(reasons)
    return Pairs(rows, meters, values, listed), codes


def reason_codes(reasons: pl.Series) -> Codes:
    """Reasons as their places in ``REASONS``."""
    codes: Codes = reasons.cast(pl.Enum(REASONS)).to_physical().to_numpy().astype(np.int8)
    return codes
