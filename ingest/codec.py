"""Envelopes to and from the bytes of a Kafka message."""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

import pyarrow as pa

from core.errors import BadEvent
from ingest.event import (
    ENVELOPE_SCHEMA,
    ENVELOPE_VERSION,
    HEADER_PRODUCER,
    HEADER_SEQUENCE,
    HEADER_VERSION,
    Envelope,
)

Headers = list[tuple[str, bytes]]


def encode_envelope(envelope: Envelope) -> tuple[bytes, Headers]:
    """Write an envelope as an Arrow IPC stream of one LZ4 record batch, with its headers."""
    sink = pa.BufferOutputStream()
    options = pa.ipc.IpcWriteOptions(compression="lz4")
    with pa.ipc.new_stream(sink, ENVELOPE_SCHEMA, options=options) as writer:
        writer.write_batch(envelope.events)
    headers = [
        (HEADER_VERSION, ENVELOPE_VERSION),
        (HEADER_PRODUCER, envelope.producer.bytes),
        (HEADER_SEQUENCE, envelope.sequence.to_bytes(8, "big")),
    ]
    return sink.getvalue().to_pybytes(), headers


def decode_envelope(value: bytes | None, headers: Iterable[tuple[str, bytes]]) -> Envelope:
    """Read an envelope back.

    Raises ``BadEvent`` with ``envelope_unreadable``, or ``envelope_version_unknown`` for a format that this
    release does not know. Nothing else escapes, whatever the bytes are.
    """
    named = dict(headers)
    version = named.get(HEADER_VERSION, b"")
    if version != ENVELOPE_VERSION:
        raise BadEvent("envelope_version_unknown", f"envelope version {version[:16]!r} is not {ENVELOPE_VERSION!r}")
    try:
        producer = UUID(bytes=named[HEADER_PRODUCER])
        sequence = int.from_bytes(named[HEADER_SEQUENCE], "big")
        with pa.ipc.open_stream(value or b"") as reader:
            events = reader.read_next_batch()
        if not events.schema.equals(ENVELOPE_SCHEMA):
            raise BadEvent("envelope_unreadable", "its columns are not those of version 1")
        events.validate(full=True)
    except (KeyError, ValueError, StopIteration, pa.ArrowException) as error:
        raise BadEvent("envelope_unreadable", f"{type(error).__name__}: {error}"[:300]) from error
    return Envelope(producer, sequence, events)
