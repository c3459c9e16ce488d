"""Events packed for the log: how long each text is in place of where it begins, and everything that repeats in LZ4.

    head      the fields of HEAD
    keys      16 bytes an event
    hashes    8 bytes an event
    checksum  XXH3-64 of all else as it is before LZ4
    LZ4       one block: the lower and the upper halves of both instants, how many properties each event has, the
              lengths of all texts column by column, and their bytes in the same order

Arrow says where each text begins, which differs from row to row and packs badly; lengths are often the same. Messages
of events take half the bytes so (decision 0024), by which the log, a journal and the network are paid.
"""

from __future__ import annotations

from collections.abc import Iterator
from struct import Struct, error
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import xxhash

from core.errors import BadEvent
from core.limits import ENVELOPE_EVENTS_MAX
from ingest.event import ENVELOPE_SCHEMA

MARK: Final = b"MRE2"
# The mark, events, properties, bytes of texts, and how many bytes a count of properties and a length take. Padded, so
# that hashes lie where numbers of 8 bytes may.
HEAD: Final = Struct("<4s3I2B6x")
SUM: Final = Struct("<Q")
# Of what is in LZ4, as long as it is unpacked.
UNPACKED_BYTES_MAX: Final = 64 * 1024 * 1024
KEY_BYTES, HASH_BYTES, INSTANT_BYTES = 16, 8, 8
# Columns of texts with one an event; names and values of properties follow.
TEXTS: Final = 5
LENGTHS: Final[dict[int, np.dtype[Any]]] = {1: np.dtype("<u1"), 2: np.dtype("<u2"), 4: np.dtype("<u4")}
KINDS: Final = ENVELOPE_SCHEMA.types
LZ4: Final[Any] = pa.Codec("lz4_raw")

Numbers = npt.NDArray[Any]


def pack(events: pa.RecordBatch) -> bytes | None:
    """The packed form of events (ENVELOPE_SCHEMA); None where it cannot hold them: a null, or too many bytes."""
    key, body_hash, *columns, occurred_at, received_at, properties = events.columns
    bounds = np.asarray(properties.offsets)
    first, count = int(bounds[0]), int(bounds[-1] - bounds[0])
    columns += (properties.keys.slice(first, count), properties.items.slice(first, count))
    if any(column.null_count for column in (*events.columns, *columns)):
        return None
    whole = np.empty(sum(map(len, columns)), np.int32)
    texts = list(measured(columns, whole))
    counts, lengths = narrowed(np.diff(bounds)), narrowed(whole)
    numbers = [*halves(occurred_at), *halves(received_at), counts, lengths]
    content = b"".join([*(one.data for one in numbers), *texts])
    if len(content) > UNPACKED_BYTES_MAX:
        return None
    head = HEAD.pack(MARK, len(events), count, sum(map(len, texts)), counts.itemsize, lengths.itemsize)
    plain = (head, fixed(key, KEY_BYTES), fixed(body_hash, HASH_BYTES))
    return b"".join((*plain, SUM.pack(checksum(*plain, content)), LZ4.compress(content)))


def measured(columns: list[pa.Array], lengths: Numbers) -> Iterator[memoryview]:
    """The bytes of each column of texts; how long its texts are goes into ``lengths``, behind those before it."""
    at = 0
    for column in columns:
        if not len(column):
            continue
        _, places, content = column.buffers()
        bounds = np.frombuffer(places, np.int32, len(column) + 1, 4 * column.offset)
        np.subtract(bounds[1:], bounds[:-1], out=lengths[at : at + len(column)])
        at += len(column)
        if content is not None:
            yield memoryview(content)[bounds[0] : bounds[-1]]


def narrowed(numbers: Numbers) -> Numbers:
    """Numbers in as few bytes as the largest needs."""
    most = int(numbers.max(initial=0))
    return numbers.astype(LENGTHS[1 if most < 1 << 8 else 2 if most < 1 << 16 else 4])


def halves(instants: pa.Array) -> tuple[Numbers, Numbers]:
    """The lower halves of instants, which differ, and the upper ones, which hardly do."""
    pairs = np.frombuffer(fixed(instants, INSTANT_BYTES), np.uint32).reshape(-1, 2)
    return np.ascontiguousarray(pairs[:, 0]), np.ascontiguousarray(pairs[:, 1])


def fixed(column: pa.Array, width: int) -> memoryview:
    """The bytes of a column whose values have so many each."""
    start = width * column.offset
    return memoryview(column.buffers()[1])[start : start + width * len(column)]


def checksum(*parts: bytes | memoryview | pa.Buffer) -> int:
    """XXH3-64 of all parts."""
    digest = xxhash.xxh3_64()
    for part in parts:
        digest.update(part)
    return digest.intdigest()


def unpack(value: bytes) -> pa.RecordBatch:
    """The events of a packed message.

    Raises ``BadEvent`` with ``envelope_unreadable``, and ``OSError`` where LZ4 does. Whether texts are UTF-8 is for
    ``validate(full=True)`` to find out.
    """
    rows, properties, size, widths = read_head(value)
    texts = TEXTS * rows + 2 * properties
    counts_at = 2 * INSTANT_BYTES * rows
    lengths_at = counts_at + widths[0] * rows
    texts_at = lengths_at + widths[1] * texts
    keys_end = HEAD.size + KEY_BYTES * rows
    hashes_end = keys_end + HASH_BYTES * rows
    if texts_at + size > UNPACKED_BYTES_MAX or hashes_end + SUM.size >= len(value):
        raise damaged("its head says what is not there")
    whole = pa.py_buffer(value)
    content = LZ4.decompress(whole[hashes_end + SUM.size :], decompressed_size=texts_at + size)
    # Also finds what is shorter than its head says, which LZ4 keeps to itself.
    if SUM.unpack_from(value, hashes_end)[0] != checksum(whole[:hashes_end], content):
        raise damaged("its checksum is another")
    places = bounds_of(np.frombuffer(content, LENGTHS[widths[0]], rows, counts_at), properties)
    bounds = bounds_of(np.frombuffer(content, LENGTHS[widths[1]], texts, lengths_at), size)
    columns = columns_of(bounds, content[texts_at:], rows, properties)
    arrays = [
        pa.Array.from_buffers(KINDS[0], rows, [None, whole[HEAD.size : keys_end]]),
        pa.Array.from_buffers(KINDS[1], rows, [None, whole[keys_end:hashes_end]]),
        *columns[:TEXTS],
        *instants_of(content, rows),
        pa.MapArray.from_arrays(pa.Array.from_buffers(pa.int32(), rows + 1, [None, places]), *columns[TEXTS:]),
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=ENVELOPE_SCHEMA)


def read_head(value: bytes) -> tuple[int, int, int, tuple[int, int]]:
    """Events, properties, bytes of texts, and the widths of counts and lengths; raises ``BadEvent``."""
    try:
        mark, rows, properties, size, *widths = HEAD.unpack_from(value)
    except error as short:
        raise damaged(str(short)) from short
    if mark != MARK or rows > ENVELOPE_EVENTS_MAX or any(width not in LENGTHS for width in widths):
        raise damaged("its head is none")
    return rows, properties, size, (widths[0], widths[1])


def bounds_of(lengths: Numbers, whole: int) -> pa.Buffer:
    """Where each of so many lengths begins, and the last one ends; raises ``BadEvent`` unless that is ``whole``."""
    if int(lengths.sum(dtype=np.int64)) != whole:
        raise damaged("its lengths are not those of what it holds")
    bounds = np.zeros(len(lengths) + 1, np.int32)
    np.cumsum(lengths, dtype=np.int32, out=bounds[1:])
    return pa.py_buffer(bounds)


def columns_of(bounds: pa.Buffer, content: pa.Buffer, rows: int, properties: int) -> list[pa.Array]:
    """The columns of texts, all of which share their bounds and bytes."""
    columns, at = [], 0
    for count in (*[rows] * TEXTS, properties, properties):
        columns.append(pa.StringArray.from_buffers(count, bounds, content, null_count=0, offset=at))
        at += count
    return columns


def instants_of(content: pa.Buffer, rows: int) -> Iterator[pa.Array]:
    """Both columns of instants, put together from their halves."""
    quarters = np.frombuffer(content, np.uint32, 4 * rows).reshape(2, 2, rows)
    for low_and_high, kind in zip(quarters, KINDS[-3:-1], strict=True):
        yield pa.Array.from_buffers(kind, rows, [None, pa.py_buffer(np.ascontiguousarray(low_and_high.T))])


def damaged(why: str) -> BadEvent:
    """Why a message cannot be unpacked."""
    return BadEvent("envelope_unreadable", f"a packed message is damaged: {why}")
