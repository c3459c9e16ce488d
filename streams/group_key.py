"""The group of each pair: '' for a meter without groups, else a JSON object of texts in the meter's order.

A property that the event does not have is ``null`` in it, so that all keys of a meter have the same members.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from core.compiled import compiled
from streams.compiled import Compiled
from streams.measure import Pairs
from streams.pair_up import Properties, find_property
from streams.texts import HALF, I32, LOW_HALF, SEED, U8, U64, Places, Texts, column_of_texts, hash_text, same_text

HEX = np.frombuffer(b"0123456789abcdef", np.uint8)
# What JSON writes after a backslash, by character: a letter for some, 1 for those that are told by number, else 0.
SHORT = {"\b": "b", "\t": "t", "\n": "n", "\f": "f", "\r": "r", '"': '"', "\\": "\\"}
ESCAPES = np.array([ord(SHORT[chr(c)]) if chr(c) in SHORT else int(c < 32) for c in range(256)], np.uint8)
BY_NUMBER = 1
# A letter takes at most six.
LETTER_BYTES_MAX = 6
QUOTE, BACKSLASH, BRACE, U, ZERO = ord('"'), ord("\\"), ord("}"), ord("u"), ord("0")
NULL = np.frombuffer(b"null", np.uint8)


def group_keys(pairs: Pairs, properties: Properties, catalog: Compiled) -> tuple[Places, pa.Array]:
    """The number of each pair's group in the order of the groups' texts, and these texts."""
    if not len(catalog.group_properties):
        return np.zeros(len(pairs.row), np.int64), pa.array([""], pa.string())
    numbers, distinct = collect_groups(
        pairs.row, pairs.meter, properties, catalog.group_properties, catalog.group_prefixes, SEED
    )
    return in_order(numbers, column_of_texts(distinct))


def in_order(numbers: Places, distinct: pa.Array) -> tuple[Places, pa.Array]:
    """Distinct texts sorted by their bytes, and the numbers that stand for them then; -1 stays."""
    order = np.asarray(pc.array_sort_indices(distinct)).astype(np.int64)
    place = np.full(len(order) + 1, -1, np.int64)
    place[order] = np.arange(len(order))
    return place[numbers], distinct.take(pa.array(order))


@compiled
def collect_groups(  # noqa: PLR0917 - a loop takes its columns by place
    rows: Places, meters: Places, properties: Properties, wanted: Places, prefixes: Texts, seed: np.uint64
) -> tuple[Places, Texts]:
    """The distinct group keys of pairs as they come, the empty one first, and each pair's among them.

    ``wanted`` and ``prefixes`` are the catalog's ``group_properties`` and ``group_prefixes``.
    """
    size = 8
    while size < 2 * len(rows) + 2:
        size *= 2
    slots = np.zeros(size, np.uint64)
    numbers = np.zeros(len(rows), np.int64)
    bounds = np.zeros(len(rows) + 2, np.int32)
    data = np.empty(1024, np.uint8)
    count = 1
    for pair in range(len(rows)):
        meter = meters[pair]
        if wanted[0, meter] < 0:
            continue
        start = bounds[count]
        data, end = write_group(data, start, rows[pair], meter, properties, wanted, prefixes)
        number = find_or_enter(slots, bounds, data, start, end, count, seed)
        numbers[pair] = number
        if number == count:
            count += 1
            bounds[count] = end
    return numbers, Texts(bounds[: count + 1], data)


@compiled
def find_or_enter(  # noqa: PLR0917 - a loop takes its columns by place
    slots: U64, bounds: I32, data: U8, start: int, end: int, count: int, seed: np.uint64
) -> int:
    """The number of a text among the first ``count``; it becomes the next one when it is not there."""
    mask = np.uint64(len(slots) - 1)
    mixed = hash_text(data, start, end, seed)
    at = mixed & mask
    while slots[at] != 0:
        if slots[at] >> HALF == mixed >> HALF:
            number = np.int64(slots[at] & LOW_HALF)
            first = bounds[number]
            if bounds[number + 1] - first == end - start and same_text(data, first, data, start, end - start):
                return int(number)
        at = (at + np.uint64(1)) & mask
    # The empty text has number 0 and is never looked for, so that no full slot holds 0 in its lower half.
    slots[at] = ((mixed >> HALF) << HALF) | np.uint64(count)
    return count


@compiled
def write_group(  # noqa: PLR0917 - a loop takes its columns by place
    data: U8, start: int, row: int, meter: int, properties: Properties, wanted: Places, prefixes: Texts
) -> tuple[U8, int]:
    """Write a pair's group key at ``start``: the bytes, moved if they needed more room, and where it ends."""
    at = start
    for place in range(len(wanted)):
        if wanted[place, meter] < 0:
            break
        prefix = place * wanted.shape[1] + meter
        first, last = prefixes.bounds[prefix], prefixes.bounds[prefix + 1]
        found = find_property(properties, row, wanted[place, meter])
        length = properties.texts.bounds[found + 1] - properties.texts.bounds[found] if found >= 0 else 0
        # Two quotes or "null", and the brace at the end.
        data = with_room(data, at, (last - first) + length * LETTER_BYTES_MAX + 5)
        data[at : at + last - first] = prefixes.data[first:last]
        at += last - first
        if found < 0:
            data[at : at + 4] = NULL
            at += 4
        else:
            at = write_quoted(data, at, properties.texts, found)
    data[at] = BRACE
    return data, at + 1


@compiled
def with_room(data: U8, used: int, more: int) -> U8:
    """The bytes, with so many more than are used."""
    if used + more <= len(data):
        return data
    larger = np.empty(2 * (used + more), np.uint8)
    larger[:used] = data[:used]
    return larger


@compiled
def write_quoted(data: U8, at: int, texts: Texts, number: int) -> int:
    """Write a text as JSON does; returns where it ends."""
    data[at] = QUOTE
    at += 1
    for place in range(texts.bounds[number], texts.bounds[number + 1]):
        letter = texts.data[place]
        escape = ESCAPES[letter]
        if escape == 0:
            data[at] = letter
            at += 1
            continue
        data[at] = BACKSLASH
        data[at + 1] = escape
        at += 2
        if escape == BY_NUMBER:
            data[at - 1], data[at], data[at + 1] = U, ZERO, ZERO
            data[at + 2], data[at + 3] = HEX[letter >> 4], HEX[letter & 15]
            at += 4
    data[at] = QUOTE
    return at + 1
