"""A segment: a sorted run of keys in a file of its own, mapped into memory.

    header    what the file is, how many keys it holds, which blocks they are from, a sum over the keys and over itself
    high      the columns of a run, one after the other; with room for ``capacity`` keys each, so that the file can be
    low       written in pieces before it is known how many keys are left out for their age
    body
    stored_s

The sum is checked when a file is opened and while it is merged. Files are read, not mapped, for the check: a bad disk
then is an error that can be handled.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from io import FileIO
from pathlib import Path

import numpy as np
import xxhash

from streams.key_filter import U64, spread
from streams.key_index import U32, KeyRun

MAGIC = b"MILLKEYS"
VERSION = 1
PAGE_BYTES = 4096
# magic, version, partition, topic, capacity, count, covers from and until (incarnation, offset), sum of the keys
HEADER = struct.Struct("<8sII Q QQ QQQQ 16s")
SUM_BYTES = 16
COLUMN_BYTES = (8, 8, 8, 4)
KEYS_PER_SHARE = 16
KEYS_AT_ONCE = 1 << 18
# Where a share begins is kept in 32 bits.
KEYS_MAX = (1 << 32) - 1


class BadFile(Exception):
    """A file of the index is not what it should be. Files are a cache: drop them and read the keys anew."""


# (incarnation, offset): everything before that offset of that life of the log, and all lives before.
Point = tuple[int, int]
LOG_START: Point = (0, 0)


@dataclass(frozen=True, slots=True)
class Covers:
    """Whose keys a file holds: topic, partition, and the sealed blocks from one point until another."""

    topic: str
    partition: int
    since: Point
    until: Point


@dataclass(frozen=True, slots=True, eq=False)
class Segment:
    """An open file. The run's arrays lie in the map, which lives as long as they do."""

    path: Path
    covers: Covers
    run: KeyRun
    digest: bytes
    mapped: mmap.mmap

    def let_go(self) -> None:
        """Give the mapped pages back; they come again as they are asked for, mostly from the page cache."""
        self.mapped.madvise(mmap.MADV_DONTNEED)


class KeySums:
    """Adds up a run that passes by in pieces."""

    def __init__(self) -> None:
        self._columns = [xxhash.xxh3_128() for _ in COLUMN_BYTES]

    def add(self, run: KeyRun) -> None:
        """The next piece."""
        for column, values in zip(self._columns, (run.high, run.low, run.body, run.stored_s), strict=True):
            column.update(np.ascontiguousarray(values).data)

    def digest(self) -> bytes:
        """The sum of all pieces so far."""
        return xxhash.xxh3_128_digest(b"".join(column.digest() for column in self._columns))


class ShareCounts:
    """Counts how many keys lie in each of equal shares of the high words, piece by piece; KEYS_MAX at most."""

    def __init__(self, capacity: int) -> None:
        self._counts = np.zeros(max(1, capacity // KEYS_PER_SHARE), dtype=np.uint32)

    def add(self, high: U64) -> None:
        """The next sorted piece."""
        if len(high):
            shares = spread(high, len(self._counts))
            tally = np.bincount(shares - shares[0])
            self._counts[shares[0] : shares[0] + len(tally)] += tally.astype(np.uint32)

    def starts(self) -> U32:
        """Where each share begins, and the end of the last one."""
        starts = np.zeros(len(self._counts) + 1, dtype=np.uint32)
        np.cumsum(self._counts, out=starts[1:])
        return starts


def column_offsets(capacity: int) -> list[int]:
    """Where each column begins in the file, and where the last one ends."""
    offsets = [PAGE_BYTES]
    for width in COLUMN_BYTES:
        pages = -(-capacity * width // PAGE_BYTES)
        offsets.append(offsets[-1] + pages * PAGE_BYTES)
    return offsets


@dataclass(frozen=True, slots=True)
class Header:
    """What a file says of itself: whose keys, room for how many, how many there are, and the sum over them."""

    covers: Covers
    capacity: int
    count: int
    digest: bytes

    def as_bytes(self) -> bytes:
        """The first bytes of the file."""
        covers = self.covers
        topic = xxhash.xxh3_64_intdigest(covers.topic.encode())
        places = (*covers.since, *covers.until)
        said = HEADER.pack(MAGIC, VERSION, covers.partition, topic, self.capacity, self.count, *places, self.digest)
        return said + xxhash.xxh3_128_digest(said)


def open_segment(path: Path, covers: Covers, digest: bytes) -> Segment:
    """Open a file and check all of it.

    Raises ``BadFile`` when it is not the very file that is meant, and ``OSError`` when it cannot be read.
    """
    with path.open("rb", buffering=0) as file:
        head = file.read(HEADER.size + SUM_BYTES)
        if len(head) < HEADER.size + SUM_BYTES or xxhash.xxh3_128_digest(head[: HEADER.size]) != head[HEADER.size :]:
            raise BadFile(f"{path.name} has no sound header")
        _, _, _, _, capacity, count, *_ = HEADER.unpack(head[: HEADER.size])
        header = Header(covers, capacity, count, digest)
        if head != header.as_bytes():
            raise BadFile(f"{path.name} is another file than the one meant")
        if path.stat().st_size != column_offsets(capacity)[-1] or not count <= capacity <= KEYS_MAX:
            raise BadFile(f"{path.name} has not the length that it should have")
        sums, shares = KeySums(), ShareCounts(capacity)
        for piece in pieces(file, header):
            sums.add(piece)
            shares.add(piece.high)
        if sums.digest() != digest:
            raise BadFile(f"{path.name} is damaged")
        return map_segment(file, path, header, shares.starts())


def pieces(file: FileIO, header: Header) -> Iterator[KeyRun]:
    """A file's keys, read a piece at a time."""
    for start in range(0, header.count, KEYS_AT_ONCE):
        length = min(KEYS_AT_ONCE, header.count - start)
        columns = []
        for offset, width in zip(column_offsets(header.capacity)[:-1], COLUMN_BYTES, strict=True):
            buffer = bytearray(length * width)
            file.seek(offset + start * width)
            if file.readinto(buffer) != len(buffer):
                raise BadFile(f"{file.name} ends too early")
            columns.append(buffer)
        high, low, body = (np.frombuffer(column, dtype="<u8") for column in columns[:3])
        yield KeyRun(high, low, body, np.frombuffer(columns[3], dtype="<u4"))


def map_segment(file: FileIO, path: Path, header: Header, starts: U32) -> Segment:
    """A whole and checked file, mapped."""
    mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    # Keys are looked up here and there: what lies around them is not needed.
    mapped.madvise(mmap.MADV_RANDOM)
    offsets = column_offsets(header.capacity)[:-1]
    high, low, body = (np.frombuffer(mapped, "<u8", header.count, offset) for offset in offsets[:3])
    run = KeyRun(high, low, body, np.frombuffer(mapped, "<u4", header.count, offsets[3]), starts)
    return Segment(path, header.covers, run, header.digest, mapped)
