"""Envelopes to and from the bytes of a Kafka message."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final
from uuid import UUID

import pyarrow as pa

from core.errors import BadEvent
from ingest.event import (
    CORRECTION_SCHEMA,
    ENVELOPE_SCHEMA,
    ENVELOPE_VERSION,
    FILL_SCHEMA,
    HEADER_PRODUCER,
    HEADER_SEQUENCE,
    HEADER_VERSION,
    PACKED_VERSION,
    Envelope,
)
from ingest.packed import MARK, pack, unpack

# Of columns. Packing costs some 50 microseconds whatever it packs, which is what the log takes for 6 KB.
PACK_FROM_BYTES = 32 * 1024
# A message's kind shows in the number of its columns.
SCHEMAS = {len(schema): schema for schema in (ENVELOPE_SCHEMA, CORRECTION_SCHEMA, FILL_SCHEMA)}
SCHEMA_MESSAGES = {columns: schema.serialize().to_pybytes() for columns, schema in SCHEMAS.items()}
END_OF_STREAM = b"\xff\xff\xff\xff\x00\x00\x00\x00"
EVENTS_SCHEMA_MESSAGE = SCHEMA_MESSAGES[len(ENVELOPE_SCHEMA)]

# Below this a message is hardly ever packed, and read without asking.
SMALL_BYTES = 24 * 1024
# Threads for each column of a message cost three times what unpacking does.
READ_OPTIONS = pa.ipc.IpcReadOptions(use_threads=False)

# The highest bit of a sequence is never set.
SEQUENCE_BYTES, SIGN = 8, 0x80

Headers = list[tuple[str, bytes]]


def encode_envelope(envelope: Envelope) -> tuple[bytes, Headers]:
    """Write an envelope, packed or as an Arrow IPC stream of one record batch, with its headers."""
    value = write_events(envelope.events)
    return value, envelope_headers(envelope.producer.bytes, envelope.sequence, value)


def write_events(events: pa.RecordBatch) -> bytes:
    """The bytes of one batch of one of the three schemas: many events packed, all else as an Arrow IPC stream."""
    if events.nbytes < PACK_FROM_BYTES:
        # What a stream writer would give, byte by byte, without setting one up for each small message.
        return b"".join((SCHEMA_MESSAGES[events.num_columns], events.serialize(), END_OF_STREAM))
    packed = pack(events) if events.num_columns == len(ENVELOPE_SCHEMA) else None
    return write_stream(events) if packed is None else packed


def write_stream(events: pa.RecordBatch) -> bytes:
    """The bytes of an Arrow IPC stream in LZ4."""
    sink = pa.BufferOutputStream()
    # A pool of threads costs more than it gains at this size, and the cores are busy.
    options = pa.ipc.IpcWriteOptions(compression="lz4", use_threads=False)
    with pa.ipc.new_stream(sink, SCHEMAS[events.num_columns], options=options) as writer:
        writer.write_batch(events)
    packed: bytes = sink.getvalue().to_pybytes()
    return packed


def envelope_headers(producer: bytes, sequence: int, value: bytes) -> Headers:
    """The headers of an envelope; a journal that keeps producer and sequence can make them again."""
    return [
        (HEADER_VERSION, PACKED_VERSION if value.startswith(MARK) else ENVELOPE_VERSION),
        (HEADER_PRODUCER, producer),
        (HEADER_SEQUENCE, sequence.to_bytes(SEQUENCE_BYTES, "big")),
    ]


def decode_envelope(value: bytes | None, headers: Iterable[tuple[str, bytes]], *, full: bool = True) -> Envelope:
    """Read an envelope back. What is not checked in ``full`` may be put together with others, and checked then.

    Raises ``BadEvent`` with ``envelope_unreadable``, or ``envelope_version_unknown`` for a format that this
    release does not know. Nothing else escapes, whatever the bytes are.
    """
    # A header may have no value, whatever clients' types say.
    named = {name: value or b"" for name, value in headers}
    version = named.get(HEADER_VERSION, b"")
    if version not in READ:
        raise BadEvent("envelope_version_unknown", f"envelope version {version[:16]!r} is none of {[*READ]}")
    try:
        producer = UUID(bytes=named[HEADER_PRODUCER])
        sequence = read_sequence(named[HEADER_SEQUENCE])
        events = READ[version](value or b"")
        events.validate(full=full)
    except (KeyError, ValueError, OSError, StopIteration, pa.ArrowException) as error:
        raise BadEvent("envelope_unreadable", f"{type(error).__name__}: {error}"[:300]) from error
    return Envelope(producer, sequence, events)


def read_sequence(written: bytes) -> int:
    """A sequence, which the ledger keeps as a signed number; raises ``ValueError`` for any other."""
    if len(written) != SEQUENCE_BYTES or written[0] >= SIGN:
        raise ValueError(f"{written[:16]!r} is no sequence")
    return int.from_bytes(written, "big")


def read_stream(value: bytes) -> pa.RecordBatch:
    """The one batch of an Arrow IPC stream; raises ``BadEvent`` for other columns than ours, and as Arrow does."""
    if len(value) < SMALL_BYTES and value.startswith(EVENTS_SCHEMA_MESSAGE):
        # Half of what reading a small stream costs is its schema.
        return pa.ipc.read_record_batch(pa.py_buffer(value)[len(EVENTS_SCHEMA_MESSAGE) :], ENVELOPE_SCHEMA)
    with pa.ipc.open_stream(value, options=READ_OPTIONS) as reader:
        events = reader.read_next_batch()
    if not events.schema.equals(SCHEMAS.get(events.num_columns, ENVELOPE_SCHEMA)):
        raise BadEvent("envelope_unreadable", "its columns are not those of version 1")
    return events


# How to read the message of each version.
READ: Final = {ENVELOPE_VERSION: read_stream, PACKED_VERSION: unpack}
