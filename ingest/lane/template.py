"""The head of an Arrow message of our schema, in which only numbers differ from one message to the next.

Offsets follow Arrow's ``Message.fbs``; a FlatBuffer's table begins with the way back to the list of its fields.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

import pyarrow as pa

from ingest.codec import SCHEMA_MESSAGES
from ingest.event import ENVELOPE_SCHEMA

# Continuation mark and length, before each FlatBuffer.
FRONT_BYTES = 8
HEADER, BODY_LENGTH = 2, 3
LENGTH, NODES, BUFFERS = 0, 1, 2


@dataclass(frozen=True, slots=True)
class Template:
    """Schema and head of a batch; places count words of eight bytes."""

    content: bytes
    rows_word: int
    body_word: int
    nodes_word: int
    buffers_word: int


def make_template() -> Template:
    """Take a message that Arrow wrote, and find the numbers in it."""
    row = pa.RecordBatch.from_pylist(
        [{name: EXAMPLE.get(name, "") for name in ENVELOPE_SCHEMA.names}], schema=ENVELOPE_SCHEMA
    )
    schema = SCHEMA_MESSAGES[len(ENVELOPE_SCHEMA)]
    message = row.serialize().to_pybytes()
    head = message[: FRONT_BYTES + int.from_bytes(message[4:8], "little")]
    start = len(schema) + FRONT_BYTES
    table = head[FRONT_BYTES:]
    message_at = struct.unpack_from("<I", table, 0)[0]
    batch_at = follow(table, field_at(table, message_at, HEADER))
    words = [
        field_at(table, batch_at, LENGTH),
        field_at(table, message_at, BODY_LENGTH),
        follow(table, field_at(table, batch_at, NODES)) + 4,
        follow(table, field_at(table, batch_at, BUFFERS)) + 4,
    ]
    assert all((start + place) % 8 == 0 for place in words), "Arrow aligns what has eight bytes"
    return Template(schema + head, *((start + place) // 8 for place in words))


EXAMPLE = {"key": bytes(16), "body_hash": 0, "occurred_at": 0, "received_at": 0, "properties": [("", "")]}


def field_at(table: bytes, at: int, number: int) -> int:
    """Where a field of the table at ``at`` lies."""
    fields = at - struct.unpack_from("<i", table, at)[0]
    offset: int = struct.unpack_from("<H", table, fields + 4 + 2 * number)[0]
    assert offset, "the field is there"
    return at + offset


def follow(table: bytes, at: int) -> int:
    """Where an offset leads."""
    offset: int = struct.unpack_from("<I", table, at)[0]
    return at + offset
