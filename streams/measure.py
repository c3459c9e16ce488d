"""Events against the catalog: whose they are, which meters they feed and with what value, or why they cannot."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
import pyarrow as pa

from streams.arrow import instants_of, one_chunk, series_of
from streams.compiled import NONE, Compiled
from streams.judge_texts import judge_texts
from streams.numbers import parse_odd
from streams.pair_up import (
    MISSING,
    ODD,
    READ,
    Codes,
    Flags,
    Properties,
    find_owners,
    number_properties,
    pair_events,
)
from streams.plain_number import words_of
from streams.texts import U64, Places, column_of_texts, texts_of
from streams.value import work_out

REASONS = (
    "",
    "unknown_meter",
    "unknown_customer",
    "value_missing",
    "value_not_numeric",
    "value_too_precise",
    "value_too_large",
    "time_out_of_range",
    "value_divided_by_zero",
)
REASON_CODES = {reason: code for code, reason in enumerate(REASONS)}
FIRST_BAD = REASON_CODES["value_missing"]

# What ClickHouse's DateTime can say, in microseconds: 1970 to 2106.
TIME_END_US = 2**32 * 1_000_000


@dataclass(frozen=True, slots=True)
class Pairs:
    """Which event (``row``) feeds which meter, ordered by both.

    ``words`` are the low and high word of a Decimal(38, 12) where one is ``there``, else zero: meters that count or
    list have none. ``said`` is where the text stands that the meter looked at, -1 without one.
    """

    row: Places
    meter: Places
    words: U64
    there: Flags
    said: Places

    def of(self, kept: Flags) -> Pairs:
        """The pairs for which ``kept`` holds."""
        if kept.all():
            return self
        return Pairs(self.row[kept], self.meter[kept], self.words[kept], self.there[kept], self.said[kept])


@dataclass(frozen=True, slots=True)
class Measured:
    """What the catalog makes of events. ``reason`` is empty for good ones, else says why they are held or bad."""

    customer: Places
    reason: Codes
    pairs: Pairs
    properties: Properties
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
    merchant, kind, subject = (texts_of(one_chunk(events, name)) for name in ("merchant_id", "type", "subject"))
    kinds, customer = find_owners(merchant, kind, subject, catalog.merchants, catalog.kinds, catalog.customer_names)
    properties = lay_out(one_chunk(events, "properties"), catalog)
    pairs, codes = read_values(kinds, properties, catalog)

    reason = np.zeros(events.num_rows, dtype=np.int8)
    reason[customer < 0] = REASON_CODES["unknown_customer"]
    reason[kinds < 0] = REASON_CODES["unknown_meter"]
    refused_by = np.full(events.num_rows, NONE, dtype=np.int64)
    # Backwards, so that the first meter that refuses gives the reason.
    refusals = np.flatnonzero(codes)[::-1]
    reason[pairs.row[refusals]] = codes[refusals]
    refused_by[pairs.row[refusals]] = pairs.meter[refusals]
    occurred_us = instants_of(events, "occurred_at")
    reason[(occurred_us < 0) | (occurred_us >= TIME_END_US)] = REASON_CODES["time_out_of_range"]
    return Measured(customer, reason, pairs, properties, refused_by)


def lay_out(properties: pa.MapArray, catalog: Compiled) -> Properties:
    """The events' properties, with the names that some meter looks at numbered."""
    bounds = np.asarray(properties.offsets)
    bounds.flags.writeable = False
    numbers = number_properties(texts_of(properties.keys), bounds, catalog.property_numbers)
    return Properties(bounds, numbers, texts_of(properties.items))


def read_values(kinds: Places, properties: Properties, catalog: Compiled) -> tuple[Pairs, Codes]:
    """The value of each event for each of its meters, and a reason's code where there is none."""
    row, meter, state, said, words = pair_events(
        kinds, properties, catalog.rules, judge_texts(properties, catalog.judged)
    )
    codes = np.zeros(len(row), dtype=np.int8)
    codes[state == MISSING] = REASON_CODES["value_missing"]
    there = state == READ
    odd = np.flatnonzero(state == ODD)
    if len(odd):
        texts = column_of_texts(properties.texts).take(pa.array(said[odd]))
        values, reasons = parse_odd(series_of(texts))
        words[odd], there[odd] = words_of(values), values.is_not_null().to_numpy()
        codes[odd] = reason_codes(reasons)
    pairs = Pairs(row, meter, words, there, said)
    if catalog.formulas:
        work_out_values(pairs, codes, properties, catalog)
    return pairs, codes


def work_out_values(pairs: Pairs, codes: Codes, properties: Properties, catalog: Compiled) -> None:
    """Enter the values of meters that have an expression, and why there is none, formula by formula."""
    formula = catalog.formula[pairs.meter]
    order = np.flatnonzero(formula != NONE)
    order = order[np.argsort(formula[order], kind="stable")]
    ends = np.flatnonzero(np.diff(formula[order])) + 1
    for chosen in np.split(order, ends) if len(order) else ():
        words, reasons = work_out(catalog.formulas[formula[chosen[0]]], properties, pairs.row[chosen])
        pairs.words[chosen], pairs.there[chosen] = words, True
        bad = chosen[np.array(list(reasons), np.int64)]
        pairs.words[bad], pairs.there[bad] = 0, False
        codes[bad] = [REASON_CODES[reason] for reason in reasons.values()]


def reason_codes(reasons: pl.Series) -> Codes:
    """Reasons as their places in ``REASONS``."""
    codes: Codes = reasons.cast(pl.Enum(REASONS)).to_physical().to_numpy().astype(np.int8)
    return codes
