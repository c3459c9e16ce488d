"""Kernels that check an event that was taken apart, and hash its texts."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from core.compiled import compiled
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
    is_same,
)
from ingest.lane.text import NO_TIME, Bytes, plain_size, read_instant
from ingest.lane.xxh3 import LONG_FROM, Words, hash64, hash128

Integers = npt.NDArray[np.int64]

# What holds for all events of a request.
LINES, CLOUD_ONLY, OLDEST_US, NEWEST_US, RECEIVED_US = 0, 1, 2, 3, 4
RULES = 5
# A layout's row: where its sample lies among the book's texts (type and names in the order sent, each before a NUL),
# where the tail that follows an event's time, and where its places (which cell, and what is needed of it).
SAMPLE, TAIL, TAIL_SIZE, PLACES, USABLE = 0, 1, 2, 3, 4
LAYOUT = 5
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


@compiled
def is_in_form(mark: Spans, cloud_only: bool) -> bool:
    """Whether the fields are those of a CloudEvent or of the plain form, and the texts neither empty nor too long."""
    seen = int(mark[SEEN])
    cloud = seen & CLOUD == CLOUD and seen & ~(CLOUD | CLOUD_TOO) == 0
    plain = not cloud_only and seen & PLAIN == PLAIN and seen & ~(PLAIN | PLAIN_TOO) == 0
    if not (cloud or plain) or (cloud and mark[SOURCE + 1] == 0):
        return False
    return bool(
        0 < mark[ID + 1] <= EVENT_ID_BYTES_MAX
        and 0 < mark[TYPE + 1] <= TYPE_BYTES_MAX
        and 0 < mark[SUBJECT + 1] <= SUBJECT_BYTES_MAX
        and mark[SOURCE + 1] <= SOURCE_BYTES_MAX
    )


@compiled
def instant_of(data: Bytes, mark: Spans, rules: Integers) -> int:
    """When the event occurred, if that is within bounds; else ``NO_TIME``."""
    if not int(mark[SEEN]) & (1 << 4):
        return int(rules[RECEIVED_US])
    instant = read_instant(data, mark[TIME], mark[TIME + 1])
    return instant if rules[OLDEST_US] <= instant <= rules[NEWEST_US] else NO_TIME


@compiled
def mix(code: int, data: Bytes, start: int, size: int) -> int:
    """A number that differs for most texts that differ; equality is looked at afterwards."""
    if size == 0:
        return (code * 31 + 7) & 0xFFFFFF
    return (code * 31 + size * 7919 + int(data[start]) * 131 + int(data[start + size - 1]) * 17) & 0xFFFFFF


@compiled
def is_sample(data: Bytes, mark: Spans, cells: Spans, texts: Bytes, place: int) -> bool:
    """Whether the event has the type and names that lie at ``place`` of the book's texts."""
    start, size = int(mark[TYPE]), int(mark[TYPE + 1])
    if place + size >= len(texts) or not is_same(data, start, texts, place, size) or texts[place + size] != 0:
        return False
    place += size + 1
    for i in range(mark[FIRST_CELL], mark[FIRST_CELL] + mark[CELLS]):
        start, size = int(cells[i, NAME]), int(cells[i, NAME + 1])
        if place + size >= len(texts) or not is_same(data, start, texts, place, size) or texts[place + size] != 0:
            return False
        place += size + 1
    # Where another name would stand, a sample has a byte that no name begins with.
    return place < len(texts) and texts[place] == 1


@compiled
def find_layout(data: Bytes, mark: Spans, cells: Spans, slots: Spans, layouts: Spans, texts: Bytes) -> int:
    """The event's layout, or minus one more than the slot that is free for it."""
    code = mix(int(mark[CELLS]), data, mark[TYPE], mark[TYPE + 1])
    for i in range(mark[FIRST_CELL], mark[FIRST_CELL] + mark[CELLS]):
        code = mix(code, data, cells[i, NAME], cells[i, NAME + 1])
    slot = (code ^ (code >> 9)) % SLOTS
    while slots[slot] >= 0:
        layout = int(slots[slot])
        if is_sample(data, mark, cells, texts, layouts[layout, SAMPLE]):
            return layout
        slot = (slot + 1) % SLOTS
    return -1 - slot


@compiled
def put(text: Bytes, at: int, data: Bytes, start: int, size: int) -> int:
    """Copy some bytes; where the next ones go."""
    for i in range(size):
        text[at + i] = data[start + i]
    return at + size


@compiled
def sort_cells(cells: Spans, first: int, count: int, places: Spans, place: int, spare: Spans) -> None:
    """Bring an event's cells into the order of their names."""
    for i in range(count):
        spare[i] = cells[first + i]
    for i in range(count):
        cells[first + i] = spare[places[place + i, 0]]


@compiled
def trim_values(data: Bytes, cells: Spans, first: int, count: int, places: Spans, place: int) -> bool:
    """Metered values as columns hold them; whether all of them are decimals that only had to be cut."""
    for i in range(count):
        need = int(places[place + i, 1])
        if need != UNMETERED:
            size = plain_size(data, cells[first + i, VALUE], cells[first + i, VALUE + 1])
            if size < 0:
                return False
            cells[first + i, VALUE + 1] = size
    return True


@compiled
def hash_body(
    data: Bytes, mark: Spans, cells: Spans, layout: Spans, texts: Bytes, text: Bytes, words: Words
) -> np.uint64:
    """The digest of what the event says, as it was sent."""
    at = put(text, 0, data, mark[TYPE], mark[TYPE + 1])
    text[at] = 0
    at = put(text, at + 1, data, mark[SUBJECT], mark[SUBJECT + 1])
    text[at] = 0
    at = put(text, at + 1, data, mark[TIME], mark[TIME + 1])
    at = put(text, at, texts, layout[TAIL], layout[TAIL_SIZE])
    for i in range(mark[FIRST_CELL], mark[FIRST_CELL] + mark[CELLS]):
        text[at] = 0
        at = put(text, at + 1, data, cells[i, VALUE], cells[i, SENT_SIZE])
    return hash64(words, at)


@compiled
def hash_identity(data: Bytes, mark: Spans, merchant: Bytes, text: Bytes, words: Words, hashes: Words) -> bool:
    """The event's key; False when its identity is too long for the short hash."""
    size = len(merchant) + 2 + mark[SOURCE + 1] + mark[ID + 1]
    if size > LONG_FROM:
        return False
    at = put(text, 0, merchant, 0, len(merchant))
    text[at] = 0
    at = put(text, at + 1, data, mark[SOURCE], mark[SOURCE + 1])
    text[at] = 0
    put(text, at + 1, data, mark[ID], mark[ID + 1])
    hashes[HASH_LOW], hashes[HASH_HIGH] = hash128(words, size)
    return True
