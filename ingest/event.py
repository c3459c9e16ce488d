"""The hand-off between the gateway and the stream: an envelope of accepted events, in columns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal
from uuid import UUID

import pyarrow as pa
import xxhash

ENVELOPE_VERSION = b"1"
# Of messages in the form of ``ingest.packed``; those before 2 are Arrow IPC streams, and stay so while they are small.
PACKED_VERSION = b"2"
HEADER_VERSION = "millrace-envelope"
HEADER_PRODUCER = "millrace-producer"
HEADER_SEQUENCE = "millrace-sequence"

INSTANT = pa.timestamp("us", tz="UTC")

ENVELOPE_SCHEMA = pa.schema(
    [
        # Who the event is: 128 bits over merchant, source and id. No timestamp, or a retry with a new one would double.
        pa.field("key", pa.binary(16), nullable=False),
        # What it says: a copy under the same key with another body is a conflict, and must be seen.
        pa.field("body_hash", pa.uint64(), nullable=False),
        pa.field("merchant_id", pa.string(), nullable=False),
        pa.field("event_id", pa.string(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("type", pa.string(), nullable=False),
        pa.field("subject", pa.string(), nullable=False),
        pa.field("occurred_at", INSTANT, nullable=False),
        pa.field("received_at", INSTANT, nullable=False),
        # Scalars as the text that the sender wrote; nested objects with dotted names; arrays as JSON.
        pa.field("properties", pa.map_(pa.string(), pa.string()), nullable=False),
    ]
)

# What a correction does with the event of its key, numbered from 1: take it back, put another content in its place,
# count a held one at last, or hold it for a backfill until that is closed.
CORRECTIONS = ("retract", "amend", "release", "backfill")
RETRACT, AMEND, RELEASE, BACKFILL = 1, 2, 3, 4

# Corrections travel in messages of their own: the columns of events, and what is to be done. A retraction names its
# event and leaves the columns of content empty.
CORRECTION_SCHEMA = pa.schema(
    [
        *ENVELOPE_SCHEMA,
        pa.field("action", pa.int8(), nullable=False),
        pa.field("correction_id", pa.string(), nullable=False),
    ]
)
# A message that asks for a meter to count the partition's earlier events anew: one row, the meter's id in ``subject``,
# the span in ``properties`` as ``from`` and ``to`` (ISO 8601, whole minutes, half-open).
FILL_TYPE = "millrace.fill"
FILL_SCHEMA = pa.schema([*ENVELOPE_SCHEMA, pa.field("fill_id", pa.string(), nullable=False)])

Kind = Literal["events", "corrections", "fill"]
# Told by the number of columns, which costs nothing: the hot path asks for every message.
KINDS: dict[int, Kind] = {
    len(ENVELOPE_SCHEMA): "events",
    len(CORRECTION_SCHEMA): "corrections",
    len(FILL_SCHEMA): "fill",
}
assert len(KINDS) == 3, "each kind of message has its own number of columns"


@dataclass(frozen=True, slots=True)
class Envelope:
    """Events, corrections or a fill in one Kafka message: ``events`` has one of the three schemas.

    ``producer`` and ``sequence`` tell a re-delivery from a client's repeat.
    """

    producer: UUID
    sequence: int
    events: pa.RecordBatch

    @property
    def kind(self) -> Kind:
        """Which of the three this is."""
        return KINDS[self.events.num_columns]


def event_key(merchant_id: str, source: str, event_id: str) -> bytes:
    """The 128-bit identity of an event (XXH3-128, big endian) by which copies are found.

    xxh3 is no cryptographic hash: whoever can choose ids could make two of their own collide. The merchant is
    part of what is hashed, so that nobody can reach another merchant's events.
    """
    return xxhash.xxh3_128_digest(f"{merchant_id}\0{source}\0{event_id}".encode())


def body_hash(type_: str, subject: str, time_text: str, properties: dict[str, str]) -> int:
    """The 64-bit digest of what an event says (XXH3-64); ``time_text`` is empty when the sender gave no time.

    The order of properties does not count, and neither does a time that we set: two tries of one request are equal.
    """
    names = sorted(properties)
    parts = [type_, subject, time_text, *names, *(properties[name] for name in names)]
    return xxhash.xxh3_64_intdigest("\0".join(parts).encode())


def partition_of(key: bytes, partitions: int) -> int:
    """The partition of a key: by identity, so that copies always meet and a busy customer heats none."""
    return int.from_bytes(key[:8], "big") % partitions
