"""The journal's files: records with length and checksum, readable up to wherever a crash cut them off."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import xxhash

MAGIC = b"MRJ1"
# Magic, length of the value, checksum, then what the checksum covers: producer, partition, sequence and the value.
FRONT = struct.Struct("<4sIQ")
BACK = struct.Struct("<16sIQ")
HEAD_BYTES = FRONT.size + BACK.size


@dataclass(slots=True, eq=False)
class Entry:
    """One envelope in the journal. ``topic_id`` is the log's incarnation that confirmed it; empty when none did."""

    producer: bytes
    partition: int
    sequence: int
    position: int = -1
    size: int = 0
    topic_id: str = ""
    in_flight: bool = False


@dataclass(slots=True, eq=False)
class Segment:
    """One file, and those of its entries that are not known to be sealed."""

    path: Path
    size: int = 0
    entries: list[Entry] = field(default_factory=list)
    closed: bool = False


def pack_record(entry: Entry, value: bytes) -> bytes:
    """A record's bytes."""
    back = BACK.pack(entry.producer, entry.partition, entry.sequence)
    return FRONT.pack(MAGIC, len(value), xxhash.xxh3_64_intdigest(back + value)) + back + value


def read_segment(path: Path) -> Segment:
    """Read a file's entries; what follows the first torn or damaged record was never answered for."""
    segment = Segment(path, closed=True)
    with path.open("rb") as file:
        data = memoryview(file.read())
    segment.size = len(data)
    segment.entries = list(scan(data))
    return segment


def scan(data: memoryview) -> Iterator[Entry]:
    """The whole records from the start of ``data``."""
    position = 0
    while position + HEAD_BYTES <= len(data):
        magic, size, checksum = FRONT.unpack_from(data, position)
        end = position + HEAD_BYTES + size
        if magic != MAGIC or end > len(data):
            return
        if xxhash.xxh3_64_intdigest(data[position + FRONT.size : end]) != checksum:
            return
        producer, partition, sequence = BACK.unpack_from(data, position + FRONT.size)
        yield Entry(producer, partition, sequence, position, size)
        position = end


def read_values(path: Path, entries: list[Entry]) -> list[bytes]:
    """The values of some of a file's entries."""
    values = []
    with path.open("rb") as file:
        for entry in entries:
            file.seek(entry.position + HEAD_BYTES)
            values.append(file.read(entry.size))
    return values
