"""Measured events to one-minute deltas for each meter, customer and group."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import numpy as np
import pyarrow as pa

from core.limits import BLOCK_EVENTS_MAX, ENVELOPE_EVENTS_MAX, QUANTITY_DIGITS_MAX
from streams.arrow import instants_of, one_chunk, repeated
from streams.compiled import UNIQUE, Compiled
from streams.dedupe import split_keys
from streams.group_key import group_keys, in_order
from streams.measure import Measured, Pairs
from streams.pair_up import Flags, Properties
from streams.plain_number import decimal_column
from streams.rows import KEY, SECOND, UNIQUES_SCHEMA, WINDOWS_SCHEMA
from streams.sum_up import Sums, add_up, number_windows, sort_by
from streams.texts import SEED, Places, column_of_texts, number_texts

MINUTE_US = 60_000_000
MINUTE_S = 60
NO_KEY = bytes(16)

# Sums of decimals would wrap silently. An event feeds a window once at most, so these bounds leave no way to.
assert (BLOCK_EVENTS_MAX + ENVELOPE_EVENTS_MAX) * 10**QUANTITY_DIGITS_MAX < 10**26, "a window could overflow"


@dataclass(frozen=True, slots=True)
class BlockPlace:
    """What every row of a block carries: when it was stored, and where it came from."""

    stored_at: datetime
    incarnation: int
    partition: int
    first_offset: int


@dataclass(frozen=True, slots=True)
class Windows:
    """Pairs by the window that they feed. ``order`` is that of windows and then of listed texts; ``number`` says for
    each place in it which window it is. Groups and texts are numbered in their own order; -1 where nothing is listed.
    """

    pairs: Pairs
    customer: Places
    at_us: Places
    minute: Places
    group: Places
    groups: pa.Array
    text: Places
    texts: pa.Array
    order: Places
    number: Places


def window_deltas(
    events: pa.Table, measured: Measured, counted: Flags, catalog: Compiled, place: BlockPlace
) -> tuple[pa.Table, pa.Table]:
    """The windows (WINDOWS_SCHEMA) and distinct values (UNIQUES_SCHEMA) of the events for which ``counted`` holds.

    Both are sorted by merchant, meter, customer, minute and group, so that the same events give the same rows in
    whatever order they came.
    """
    found = order_windows(events, measured, counted, catalog)
    pairs = found.pairs
    high, low = split_keys(one_chunk(events, "key"))
    aggregation = catalog.aggregation[pairs.meter]
    sums = add_up(found.order, found.number, aggregation, pairs.words, found.at_us, pairs.row, high, low)
    return window_rows(events, found, sums, catalog, place), unique_rows(found, catalog, place)


def order_windows(events: pa.Table, measured: Measured, counted: Flags, catalog: Compiled) -> Windows:
    """Sort the pairs of counted events."""
    pairs = measured.pairs.of(counted[measured.pairs.row])
    at_us = instants_of(events, "occurred_at")[pairs.row]
    minute = at_us // MINUTE_US
    customer = measured.customer[pairs.row]
    group, groups = group_keys(pairs, measured.properties, catalog)
    text, texts = listed(pairs, measured.properties, catalog)
    order = np.arange(len(pairs.row))
    # From what counts least to what counts most.
    for field in (text + 1, group, minute - minute.min(initial=0), customer, pairs.meter):
        order = sort_by(order, field)
    number = number_windows(order, pairs.meter, customer, minute, group)
    return Windows(pairs, customer, at_us, minute, group, groups, text, texts, order, number)


def listed(pairs: Pairs, properties: Properties, catalog: Compiled) -> tuple[Places, pa.Array]:
    """The number of the text that each pair lists, in the order of the texts, and these; -1 for other pairs."""
    said = np.where(catalog.aggregation[pairs.meter] == UNIQUE, pairs.said, -1)
    numbers, firsts = number_texts(properties.texts, said, SEED)
    return in_order(numbers, column_of_texts(properties.texts).take(pa.array(firsts)))


def window_rows(events: pa.Table, found: Windows, sums: Sums, catalog: Compiled, place: BlockPlace) -> pa.Table:
    """The rows of ``usage_windows``."""
    last_row = np.where(sums.youngest < 0, -1, found.pairs.row[sums.youngest])
    columns = named(found, sums.first, catalog, place) | {
        "events": pa.array(sums.events.astype(np.uint64)),
        "sum": decimal_column(sums.total),
        "min": decimal_column(sums.least),
        "max": decimal_column(sums.most),
        "last_at": pa.array(sums.last_at_us).view(WINDOWS_SCHEMA.field("last_at").type),
        "last_key": keys_at(one_chunk(events, "key"), last_row),
        "last": decimal_column(sums.last),
        "restates": repeated(0, len(sums.first), pa.uint8()),
    }
    return pa.Table.from_arrays([columns[name] for name in WINDOWS_SCHEMA.names], schema=WINDOWS_SCHEMA)


def unique_rows(found: Windows, catalog: Compiled, place: BlockPlace) -> pa.Table:
    """The rows of ``usage_uniques``: each text of a window once."""
    text, number = found.text[found.order], found.number
    kept = text >= 0
    kept[1:] &= (text[1:] != text[:-1]) | (number[1:] != number[:-1])
    columns = named(found, found.order[kept], catalog, place)
    columns["value"] = found.texts.take(pa.array(text[kept]))
    return pa.Table.from_arrays([columns[name] for name in UNIQUES_SCHEMA.names], schema=UNIQUES_SCHEMA)


def named(found: Windows, pairs: Places, catalog: Compiled, place: BlockPlace) -> dict[str, pa.Array]:
    """What rows of windows have in common, by the pairs that they begin with."""
    count = len(pairs)
    meter, customer = pa.array(found.pairs.meter[pairs]), pa.array(found.customer[pairs])
    return {
        **{name: catalog.meter_texts[name].take(meter) for name in ("merchant_id", "meter_id", "meter", "aggregation")},
        **{name: catalog.customer_texts[name].take(customer) for name in ("customer_id", "subject")},
        "window_start": pa.array(found.minute[pairs] * MINUTE_S).view(SECOND),
        "group_key": found.groups.take(pa.array(found.group[pairs])),
        "stored_at": repeated(place.stored_at, count, WINDOWS_SCHEMA.field("stored_at").type),
        "incarnation": repeated(place.incarnation, count, pa.uint32()),
        "partition": repeated(place.partition, count, pa.uint16()),
        "block_first": repeated(place.first_offset, count, pa.uint64()),
    }


def keys_at(keys: pa.FixedSizeBinaryArray, rows: Places) -> pa.Array:
    """The keys of rows; NO_KEY for -1."""
    width = len(NO_KEY)
    data = np.frombuffer(keys.buffers()[1] or b"", np.uint8).reshape(-1, width)[keys.offset : keys.offset + len(keys)]
    found = np.zeros((len(rows), width), np.uint8)
    found[rows >= 0] = data[rows[rows >= 0]]
    return pa.Array.from_buffers(KEY, len(rows), [None, pa.py_buffer(found)])
