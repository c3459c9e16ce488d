"""Events of many requests into finished messages, one for each partition: the bytes that Arrow would have written."""

from __future__ import annotations

import numpy as np

from core.compiled import lean
from ingest.codec import END_OF_STREAM
from ingest.lane.digest import HASH_BODY, HASH_HIGH, HASH_LOW, Integers, Words
from ingest.lane.layout import (
    BUFFERS,
    CELL_BASE,
    CHUNK,
    COUNT,
    DATA_BASE,
    FIRST_MARK,
    HASH,
    IDS,
    KEY,
    MAP,
    MERCHANT,
    MERCHANT_SIZE,
    MERCHANTS,
    NAMES,
    OCCURRED,
    PROPERTIES,
    RECEIVED,
    RECEIVED_AT,
    ROWS,
    SUMS,
    TEXT_BUFFERS,
    VALUES,
    measure,
    place_buffers,
    write_head,
)
from ingest.lane.read import CELLS, FIRST_CELL, ID, NAME, SOURCE, SUBJECT, TYPE, VALUE, Spans
from ingest.lane.sheet import Sheet
from ingest.lane.template import Template
from ingest.lane.text import Bytes, U, bytes_of, put_exactly
from ingest.lane.xxh3 import swap

# A column of texts while it is written: see ``find_columns``.
NEXT, BASE, USED = 0, 1, 2
# Texts of an event in the order of their columns, from ids on.
TEXT_MARKS = np.array([ID, SOURCE, TYPE, SUBJECT], dtype=np.int64)


def write_messages(sheets: list[Sheet], partitions: int, template: Template) -> list[tuple[int, bytes]]:
    """The partitions that the sheets' events touch, and the stream of bytes for each; events stay in order."""
    data, chunks, marks, cells, instants, hashes = join(sheets)
    sums = np.zeros((partitions, SUMS), dtype=np.int64)
    homes = np.empty(len(marks), dtype=np.int32)
    measure(chunks, marks, cells, hashes, partitions, homes, sums)
    buffers = np.zeros((partitions, BUFFERS, 2), dtype=np.int64)
    starts = np.zeros(partitions + 1, dtype=np.int64)
    head, tail = len(template.content), len(END_OF_STREAM)
    bodies = [place_buffers(sums[i], buffers[i]) if sums[i, ROWS] else 0 for i in range(partitions)]
    np.cumsum([head + body + tail if body else 0 for body in bodies], out=starts[1:])
    out = bytearray(int(starts[-1]))
    room = np.frombuffer(out, dtype=np.int64)
    touched = [(i, int(starts[i]), int(starts[i + 1])) for i in range(partitions) if bodies[i]]
    places = np.array([template.rows_word, template.body_word, template.nodes_word, template.buffers_word])
    for i, start, _stop in touched:
        out[start : start + head] = template.content
        write_head(room, start // 8, places, sums[i], buffers[i], bodies[i])
    fill(
        bytes_of(data), chunks, marks, cells, instants, hashes, homes, buffers, starts[:-1] + head,
        bytes_of(out), room.view(np.int32), room.view(np.uint64), np.zeros((partitions, 2), dtype=np.int64),
        find_columns(starts[:-1] + head, buffers),
    )  # fmt: skip
    for _i, _start, stop in touched:
        out[stop - tail : stop] = END_OF_STREAM
    view = memoryview(out)
    return [(i, bytes(view[start:stop])) for i, start, stop in touched]


def find_columns(heads: Integers, buffers: Integers) -> Integers:
    """For each message and column of texts: the next text's offset, where the bytes begin, and how many there are."""
    columns = np.zeros((len(heads), SUMS, 3), dtype=np.int64)
    columns[:, :, NEXT] = (heads[:, None] + buffers[:, TEXT_BUFFERS, 0]) // 4 + 1
    columns[:, :, BASE] = heads[:, None] + buffers[:, TEXT_BUFFERS + 1, 0]
    return columns


def join(sheets: list[Sheet]) -> tuple[bytearray, Integers, Spans, Spans, Integers, Words]:
    """All sheets' bytes and arrays, each one after the other, and the runs of events in them."""
    chunks = np.empty((len(sheets), CHUNK), dtype=np.int64)
    bases: dict[int, int] = {}
    places: dict[int, tuple[int, int]] = {}
    texts: list[bytearray] = []
    whole: list[Sheet] = []
    size = marks = cells = 0
    for row, sheet in enumerate(sheets):
        # Slices of one body share its bytes, and parts of one slice its arrays.
        base = bases.get(id(sheet.data))
        if base is None:
            base = bases[id(sheet.data)] = size
            texts.append(sheet.data)
            size += len(sheet.data)
        place = places.get(id(sheet.marks))
        if place is None:
            place = places[id(sheet.marks)] = (marks, cells)
            whole.append(sheet)
            marks, cells = marks + len(sheet.marks), cells + len(sheet.cells)
        first, cell_base = place
        chunks[row] = (
            base, first + sheet.start, len(sheet), base + sheet.merchant, sheet.merchant_size,
            sheet.received_us, cell_base,
        )  # fmt: skip
    data = texts[0] if len(texts) == 1 else bytearray().join(texts)
    if len(whole) == 1:
        return data, chunks, whole[0].marks, whole[0].cells, whole[0].instants, whole[0].hashes
    return (
        data,
        chunks,
        np.concatenate([sheet.marks for sheet in whole]),
        np.concatenate([sheet.cells for sheet in whole]),
        np.concatenate([sheet.instants for sheet in whole]),
        np.concatenate([sheet.hashes for sheet in whole]),
    )


@lean
def put_text(
    out: Bytes, offsets: Spans, columns: Integers, home: int, column: int, data: Bytes, start: int, size: int
) -> None:
    """One text into its column, behind the one before it."""
    row, place = U(home), U(column)
    used = columns[row, place, USED]
    put_exactly(out, columns[row, place, BASE] + used, data, start, size)
    used += size
    columns[row, place, USED] = used
    offsets[U(columns[row, place, NEXT])] = used
    columns[row, place, NEXT] += 1


@lean
def fill(
    data: Bytes,
    chunks: Integers,
    marks: Spans,
    cells: Spans,
    instants: Integers,
    hashes: Words,
    homes: Spans,
    buffers: Integers,
    heads: Integers,
    out: Bytes,
    offsets: Spans,
    words: Words,
    done: Integers,
    columns: Integers,
) -> None:
    """Write every event into its message. ``out``, ``offsets`` and ``words`` are the same room, all noughts before.

    ``done`` is how many events and properties each message has, none before; ``columns`` are from ``find_columns``.
    """
    for c in range(len(chunks)):
        base, first = int(chunks[c, DATA_BASE]), int(chunks[c, FIRST_MARK])
        for event in range(first, first + int(chunks[c, COUNT])):
            home = int(homes[event])
            head, row, used = int(heads[home]), int(done[home, ROWS]), int(done[home, PROPERTIES])
            place = ((head + buffers[home, KEY, 0]) >> 3) + 2 * row
            words[place] = swap(hashes[event, HASH_HIGH])
            words[place + 1] = swap(hashes[event, HASH_LOW])
            words[((head + buffers[home, HASH, 0]) >> 3) + row] = hashes[event, HASH_BODY]
            words[((head + buffers[home, OCCURRED, 0]) >> 3) + row] = np.uint64(instants[event])
            words[((head + buffers[home, RECEIVED_AT, 0]) >> 3) + row] = np.uint64(chunks[c, RECEIVED])
            merchant, size = int(chunks[c, MERCHANT]), int(chunks[c, MERCHANT_SIZE])
            put_text(out, offsets, columns, home, MERCHANTS, data, merchant, size)
            for i in range(4):
                mark = TEXT_MARKS[i]
                start, size = base + int(marks[event, mark]), int(marks[event, mark + 1])
                put_text(out, offsets, columns, home, IDS + i, data, start, size)
            cell = int(marks[event, FIRST_CELL]) + int(chunks[c, CELL_BASE])
            for i in range(cell, cell + int(marks[event, CELLS])):
                start, size = base + int(cells[i, NAME]), int(cells[i, NAME + 1])
                put_text(out, offsets, columns, home, NAMES, data, start, size)
                start, size = base + int(cells[i, VALUE]), int(cells[i, VALUE + 1])
                put_text(out, offsets, columns, home, VALUES, data, start, size)
                used += 1
            offsets[((head + buffers[home, MAP, 0]) >> 2) + row + 1] = used
            done[home, ROWS], done[home, PROPERTIES] = row + 1, used
