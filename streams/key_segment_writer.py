"""Writes a segment in pieces, so that no block has to wait for a large one."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from core.errors import Stop
from streams.key_index import KeyRun
from streams.key_segment import (
    COLUMN_BYTES,
    KEYS_MAX,
    Covers,
    Header,
    KeySums,
    Segment,
    ShareCounts,
    column_offsets,
    map_segment,
)


class SegmentWriter:
    """A file in the making; it counts for nothing before ``finish``. All calls raise ``OSError`` as the disk does."""

    def __init__(self, path: Path, capacity: int) -> None:
        """Begin a new file with room for ``capacity`` keys; raises ``FileExistsError`` when it is there already.

        Raises ``Stop`` beyond KEYS_MAX, before anything is written.
        """
        if capacity > KEYS_MAX:
            raise Stop(f"{capacity} keys of one partition do not fit a file, which takes {KEYS_MAX}: more partitions")
        self.path = path
        self._capacity = capacity
        self._count = 0
        self._sums = KeySums()
        self._shares = ShareCounts(capacity)
        with path.open("xb") as file:
            # Room that no key takes stays a hole, which costs nothing on the disk.
            file.truncate(column_offsets(capacity)[-1])

    def append(self, run: KeyRun) -> None:
        """The next keys; their high words are not smaller than those before."""
        assert self._count + len(run) <= self._capacity, "a segment has the room that it was made with"
        descriptor = os.open(self.path, os.O_WRONLY)
        try:
            columns = (run.high, run.low, run.body, run.stored_s)
            for offset, width, values in zip(column_offsets(self._capacity)[:-1], COLUMN_BYTES, columns, strict=True):
                write_all(
                    descriptor, np.ascontiguousarray(values, f"<u{width}").data.cast("B"), offset + self._count * width
                )
        finally:
            os.close(descriptor)
        self._sums.add(run)
        self._shares.add(run.high)
        self._count += len(run)

    def finish(self, covers: Covers) -> Segment:
        """Write the header and map the file. It is on the disk for certain only after ``fsync``."""
        header = Header(covers, self._capacity, self._count, self._sums.digest())
        descriptor = os.open(self.path, os.O_WRONLY)
        try:
            write_all(descriptor, memoryview(header.as_bytes()), 0)
        finally:
            os.close(descriptor)
        with self.path.open("rb", buffering=0) as file:
            return map_segment(file, self.path, header, self._shares.starts())

    def give_up(self) -> None:
        """Remove what was written."""
        self.path.unlink(missing_ok=True)


def write_all(descriptor: int, data: memoryview, offset: int) -> None:
    """Write everything at an offset."""
    while data:
        written = os.pwrite(descriptor, data, offset)
        data, offset = data[written:], offset + written
