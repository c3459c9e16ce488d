"""The kernel that judges the events of a body, one after the other."""

from __future__ import annotations

from core.compiled import lean
from core.limits import EVENTS_PER_REQUEST_MAX
from ingest.lane.digest import (
    BODY_SIZE,
    CLOUD_ONLY,
    HASH_BODY,
    LINES,
    PLACES,
    SORTED,
    USABLE,
    Integers,
    Words,
    code_of,
    find_layout,
    hash_body,
    hash_identity,
    instant_of,
    is_in_form,
    sort_cells,
    trim_values,
)
from ingest.lane.path import LEAF_CODE, learn, read_alike
from ingest.lane.read import CELLS, END, FIRST_CELL, ODD, OPEN, START, Spans, read_event, skip_object
from ingest.lane.text import NO_TIME, Bytes, byte_at, skip_space

# How far a scan has come: the next byte, and how many events are behind it, how many of them since the marks were
# empty, and how many cells and odd events; the free slot for a layout that is not known yet.
AT, EVENTS, ROW, USED_CELLS, ODDS, SLOT, ARRAY = 0, 1, 2, 3, 4, 5, 6
STATE = 7
DONE, DECLINED, LAYOUT_UNKNOWN, FULL = 0, 1, 2, 3
# More odd events than these, and an eighth of all: the slow lane is as fast.
ODDS_MIN = 8
OPEN_ARRAY, CLOSE_ARRAY, COMMA, NEWLINE, RETURN = 91, 93, 44, 10, 13
# What an event may write, sorting included.
EVENT_CELLS_MAX = 128


@lean
def judge_event(
    body: Bytes,
    rules: Integers,
    slots: Spans,
    layouts: Spans,
    texts: Bytes,
    places: Spans,
    marks: Spans,
    cells: Spans,
    instants: Integers,
    hashes: Words,
    text: Bytes,
    minute: Words,
    proved: Spans,
    event: int,
    code: int,
    leaf: int,
) -> int:
    """Judge an event that was taken apart: 0 when it is good, 1 when it is odd, below 0 for ``find_layout``'s slot."""
    if not is_in_form(marks, event, rules[CLOUD_ONLY] != 0):
        return 1
    instant = instant_of(body, marks, event, rules, minute)
    if instant == NO_TIME:
        return 1
    layout = find_layout(body, marks, event, cells, slots, layouts, texts, code, leaf, proved)
    if layout < 0:
        return layout
    first, count, place = int(marks[event, FIRST_CELL]), int(marks[event, CELLS]), int(layouts[layout, PLACES])
    if layouts[layout, USABLE] == 0 or not hash_identity(body, rules, marks, event, text, hashes):
        return 1
    if layouts[layout, SORTED] == 0:
        sort_cells(cells, first, count, places, place)
    hashes[event, HASH_BODY] = hash_body(body, marks, event, cells, layouts, layout, texts, text)
    if not trim_values(body, cells, first, count, places, place):
        return 1
    instants[event] = instant
    return 0


@lean
def next_line(body: Bytes, at: int, end: int, first: bool) -> int:
    """``next_event`` for events of which each has a line."""
    at = skip_space(body, at, True)
    if not first:
        if byte_at(body, at) == RETURN:
            at += 1
        if at < end and byte_at(body, at) != NEWLINE:
            return -1
        at = skip_space(body, min(at + 1, end), True)
        if at >= end:
            return -2
    return at if byte_at(body, at) == OPEN else -1


@lean
def next_event(body: Bytes, end: int, lines: bool, state: Integers) -> int:
    """The place of the next event; -1 when none may follow, -2 when the body ends as it should."""
    at, first = int(state[AT]), state[EVENTS] == 0
    if lines:
        return next_line(body, at, end, first)
    at = skip_space(body, at, False)
    c = byte_at(body, at)
    if first and state[ARRAY] == 0:
        if c == OPEN_ARRAY:
            state[ARRAY] = 1
            at = skip_space(body, at + 1, False)
            # Should a layout stop the scan, it goes on from here.
            state[AT] = at
    elif not first:
        if state[ARRAY] == 0:
            return -2 if at == end else -1
        if c == CLOSE_ARRAY:
            return -2 if skip_space(body, at + 1, False) == end else -1
        if c != COMMA:
            return -1
        at = skip_space(body, at + 1, False)
    return at if byte_at(body, at) == OPEN else -1


@lean
def has_newline(body: Bytes, at: int, end: int) -> bool:
    """Whether an object goes on in another line."""
    for i in range(at, end):
        if byte_at(body, i) == NEWLINE:
            return True
    return False


@lean
def take_apart(
    body: Bytes, at: int, lines: bool, marks: Spans, event: int, cells: Spans, first: int, trail: Spans, tree: Spans
) -> tuple[int, int, int]:
    """Where the event ends, or -1 when it is odd; its leaf, or 0 for none; and the number of its names."""
    stop, leaf = read_alike(body, at, marks, event, cells, first, tree)
    if leaf > 0:
        return stop, leaf, int(tree[leaf, LEAF_CODE])
    stop = read_event(body, at, lines, marks, event, cells, first, trail)
    if stop < 0:
        return -1, 0, 0
    code = code_of(body, marks, event, cells)
    return stop, learn(body, trail, tree, marks, event, code), code


@lean
def scan(
    body: Bytes,
    state: Integers,
    rules: Integers,
    slots: Spans,
    layouts: Spans,
    texts: Bytes,
    places: Spans,
    marks: Spans,
    cells: Spans,
    instants: Integers,
    hashes: Words,
    text: Bytes,
    minute: Words,
    trail: Spans,
    tree: Spans,
    proved: Spans,
) -> int:
    """Judge events from ``state`` on until the body ends (``DONE``) or there is no more room for them (``FULL``).

    ``LAYOUT_UNKNOWN`` says that a layout must be planned before it goes on, ``DECLINED`` that the slow lane has to
    judge the whole body.
    """
    end, lines = int(rules[BODY_SIZE]), rules[LINES] != 0
    while True:
        at = next_event(body, end, lines, state)
        if at == -2:
            return DONE
        event, first = int(state[ROW]), int(state[USED_CELLS])
        if at < 0 or state[EVENTS] >= EVENTS_PER_REQUEST_MAX:
            return DECLINED
        if event == len(marks) or first + EVENT_CELLS_MAX > len(cells):
            return FULL
        stop, leaf, code = take_apart(body, at, lines, marks, event, cells, first, trail, tree)
        odd = 1
        if stop >= 0:
            odd = judge_event(
                body, rules, slots, layouts, texts, places, marks, cells, instants, hashes, text, minute, proved,
                event, code, leaf,
            )  # fmt: skip
            if odd < 0:
                state[SLOT] = -1 - odd
                return LAYOUT_UNKNOWN
        else:
            stop = skip_object(body, at, end)
            if stop < 0 or (lines and has_newline(body, at, stop)):
                return DECLINED
        marks[event, START], marks[event, END], marks[event, ODD] = at, stop, odd
        state[AT], state[EVENTS], state[ROW] = stop, state[EVENTS] + 1, event + 1
        state[ODDS] += odd
        if state[ODDS] > ODDS_MIN + (state[EVENTS] - 1) // 8:
            return DECLINED
        if odd == 0:
            state[USED_CELLS] = first + marks[event, CELLS]
