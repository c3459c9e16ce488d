"""The kernel that judges the events of a body, one after the other."""

from __future__ import annotations

from core.compiled import compiled
from core.limits import EVENTS_PER_REQUEST_MAX
from ingest.lane.digest import (
    CLOUD_ONLY,
    HASH_BODY,
    LINES,
    PLACES,
    USABLE,
    Integers,
    find_layout,
    hash_body,
    hash_identity,
    instant_of,
    is_in_form,
    sort_cells,
    trim_values,
)
from ingest.lane.read import CELLS, END, FIRST_CELL, ODD, OPEN, START, Spans, read_event, skip_object
from ingest.lane.text import NO_TIME, Bytes, skip_space
from ingest.lane.xxh3 import Words

# How far a scan has come: the next byte, and how many events, cells and odd events are behind it; the free slot for a
# layout that is not known yet.
AT, EVENTS, USED_CELLS, ODDS, SLOT, ARRAY = 0, 1, 2, 3, 4, 5
STATE = 6
DONE, DECLINED, LAYOUT_UNKNOWN = 0, 1, 2
# More odd events than these, and an eighth of all: the slow lane is as fast.
ODDS_MIN = 8
OPEN_ARRAY, CLOSE_ARRAY, COMMA, NEWLINE, RETURN = 91, 93, 44, 10, 13


@compiled
def judge_event(
    data: Bytes,
    rules: Integers,
    merchant: Bytes,
    slots: Spans,
    layouts: Spans,
    texts: Bytes,
    places: Spans,
    mark: Spans,
    cells: Spans,
    instants: Integers,
    hashes: Words,
    text: Bytes,
    words: Words,
    event: int,
) -> int:
    """Judge an event that was taken apart: 0 when it is good, 1 when it is odd, below 0 for ``find_layout``'s slot."""
    if not is_in_form(mark, rules[CLOUD_ONLY] != 0):
        return 1
    instant = instant_of(data, mark, rules)
    if instant == NO_TIME:
        return 1
    found = find_layout(data, mark, cells, slots, layouts, texts)
    if found < 0:
        return found
    layout, first, count = layouts[found], int(mark[FIRST_CELL]), int(mark[CELLS])
    if layout[USABLE] == 0:
        return 1
    sort_cells(cells, first, count, places, layout[PLACES], cells[len(cells) - 64 :])
    if not hash_identity(data, mark, merchant, text, words, hashes[event]):
        return 1
    hashes[event, HASH_BODY] = hash_body(data, mark, cells, layout, texts, text, words)
    if not trim_values(data, cells, first, count, places, layout[PLACES]):
        return 1
    instants[event] = instant
    return 0


@compiled
def next_line(data: Bytes, at: int, end: int, first: bool) -> int:
    """``next_event`` for events of which each has a line."""
    at = skip_space(data, at, end, True)
    if not first:
        if at < end and data[at] == RETURN:
            at += 1
        if at < end and data[at] != NEWLINE:
            return -1
        at = skip_space(data, at + 1, end, True)
        if at >= end:
            return -2
    return at if at < end and data[at] == OPEN else -1


@compiled
def next_event(data: Bytes, end: int, lines: bool, state: Integers) -> int:
    """The place of the next event; -1 when none may follow, -2 when the body ends as it should."""
    at, first = int(state[AT]), state[EVENTS] == 0
    if lines:
        return next_line(data, at, end, first)
    at = skip_space(data, at, end, False)
    if first and state[ARRAY] == 0:
        if at < end and data[at] == OPEN_ARRAY:
            state[ARRAY] = 1
            at = skip_space(data, at + 1, end, False)
            # Should a layout stop the scan, it goes on from here.
            state[AT] = at
    elif not first:
        if state[ARRAY] == 0:
            return -2 if at == end else -1
        if at < end and data[at] == CLOSE_ARRAY:
            return -2 if skip_space(data, at + 1, end, False) == end else -1
        if at >= end or data[at] != COMMA:
            return -1
        at = skip_space(data, at + 1, end, False)
    return at if at < end and data[at] == OPEN else -1


@compiled
def has_newline(data: Bytes, at: int, end: int) -> bool:
    """Whether an object goes on in another line."""
    for i in range(at, end):
        if data[i] == NEWLINE:
            return True
    return False


@compiled
def scan(
    data: Bytes,
    state: Integers,
    rules: Integers,
    merchant: Bytes,
    slots: Spans,
    layouts: Spans,
    texts: Bytes,
    places: Spans,
    marks: Spans,
    cells: Spans,
    instants: Integers,
    hashes: Words,
    text: Bytes,
    words: Words,
) -> int:
    """Judge events from ``state`` on until the body ends (``DONE``), or a layout must be planned before it goes on.

    ``DECLINED`` says that the slow lane has to judge the whole body. ``text`` and ``words`` are the same room.
    """
    end, lines = len(data), rules[LINES] != 0
    while True:
        at = next_event(data, end, lines, state)
        if at == -2:
            return DONE
        event, first = int(state[EVENTS]), int(state[USED_CELLS])
        if at < 0 or event >= min(EVENTS_PER_REQUEST_MAX, len(marks)) or first + 128 > len(cells):
            return DECLINED
        mark = marks[event]
        stop = read_event(data, at, end, lines, mark, cells[: len(cells) - 64], first)
        odd = 1
        if stop >= 0:
            odd = judge_event(
                data, rules, merchant, slots, layouts, texts, places, mark, cells, instants, hashes, text, words, event
            )
            if odd < 0:
                state[SLOT] = -1 - odd
                return LAYOUT_UNKNOWN
        else:
            stop = skip_object(data, at, end)
            if stop < 0 or (lines and has_newline(data, at, stop)):
                return DECLINED
        mark[START], mark[END], mark[ODD] = at, stop, odd
        state[AT], state[EVENTS] = stop, event + 1
        state[ODDS] += odd
        if state[ODDS] > ODDS_MIN + event // 8:
            return DECLINED
        if odd == 0:
            state[USED_CELLS] = first + mark[CELLS]
