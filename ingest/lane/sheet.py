"""Accepted events of one request as spans of bytes, until they are written into messages."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from core.compiled import lean
from ingest.lane.digest import HASH_BODY, HASH_HIGH, HASH_LOW, HASHES, Integers, Words
from ingest.lane.read import CELL, CELLS, FIRST_CELL, ID, MARKS, NAME, SOURCE, SUBJECT, TIME, TYPE, VALUE, Spans
from ingest.lane.text import SLACK_BYTES, Bytes, byte_at, bytes_of, pad
from ingest.rows import Accepted, Rows


@dataclass(frozen=True, slots=True, eq=False)
class Sheet:
    """Events ``start`` to ``stop`` of what was found in ``data``; arrays hold one row an event, or one a property.

    ``data`` has slack behind it, and the merchant's id from ``merchant`` on.
    """

    data: bytearray
    merchant: int
    merchant_size: int
    received_us: int
    marks: Spans
    cells: Spans
    instants: Integers
    hashes: Words
    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start

    @property
    def keys(self) -> list[bytes]:
        """The events' keys."""
        both = np.empty((len(self), 2), dtype=">u8")
        both[:, 0] = self.hashes[self.start : self.stop, HASH_HIGH]
        both[:, 1] = self.hashes[self.start : self.stop, HASH_LOW]
        text = both.tobytes()
        return [text[at : at + 16] for at in range(0, len(text), 16)]

    def cut(self, start: int, stop: int) -> Self:
        """Some of the events."""
        return replace(self, start=start, stop=stop)


def sheet_of_rows(rows: Accepted) -> Sheet:
    """Events that the slow lane accepted."""
    assert isinstance(rows, Rows), "there are two forms"
    count = len(rows)
    merchant = rows.identities[0].partition(b"\0")[0]
    text = b"".join((*rows.identities, *rows.bodies))
    data = pad(text, merchant)
    ends = np.cumsum(np.fromiter(map(len, (*rows.identities, *rows.bodies)), np.int64, 2 * count))
    marks = np.zeros((count, MARKS), dtype=np.int32)
    cells = np.zeros((text.count(b"\0") // 2 + 1, CELL), dtype=np.int32)
    cut_texts(bytes_of(data), ends, marks, cells)
    hashes = np.zeros((count, HASHES), dtype=np.uint64)
    keys = np.frombuffer(b"".join(rows.keys), dtype=">u8").reshape(count, 2)
    hashes[:, HASH_HIGH], hashes[:, HASH_LOW] = keys[:, 0], keys[:, 1]
    hashes[:, HASH_BODY] = np.frombuffer(b"".join(rows.body_hashes), dtype=">u8")
    instants = np.array(rows.occurred_us, dtype=np.int64)
    place = len(text) + SLACK_BYTES
    return Sheet(data, place, len(merchant), rows.received_us, marks, cells, instants, hashes, 0, count)


@lean
def span_end(data: Bytes, at: int, end: int) -> int:
    """The next NUL, or the end."""
    while at < end and byte_at(data, at) != 0:
        at += 1
    return at


@lean
def cut_texts(data: Bytes, ends: Integers, marks: Spans, cells: Spans) -> None:
    """Find the parts of identities and bodies, which lie in ``data`` one after the other, as ``Rows`` has them."""
    count = len(marks)
    used = 0
    for event in range(count):
        mark = marks[event]
        at = 0 if event == 0 else int(ends[event - 1])
        at = span_end(data, at, int(ends[event])) + 1
        for field in (SOURCE, ID):
            stop = span_end(data, at, int(ends[event]))
            mark[field], mark[field + 1] = at, stop - at
            at = stop + 1
        at, end = int(ends[count + event - 1]), int(ends[count + event])
        nulls = 0
        for i in range(at, end):
            nulls += 1 if byte_at(data, i) == 0 else 0
        for field in (TYPE, SUBJECT, TIME):
            stop = span_end(data, at, end)
            mark[field], mark[field + 1] = at, stop - at
            at = stop + 1
        mark[FIRST_CELL], mark[CELLS] = used, (nulls - 2) // 2
        for part in (NAME, VALUE):
            for i in range(mark[CELLS]):
                stop = span_end(data, at, end)
                cells[used + i, part], cells[used + i, part + 1] = at, stop - at
                at = stop + 1
        used += mark[CELLS]
