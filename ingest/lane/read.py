"""Kernels that take one event apart into spans of its body's bytes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from core.compiled import compiled
from core.limits import PROPERTIES_MAX, PROPERTY_VALUE_BYTES_MAX
from ingest.lane.text import QUOTE, Bytes, number_end, skip_space, text_end

Spans = npt.NDArray[np.int32]

# An event's marks: start and size of five texts, then what is found out about it.
ID, SOURCE, TYPE, SUBJECT, TIME, VERSION = 0, 2, 4, 6, 8, 10
# The version is of no use once it is checked.
FIRST_CELL, CELLS = 10, 11
START, END, ODD, SEEN = 12, 13, 14, 15
MARKS = 16

# Fields by number: those above, each a bit of SEEN, and those that make an event odd.
FIELD_DATA, FIELD_PROPERTIES, FIELD_OF_OTHERS, FIELD_UNKNOWN = 6, 7, 8, -1
FIELDS = ("id", "source", "type", "subject", "time", "specversion", "data", "properties")
OTHERS = ("amount", "sku_id", "sent_at", "customer_id", "data_base64")
NAMES = np.frombuffer("".join((*FIELDS, *OTHERS)).encode(), dtype=np.uint8)
NAME_SIZES = np.array([len(name) for name in (*FIELDS, *OTHERS)], dtype=np.int64)
NAME_STARTS = np.cumsum(NAME_SIZES) - NAME_SIZES

# A cell: start and size of a property's name, of its value as a column holds it, and the size of what was sent.
NAME, VALUE, SENT_SIZE = 0, 2, 4
CELL = 5
OPEN, CLOSE, COMMA, COLON = 123, 125, 44, 58


@compiled
def is_same(data: Bytes, start: int, other: Bytes, place: int, size: int) -> bool:
    """Whether two stretches of bytes are equal."""
    for i in range(size):
        if data[start + i] != other[place + i]:
            return False
    return True


@compiled
def field_of(data: Bytes, start: int, size: int) -> int:
    """The number of a field by its name."""
    for field in range(len(NAME_SIZES)):
        if NAME_SIZES[field] == size and is_same(data, start, NAMES, NAME_STARTS[field], size):
            return min(field, FIELD_OF_OTHERS)
    return FIELD_UNKNOWN


@compiled
def literal_end(data: Bytes, at: int, end: int) -> int:
    """Where ``true`` or ``false`` ends."""
    if at + 4 <= end and data[at] == 116 and data[at + 1] == 114 and data[at + 2] == 117 and data[at + 3] == 101:
        return at + 4
    if at + 5 <= end and data[at] == 102 and data[at + 1] == 97 and data[at + 2] == 108:
        return at + 5 if data[at + 3] == 115 and data[at + 4] == 101 else -1
    return -1


@compiled
def scalar_end(data: Bytes, at: int, end: int) -> int:
    """Where a scalar ends that is no string."""
    if at < end and (data[at] == 116 or data[at] == 102):
        return literal_end(data, at, end)
    return number_end(data, at, end)


@compiled
def read_name(data: Bytes, at: int, end: int, lines: bool) -> tuple[int, int]:
    """Past a name, its colon and space: where it ended, and where its value begins."""
    if at >= end or data[at] != QUOTE:
        return -1, -1
    stop = text_end(data, at + 1, end)
    if stop < 0:
        return -1, -1
    at = skip_space(data, stop + 1, end, lines)
    if at >= end or data[at] != COLON:
        return -1, -1
    return stop, skip_space(data, at + 1, end, lines)


@compiled
def next_name(data: Bytes, at: int, end: int, lines: bool) -> int:
    """After a value: the place of the next name, that of the closing brace, or -1."""
    at = skip_space(data, at, end, lines)
    if at >= end:
        return -1
    if data[at] == COMMA:
        at = skip_space(data, at + 1, end, lines)
        return at if at < end and data[at] == QUOTE else -1
    return at if data[at] == CLOSE else -1


@compiled
def read_cell(data: Bytes, at: int, end: int, cell: Spans) -> int:
    """A property's value into its cell; where it ends."""
    if at < end and data[at] == QUOTE:
        stop = text_end(data, at + 1, end)
        cell[VALUE], cell[VALUE + 1] = at + 1, stop - at - 1
        if stop < 0 or stop - at - 1 > PROPERTY_VALUE_BYTES_MAX:
            return -1
        cell[SENT_SIZE] = stop - at - 1
        return stop + 1
    stop = scalar_end(data, at, end)
    cell[VALUE], cell[VALUE + 1], cell[SENT_SIZE] = at, stop - at, stop - at
    return stop


@compiled
def read_properties(data: Bytes, at: int, end: int, lines: bool, mark: Spans, cells: Spans, first: int) -> int:
    """A flat object of scalars, cell by cell; where it ends."""
    if at >= end or data[at] != OPEN:
        return -1
    at = skip_space(data, at + 1, end, lines)
    count = 0
    mark[CELLS] = 0
    if at < end and data[at] == CLOSE:
        return at + 1
    while at >= 0:
        stop, value = read_name(data, at, end, lines)
        if stop < 0 or count == PROPERTIES_MAX or first + count >= len(cells):
            return -1
        cell = cells[first + count]
        cell[NAME], cell[NAME + 1] = at + 1, stop - at - 1
        at = read_cell(data, value, end, cell)
        if at < 0:
            return -1
        count += 1
        at = next_name(data, at, end, lines)
        if at >= 0 and data[at] == CLOSE:
            mark[CELLS] = count
            return at + 1
    return -1


@compiled
def read_value(data: Bytes, at: int, end: int, field: int, mark: Spans) -> int:
    """A text that is a field of ours into its marks, or a scalar of a field that no form knows; where it ends."""
    if at < end and data[at] == QUOTE:
        stop = text_end(data, at + 1, end)
        if stop < 0:
            return -1
        if field == 5:
            version = stop - at - 1 == 3 and data[at + 1] == 49 and data[at + 2] == 46 and data[at + 3] == 48
            return stop + 1 if version else -1
        if field >= 0:
            mark[2 * field], mark[2 * field + 1] = at + 1, stop - at - 1
        return stop + 1
    return scalar_end(data, at, end) if field < 0 else -1


@compiled
def read_event(data: Bytes, at: int, end: int, lines: bool, mark: Spans, cells: Spans, first: int) -> int:
    """Take the object at ``at`` apart; where it ends, or -1 when it is not of the plainest form."""
    mark[:] = 0
    mark[FIRST_CELL] = first
    seen = 0
    at = next_name_or_first(data, at, end, lines)
    while at >= 0 and data[at] != CLOSE:
        start = at + 1
        stop, at = read_name(data, at, end, lines)
        if stop < 0:
            return -1
        field = field_of(data, start, stop - start)
        if field == FIELD_OF_OTHERS or (field >= 0 and seen & (1 << field)):
            return -1
        if field >= 0:
            seen |= 1 << field
        if field in (FIELD_DATA, FIELD_PROPERTIES):
            at = read_properties(data, at, end, lines, mark, cells, first)
        else:
            at = read_value(data, at, end, field, mark)
        if at < 0:
            return -1
        at = next_name(data, at, end, lines)
    mark[SEEN] = seen
    return at + 1 if at >= 0 else -1


@compiled
def next_name_or_first(data: Bytes, at: int, end: int, lines: bool) -> int:
    """The first name of the object at ``at``; an empty one is not plain."""
    if at >= end or data[at] != OPEN:
        return -1
    at = skip_space(data, at + 1, end, lines)
    return at if at < end and data[at] == QUOTE else -1


@compiled
def skip_object(data: Bytes, at: int, end: int) -> int:
    """Where the object at ``at`` ends if it is one, by its braces outside of strings; -1 when it does not end."""
    depth, quoted = 0, False
    while at < end:
        c = int(data[at])
        if quoted:
            if c == 92:
                at += 1
            elif c == QUOTE:
                quoted = False
        elif c == QUOTE:
            quoted = True
        elif c == OPEN:
            depth += 1
        elif c == CLOSE:
            depth -= 1
            if depth == 0:
                return at + 1
        at += 1
    return -1
