"""Kernels that take one event apart into spans of its body's bytes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from core.compiled import eight_at, lean
from core.limits import PROPERTIES_MAX, PROPERTY_VALUE_BYTES_MAX
from ingest.lane.text import BACKSLASH, COLON, QUOTE, Bytes, U, byte_at, number_end, skip_space, text_end

Spans = npt.NDArray[np.int32]

# An event's marks: start and size of five texts, then what is found out about it.
ID, SOURCE, TYPE, SUBJECT, TIME = 0, 2, 4, 6, 8
FIRST_CELL, CELLS = 10, 11
START, END, ODD, SEEN = 12, 13, 14, 15
MARKS = 16

# Fields by number: those above, each a bit of SEEN, and those that make an event odd.
FIELD_VERSION, FIELD_DATA, FIELD_PROPERTIES, FIELD_OF_OTHERS, FIELD_UNKNOWN = 5, 6, 7, 8, -1
FIELDS = ("id", "source", "type", "subject", "time", "specversion", "data", "properties")
OTHERS = ("amount", "sku_id", "sent_at", "customer_id", "data_base64")
NAME_SIZES = np.array([len(name) for name in (*FIELDS, *OTHERS)], dtype=np.int64)
# Their bytes in two numbers: none has more than sixteen.
NAMES = np.frombuffer(b"".join(name.encode().ljust(16, b"\0") for name in (*FIELDS, *OTHERS)), dtype=np.uint64)

# A cell: start and size of a property's name, of its value as a column holds it, and the size of what was sent.
NAME, VALUE, SENT_SIZE = 0, 2, 4
CELL = 5
OPEN, CLOSE, COMMA = 123, 125, 44
TRUE, FALSE, VERSION = (U(int.from_bytes(word, "little")) for word in (b"true", b"false", b"1.0"))

# A trail: for each value its step, the bytes from the end of the value before it (or the event's start) through the
# colon in front of it; what kind of value it is (one of the five texts by number, one that is passed over, or a
# property's), and the size of a property's name and how far behind the step's start it begins. The last step is the
# one to the event's end.
STEP_START, STEP_SIZE, KIND, STEP_NAME, STEP_NAME_SIZE = 0, 1, 2, 3, 4
STEP = 5
KIND_OTHER, KIND_CELL, KIND_END = 5, 6, 7
TRAIL_MAX = PROPERTIES_MAX + 32
# Behind the steps: how many there are, and where the next one begins.
STEPS, NEXT_STEP = 0, 1


@lean
def note(trail: Spans, kind: int, stop: int, name: int, name_size: int) -> None:
    """The end of a step, before a value; what has more values than any plain event leaves no trail."""
    steps = int(trail[TRAIL_MAX, STEPS])
    if steps < TRAIL_MAX:
        start = int(trail[TRAIL_MAX, NEXT_STEP])
        trail[steps, STEP_START], trail[steps, STEP_SIZE], trail[steps, KIND] = start, stop - start, kind
        trail[steps, STEP_NAME], trail[steps, STEP_NAME_SIZE] = name - start, name_size
    trail[TRAIL_MAX, STEPS] = steps + 1


@lean
def cut_to(eight: np.uint64, size: int) -> np.uint64:
    """The first bytes of eight, noughts behind them."""
    if size >= 8:
        return eight
    return U(eight & ((U(1) << U(8 * size)) - U(1))) if size > 0 else U(0)


@lean
def field_of(body: Bytes, start: int, size: int) -> int:
    """The number of a field by its name."""
    low, high = cut_to(eight_at(body, start), size), cut_to(eight_at(body, start + 8), size - 8)
    for field in range(len(NAME_SIZES)):
        if NAME_SIZES[field] == size and NAMES[2 * field] == low and NAMES[2 * field + 1] == high:
            return min(field, FIELD_OF_OTHERS)
    return FIELD_UNKNOWN


@lean
def literal_end(body: Bytes, at: int) -> int:
    """Where ``true`` or ``false`` ends."""
    eight = eight_at(body, at)
    if cut_to(eight, 4) == TRUE:
        return at + 4
    return at + 5 if cut_to(eight, 5) == FALSE else -1


@lean
def scalar_end(body: Bytes, at: int) -> int:
    """Where a scalar ends that is no string."""
    c = byte_at(body, at)
    if c == 116 or c == 102:
        return literal_end(body, at)
    end, _point = number_end(body, at)
    return end


@lean
def name_end(body: Bytes, at: int, lines: bool) -> tuple[int, int]:
    """Past a name and its colon: where the name ended, and where its value may begin."""
    if byte_at(body, at) != QUOTE:
        return -1, -1
    stop = text_end(body, at + 1)
    if stop < 0:
        return -1, -1
    at = skip_space(body, stop + 1, lines)
    return (stop, at + 1) if byte_at(body, at) == COLON else (-1, -1)


@lean
def next_name(body: Bytes, at: int, lines: bool) -> int:
    """After a value and space: the place of the next name, that of the closing brace, or -1."""
    c = byte_at(body, at)
    if c == COMMA:
        at = skip_space(body, at + 1, lines)
        return at if byte_at(body, at) == QUOTE else -1
    return at if c == CLOSE else -1


@lean
def read_cell(body: Bytes, at: int, cells: Spans, cell: int) -> int:
    """A property's value into its cell; where it ends."""
    row = U(cell)
    if byte_at(body, at) == QUOTE:
        stop = text_end(body, at + 1)
        size = stop - at - 1
        cells[row, VALUE], cells[row, VALUE + 1], cells[row, SENT_SIZE] = at + 1, size, size
        return stop + 1 if stop >= 0 and size <= PROPERTY_VALUE_BYTES_MAX else -1
    stop = scalar_end(body, at)
    cells[row, VALUE], cells[row, VALUE + 1], cells[row, SENT_SIZE] = at, stop - at, stop - at
    return stop


@lean
def read_properties(body: Bytes, at: int, lines: bool, cells: Spans, first: int, trail: Spans) -> tuple[int, int]:
    """A flat object of scalars, cell by cell; where it ends, and how many there are."""
    if byte_at(body, at) != OPEN:
        return -1, 0
    at = skip_space(body, at + 1, lines)
    count = 0
    if byte_at(body, at) == CLOSE:
        return at + 1, 0
    while at >= 0:
        stop, value = name_end(body, at, lines)
        if stop < 0 or count == PROPERTIES_MAX:
            return -1, 0
        cells[first + count, NAME], cells[first + count, NAME + 1] = at + 1, stop - at - 1
        note(trail, KIND_CELL, value, at + 1, stop - at - 1)
        at = read_cell(body, skip_space(body, value, lines), cells, first + count)
        if at < 0:
            return -1, 0
        count += 1
        at = skip_space(body, at, lines)
        trail[TRAIL_MAX, NEXT_STEP] = at
        at = next_name(body, at, lines)
        if at >= 0 and byte_at(body, at) == CLOSE:
            return at + 1, count
    return -1, 0


@lean
def read_value(body: Bytes, at: int, field: int, marks: Spans, event: int) -> int:
    """A text that is a field of ours into its marks, or a scalar of a field that no form knows; where it ends."""
    if byte_at(body, at) != QUOTE:
        return scalar_end(body, at) if field < 0 else -1
    stop = text_end(body, at + 1)
    if stop < 0:
        return -1
    if field == FIELD_VERSION:
        return stop + 1 if stop - at == 4 and cut_to(eight_at(body, at + 1), 3) == VERSION else -1
    if field >= 0:
        marks[event, 2 * field], marks[event, 2 * field + 1] = at + 1, stop - at - 1
    return stop + 1


@lean
def field_bit(field: int, seen: int) -> int:
    """What is added to ``seen`` for a field; -1 when it makes the event odd, once more or at all."""
    if field == FIELD_UNKNOWN:
        return 0
    return -1 if field == FIELD_OF_OTHERS or seen & (1 << field) else 1 << field


@lean
def read_field(
    body: Bytes, at: int, field: int, lines: bool, marks: Spans, event: int, cells: Spans, trail: Spans
) -> int:
    """What stands behind the colon before ``at``; where that ends, and the space after it."""
    value = skip_space(body, at, lines)
    if field in (FIELD_DATA, FIELD_PROPERTIES):
        at, marks[event, CELLS] = read_properties(body, value, lines, cells, int(marks[event, FIRST_CELL]), trail)
        return skip_space(body, at, lines) if at >= 0 else -1
    if field != FIELD_VERSION:
        # The version is always the same, and so is a part of the step.
        note(trail, field if field >= 0 else KIND_OTHER, at, at, 0)
    at = read_value(body, value, field, marks, event)
    if at < 0:
        return -1
    at = skip_space(body, at, lines)
    if field != FIELD_VERSION:
        trail[TRAIL_MAX, NEXT_STEP] = at
    return at


@lean
def read_event(
    body: Bytes, at: int, lines: bool, marks: Spans, event: int, cells: Spans, first: int, trail: Spans
) -> int:
    """Take the object at ``at`` apart and leave its trail; where it ends, or -1 when it is not of the plainest form."""
    for i in range(MARKS):
        marks[event, i] = 0
    marks[event, FIRST_CELL] = first
    trail[TRAIL_MAX, STEPS], trail[TRAIL_MAX, NEXT_STEP] = 0, at
    seen = 0
    at = skip_space(body, at + 1, lines)
    if byte_at(body, at) != QUOTE:
        # An empty one is not plain.
        return -1
    while at >= 0 and byte_at(body, at) != CLOSE:
        start = at + 1
        stop, at = name_end(body, at, lines)
        if stop < 0:
            return -1
        field = field_of(body, start, stop - start)
        bit = field_bit(field, seen)
        if bit < 0:
            return -1
        seen |= bit
        at = read_field(body, at, field, lines, marks, event, cells, trail)
        if at < 0:
            return -1
        at = next_name(body, at, lines)
    if at < 0:
        return -1
    note(trail, KIND_END, at + 1, at, 0)
    marks[event, SEEN] = seen
    return at + 1


@lean
def skip_object(body: Bytes, at: int, end: int) -> int:
    """Where the object at ``at`` ends if it is one, by its braces outside of strings; -1 when it does not end."""
    depth, quoted = 0, False
    while at < end:
        c = byte_at(body, at)
        if quoted:
            if c == BACKSLASH:
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
