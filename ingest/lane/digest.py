"""Kernels that check an event that was taken apart, and hash its texts."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from core.compiled import lean
from core.limits import (
    EVENT_ID_BYTES_MAX,
    PROPERTIES_MAX,
    PROPERTY_NAME_BYTES_MAX,
    PROPERTY_VALUE_BYTES_MAX,
    SOURCE_BYTES_MAX,
    SUBJECT_BYTES_MAX,
    TYPE_BYTES_MAX,
)
from ingest.lane.read import (
    CELL,
    CELLS,
    FIRST_CELL,
    ID,
    NAME,
    SEEN,
    SENT_SIZE,
    SOURCE,
    SUBJECT,
    TIME,
    TYPE,
    VALUE,
    Spans,
)
from ingest.lane.text import NO_TIME, Bytes, U, byte_at, is_same, plain_size, put, read_instant
from ingest.lane.xxh3 import LONG_FROM, hash64, hash128

Integers = npt.NDArray[np.int64]
Words = npt.NDArray[np.uint64]

# What holds for all events of a request.
LINES, CLOUD_ONLY, OLDEST_US, NEWEST_US, RECEIVED_US, BODY_SIZE, MERCHANT, MERCHANT_SIZE = 0, 1, 2, 3, 4, 5, 6, 7
RULES = 8
# A layout's row: where its sample lies among the book's texts (type and names in the order sent, each before a NUL),
# where the tail that follows an event's time, and where its places (which cell, and what is needed of it).
SAMPLE, TAIL, TAIL_SIZE, PLACES, USABLE, SORTED = 0, 1, 2, 3, 4, 5
LAYOUT = 6
UNMETERED, REQUIRED, OPTIONAL = 0, 1, 2
SLOTS = 256

HASH_LOW, HASH_HIGH, HASH_BODY = 0, 1, 2
HASHES = 3
# The longest text that is hashed: everything at its limit.
TEXT_BYTES_MAX = (
    TYPE_BYTES_MAX
    + SUBJECT_BYTES_MAX
    + 64
    + PROPERTIES_MAX * (PROPERTY_NAME_BYTES_MAX + PROPERTY_VALUE_BYTES_MAX + 2)
    + EVENT_ID_BYTES_MAX
)
CLOUD = (1 << 1) | (1 << 2) | (1 << 3) | (1 << 5) | 1
PLAIN = (1 << 2) | (1 << 3) | 1
CLOUD_TOO, PLAIN_TOO = (1 << 4) | (1 << 6), (1 << 4) | (1 << 1) | (1 << 7)


@lean
def is_in_form(marks: Spans, event: int, cloud_only: bool) -> bool:
    """Whether the fields are those of a CloudEvent or of the plain form, and the texts neither empty nor too long."""
    row = U(event)
    seen = int(marks[row, SEEN])
    cloud = seen & CLOUD == CLOUD and seen & ~(CLOUD | CLOUD_TOO) == 0
    plain = not cloud_only and seen & PLAIN == PLAIN and seen & ~(PLAIN | PLAIN_TOO) == 0
    if not (cloud or plain) or (cloud and marks[row, SOURCE + 1] == 0):
        return False
    return bool(
        0 < marks[row, ID + 1] <= EVENT_ID_BYTES_MAX
        and 0 < marks[row, TYPE + 1] <= TYPE_BYTES_MAX
        and 0 < marks[row, SUBJECT + 1] <= SUBJECT_BYTES_MAX
        and marks[row, SOURCE + 1] <= SOURCE_BYTES_MAX
    )


@lean
def instant_of(body: Bytes, marks: Spans, event: int, rules: Integers, minute: Words) -> int:
    """When the event occurred, if that is within bounds; else ``NO_TIME``."""
    row = U(event)
    if not int(marks[row, SEEN]) & (1 << 4):
        return int(rules[RECEIVED_US])
    instant = read_instant(body, int(marks[row, TIME]), int(marks[row, TIME + 1]), minute)
    return instant if rules[OLDEST_US] <= instant <= rules[NEWEST_US] else NO_TIME


@lean
def mix(code: int, body: Bytes, start: int, size: int) -> int:
    """A number that differs for most texts that differ; equality is looked at afterwards."""
    if size == 0:
        return (code * 31 + 7) & 0xFFFFFF
    return (code * 31 + size * 7919 + byte_at(body, start) * 131 + byte_at(body, start + size - 1) * 17) & 0xFFFFFF


@lean
def code_of(body: Bytes, marks: Spans, event: int, cells: Spans) -> int:
    """A number of the names of an event's properties."""
    code = int(marks[event, CELLS])
    for i in range(marks[event, FIRST_CELL], marks[event, FIRST_CELL] + marks[event, CELLS]):
        code = mix(code, body, int(cells[i, NAME]), int(cells[i, NAME + 1]))
    return code


@lean
def is_named(body: Bytes, marks: Spans, event: int, cells: Spans, texts: Bytes, place: int) -> bool:
    """Whether the event has the names that lie at ``place`` of the book's texts."""
    for i in range(marks[event, FIRST_CELL], marks[event, FIRST_CELL] + marks[event, CELLS]):
        size = int(cells[i, NAME + 1])
        if not is_same(body, int(cells[i, NAME]), texts, place, size) or byte_at(texts, place + size) != 0:
            return False
        place += size + 1
    # Where another name would stand, a sample has a byte that no name begins with.
    return byte_at(texts, place) == 1


@lean
def find_layout(
    body: Bytes,
    marks: Spans,
    event: int,
    cells: Spans,
    slots: Spans,
    layouts: Spans,
    texts: Bytes,
    code: int,
    leaf: int,
    proved: Spans,
) -> int:
    """The event's layout, or minus one more than the slot that is free for it.

    ``proved`` has the leaf whose names are known to be a layout's: those need not be looked at again.
    """
    row = U(event)
    start, size = int(marks[row, TYPE]), int(marks[row, TYPE + 1])
    code = mix(code, body, start, size)
    slot = (code ^ (code >> 9)) & (SLOTS - 1)
    while slots[slot] >= 0:
        layout = int(slots[slot])
        place = int(layouts[layout, SAMPLE])
        if is_same(body, start, texts, place, size) and byte_at(texts, place + size) == 0:
            if leaf > 0 and proved[layout] == leaf:
                return layout
            if is_named(body, marks, event, cells, texts, place + size + 1):
                proved[layout] = leaf
                return layout
        slot = (slot + 1) & (SLOTS - 1)
    return -1 - slot


@lean
def sort_cells(cells: Spans, first: int, count: int, places: Spans, place: int) -> None:
    """Bring an event's cells into the order of their names, by way of those behind them."""
    for i in range(first, first + count):
        for j in range(CELL):
            cells[U(i + count), j] = cells[U(i), j]
    for i in range(count):
        sent = U(first + count + int(places[place + i, 0]))
        for j in range(CELL):
            cells[U(first + i), j] = cells[sent, j]


@lean
def trim_values(body: Bytes, cells: Spans, first: int, count: int, places: Spans, place: int) -> bool:
    """Metered values as columns hold them; whether all of them are decimals that only had to be cut."""
    for i in range(count):
        if places[place + i, 1] != UNMETERED:
            row = U(first + i)
            size = plain_size(body, int(cells[row, VALUE]), int(cells[row, VALUE + 1]))
            if size < 0:
                return False
            cells[row, VALUE + 1] = size
    return True


@lean
def hash_body(
    body: Bytes, marks: Spans, event: int, cells: Spans, layouts: Spans, layout: int, texts: Bytes, text: Bytes
) -> np.uint64:
    """The digest of what the event says, as it was sent."""
    row = U(event)
    at = put(text, 0, body, int(marks[row, TYPE]), int(marks[row, TYPE + 1]))
    text[U(at)] = 0
    at = put(text, at + 1, body, int(marks[row, SUBJECT]), int(marks[row, SUBJECT + 1]))
    text[U(at)] = 0
    at = put(text, at + 1, body, int(marks[row, TIME]), int(marks[row, TIME + 1]))
    at = put(text, at, texts, int(layouts[layout, TAIL]), int(layouts[layout, TAIL_SIZE]))
    first = int(marks[row, FIRST_CELL])
    for i in range(first, first + int(marks[row, CELLS])):
        text[U(at)] = 0
        at = put(text, at + 1, body, int(cells[U(i), VALUE]), int(cells[U(i), SENT_SIZE]))
    return hash64(text, at)


@lean
def hash_identity(body: Bytes, rules: Integers, marks: Spans, event: int, text: Bytes, hashes: Words) -> bool:
    """The event's key; False when its identity is too long for the short hash."""
    row, merchant_size = U(event), int(rules[MERCHANT_SIZE])
    source_size, id_size = int(marks[row, SOURCE + 1]), int(marks[row, ID + 1])
    size = merchant_size + 2 + source_size + id_size
    if size > LONG_FROM:
        return False
    at = put(text, 0, body, int(rules[MERCHANT]), merchant_size)
    text[U(at)] = 0
    at = put(text, at + 1, body, int(marks[row, SOURCE]), source_size)
    text[U(at)] = 0
    put(text, at + 1, body, int(marks[row, ID]), id_size)
    hashes[row, HASH_LOW], hashes[row, HASH_HIGH] = hash128(text, size)
    return True
