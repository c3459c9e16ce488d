"""Kernels that work out where everything goes in the messages of several partitions."""

from __future__ import annotations

import numpy as np

from core.compiled import lean
from ingest.lane.digest import HASH_HIGH, Integers, Words
from ingest.lane.read import CELLS, FIRST_CELL, ID, NAME, SOURCE, SUBJECT, TYPE, VALUE, Spans

# A chunk's row: a run of events of one sheet, in order of arrival. Bases are added to what the sheet's arrays say.
DATA_BASE, FIRST_MARK, COUNT, MERCHANT, MERCHANT_SIZE, RECEIVED, CELL_BASE = 0, 1, 2, 3, 4, 5, 6
CHUNK = 7
# What a partition holds: events, properties, and the bytes of each text column.
ROWS, PROPERTIES, MERCHANTS, IDS, SOURCES, TYPES, SUBJECTS, NAMES, VALUES = 0, 1, 2, 3, 4, 5, 6, 7, 8
SUMS = 9
# Buffers of a message in Arrow's order, without those for nulls, of which there are none: their numbers.
KEY, HASH, OCCURRED, RECEIVED_AT, MAP = 1, 3, 20, 22, 24
TEXT_BUFFERS = np.array([0, 0, 5, 8, 11, 14, 17, 27, 30], dtype=np.int64)
BUFFERS = 32
# Lengths of the columns, the parts of nested ones among them: these count properties, the others events.
NODES, NODES_OF_EVENTS = 13, 10


@lean
def measure(
    chunks: Integers, marks: Spans, cells: Spans, hashes: Words, partitions: int, homes: Spans, sums: Integers
) -> None:
    """Each event's partition into ``homes``, and what all partitions hold into ``sums``."""
    for c in range(len(chunks)):
        first = int(chunks[c, FIRST_MARK])
        for event in range(first, first + int(chunks[c, COUNT])):
            home = int(hashes[event, HASH_HIGH] % np.uint64(partitions))
            homes[event] = home
            into, mark = sums[home], marks[event]
            into[ROWS] += 1
            into[PROPERTIES] += mark[CELLS]
            into[MERCHANTS] += chunks[c, MERCHANT_SIZE]
            into[IDS] += mark[ID + 1]
            into[SOURCES] += mark[SOURCE + 1]
            into[TYPES] += mark[TYPE + 1]
            into[SUBJECTS] += mark[SUBJECT + 1]
            start = int(mark[FIRST_CELL]) + int(chunks[c, CELL_BASE])
            for cell in range(start, start + int(mark[CELLS])):
                into[NAMES] += cells[cell, NAME + 1]
                into[VALUES] += cells[cell, VALUE + 1]


@lean
def place_buffers(sums: Integers, buffers: Integers) -> int:
    """Start and size of each buffer of one message's body; returns the body's size."""
    rows, properties = int(sums[ROWS]), int(sums[PROPERTIES])
    buffers[:] = 0
    buffers[KEY, 1], buffers[HASH, 1] = 16 * rows, 8 * rows
    buffers[OCCURRED, 1], buffers[RECEIVED_AT, 1], buffers[MAP, 1] = 8 * rows, 8 * rows, 4 * rows + 4
    for column in range(MERCHANTS, SUMS):
        count = rows if column < NAMES else properties
        buffers[TEXT_BUFFERS[column], 1] = 4 * count + 4
        buffers[TEXT_BUFFERS[column] + 1, 1] = sums[column]
    at = 0
    for i in range(BUFFERS):
        buffers[i, 0] = at
        at += (int(buffers[i, 1]) + 7) & ~7
    return at


@lean
def write_head(out: Integers, start: int, places: Integers, sums: Integers, buffers: Integers, body_size: int) -> None:
    """The numbers of one message's head; ``start`` and ``places`` count words: rows, body, nodes, buffers."""
    out[start + places[0]] = sums[ROWS]
    out[start + places[1]] = body_size
    for i in range(NODES):
        out[start + places[2] + 2 * i] = sums[ROWS] if i < NODES_OF_EVENTS else sums[PROPERTIES]
        out[start + places[2] + 2 * i + 1] = 0
    for i in range(BUFFERS):
        out[start + places[3] + 2 * i] = buffers[i, 0]
        out[start + places[3] + 2 * i + 1] = buffers[i, 1]
