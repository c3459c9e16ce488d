"""Events of many requests into finished messages, one for each partition: the bytes that Arrow would have written."""

from __future__ import annotations

import numpy as np

from core.compiled import compiled
from ingest.codec import END_OF_STREAM
from ingest.lane.digest import HASH_BODY, HASH_HIGH, HASH_LOW, Integers, put
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
    SOURCES,
    SUBJECTS,
    SUMS,
    TEXT_BUFFERS,
    TYPES,
    VALUES,
    measure,
    place_buffers,
    write_head,
)
from ingest.lane.read import CELLS, FIRST_CELL, ID, NAME, SOURCE, SUBJECT, TYPE, VALUE, Spans
from ingest.lane.sheet import Sheet
from ingest.lane.template import Template
from ingest.lane.text import Bytes
from ingest.lane.xxh3 import Words, swap


def write_messages(sheets: list[Sheet], partitions: int, template: Template) -> list[tuple[int, bytes]]:
    """The partitions that the sheets' events touch, and the stream of bytes for each; events stay in order."""
    data, chunks, marks, cells, instants, hashes = join(sheets)
    sums = np.zeros((partitions, SUMS), dtype=np.int64)
    homes = np.empty(len(marks), dtype=np.int32)
    measure(chunks, marks, cells, hashes, partitions, homes, sums)
    buffers = np.empty((partitions, BUFFERS, 2), dtype=np.int64)
    starts = np.zeros(partitions + 1, dtype=np.int64)
    head, tail = len(template.bytes), len(END_OF_STREAM)
    bodies = [place_buffers(sums[i], buffers[i]) if sums[i, ROWS] else 0 for i in range(partitions)]
    np.cumsum([head + body + tail if body else 0 for body in bodies], out=starts[1:])
    room = np.zeros(int(starts[-1]) // 8, dtype=np.int64)
    out = room.view(np.uint8)
    touched = [(i, int(starts[i]), int(starts[i + 1])) for i in range(partitions) if bodies[i]]
    places = np.array([template.rows_word, template.body_word, template.nodes_word, template.buffers_word])
    for i, start, stop in touched:
        out[start : start + head] = template.bytes
        write_head(room, start // 8, places, sums[i], buffers[i], bodies[i])
        out[stop - tail : stop] = np.frombuffer(END_OF_STREAM, dtype=np.uint8)
    heads = starts[:-1] + head
    words, offsets = room.view(np.uint64), room.view(np.int32)
    fill(data, chunks, marks, cells, instants, hashes, homes, buffers, heads, out, offsets, words)
    return [(i, out[start:stop].tobytes()) for i, start, stop in touched]


def join(sheets: list[Sheet]) -> tuple[Bytes, Integers, Spans, Spans, Integers, Words]:
    """All sheets' bytes and arrays, each one after the other, and the runs of events in them."""
    chunks = np.empty((len(sheets), CHUNK), dtype=np.int64)
    places: dict[int, tuple[int, int, int]] = {}
    whole: list[Sheet] = []
    texts: list[bytes] = []
    size = marks = cells = 0
    for row, sheet in enumerate(sheets):
        # Parts of one sheet share its arrays.
        place = places.get(id(sheet.marks))
        if place is None:
            place = places[id(sheet.marks)] = (size, marks, cells)
            whole.append(sheet)
            texts += (sheet.data, sheet.merchant)
            size, marks, cells = (
                size + len(sheet.data) + len(sheet.merchant),
                marks + len(sheet.marks),
                cells + len(sheet.cells),
            )
        base, first, cell_base = place
        merchant = base + len(sheet.data)
        chunks[row] = (
            base, first + sheet.start, len(sheet), merchant, len(sheet.merchant), sheet.received_us, cell_base
        )  # fmt: skip
    data = np.frombuffer(b"".join(texts), dtype=np.uint8)
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


@compiled
def put_text(
    out: Bytes, offsets: Spans, base: int, buffers: Integers, column: int, row: int, data: Bytes, start: int, size: int
) -> None:
    """One text into its column, behind the one before it."""
    place = (base + buffers[TEXT_BUFFERS[column], 0]) >> 2
    at = int(offsets[place + row])
    put(out, base + buffers[TEXT_BUFFERS[column] + 1, 0] + at, data, start, size)
    offsets[place + row + 1] = at + size


@compiled
def fill(
    data: Bytes,
    chunks: Integers,
    marks: Spans,
    cells: Spans,
    instants: Integers,
    hashes: Words,
    homes: Spans,
    all_buffers: Integers,
    heads: Integers,
    out: Bytes,
    offsets: Spans,
    words: Words,
) -> None:
    """Write every event into its message. ``out``, ``offsets`` and ``words`` are the same room, all noughts before."""
    done = np.zeros((len(heads), 2), dtype=np.int64)
    for c in range(len(chunks)):
        chunk = chunks[c]
        base = int(chunk[DATA_BASE])
        first = int(chunk[FIRST_MARK])
        for event in range(first, first + int(chunk[COUNT])):
            home, mark = int(homes[event]), marks[event]
            head, buffers, row = int(heads[home]), all_buffers[home], int(done[home, ROWS])
            place = (head + buffers[KEY, 0]) >> 3
            words[place + 2 * row] = swap(hashes[event, HASH_HIGH])
            words[place + 2 * row + 1] = swap(hashes[event, HASH_LOW])
            words[((head + buffers[HASH, 0]) >> 3) + row] = hashes[event, HASH_BODY]
            words[((head + buffers[OCCURRED, 0]) >> 3) + row] = np.uint64(instants[event])
            words[((head + buffers[RECEIVED_AT, 0]) >> 3) + row] = np.uint64(chunk[RECEIVED])
            put_text(out, offsets, head, buffers, MERCHANTS, row, data, chunk[MERCHANT], chunk[MERCHANT_SIZE])
            put_text(out, offsets, head, buffers, IDS, row, data, base + mark[ID], mark[ID + 1])
            put_text(out, offsets, head, buffers, SOURCES, row, data, base + mark[SOURCE], mark[SOURCE + 1])
            put_text(out, offsets, head, buffers, TYPES, row, data, base + mark[TYPE], mark[TYPE + 1])
            put_text(out, offsets, head, buffers, SUBJECTS, row, data, base + mark[SUBJECT], mark[SUBJECT + 1])
            start = int(mark[FIRST_CELL]) + int(chunk[CELL_BASE])
            used = int(done[home, PROPERTIES])
            for i in range(int(mark[CELLS])):
                cell = cells[start + i]
                put_text(out, offsets, head, buffers, NAMES, used + i, data, base + cell[NAME], cell[NAME + 1])
                put_text(out, offsets, head, buffers, VALUES, used + i, data, base + cell[VALUE], cell[VALUE + 1])
            offsets[((head + buffers[MAP, 0]) >> 2) + row + 1] = used + int(mark[CELLS])
            done[home, ROWS] = row + 1
            done[home, PROPERTIES] = used + int(mark[CELLS])
