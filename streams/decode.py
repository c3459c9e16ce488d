"""Kafka messages to the events of a block: one table, unreadable messages set aside, second deliveries left out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

import numpy as np
import pyarrow as pa

from core.errors import BadEvent, Stop
from core.limits import DEAD_LETTER_RUN_MAX, ENVELOPE_EVENTS_MAX
from ingest.codec import Headers, decode_envelope
from ingest.correction import check_corrections, read_fill
from ingest.event import ENVELOPE_SCHEMA, Envelope
from streams.arrow import instants_of, one_chunk
from streams.rows import DELIVERED_COLUMNS
from streams.sequences import SealedSequences

# What ClickHouse's DateTime64 can say: 1900 to 2299.
TIME_FROM_US = -2_208_988_800_000_000
TIME_END_US = 10_413_792_000_000_000


@dataclass(frozen=True, slots=True)
class Readable:
    """A message that holds an envelope."""

    offset: int
    envelope: Envelope
    # As it came: what turns out to be unreadable in its block is kept.
    raw: bytes = b""

    @property
    def rows(self) -> int:
        """How many events or corrections it brings; a fill brings none."""
        return 0 if self.envelope.kind == "fill" else int(self.envelope.events.num_rows)

    @property
    def alone(self) -> bool:
        """Whether it makes a block of its own."""
        return self.envelope.kind != "events"


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A message that holds something else; ``raw`` is kept as it came."""

    offset: int
    code: str
    message: str
    raw: bytes

    @property
    def rows(self) -> int:
        """Nobody can tell how many events it was; it counts as one."""
        return 1

    @property
    def alone(self) -> bool:
        """It lies in a block with others."""
        return False


Message = Readable | Unreadable


@dataclass(frozen=True, slots=True)
class Delivery:
    """The messages of a block as columns.

    ``events`` has ENVELOPE_SCHEMA's columns, ``kafka_offset`` and ``position``, in the order of these two.
    ``unreadable_run`` counts the unreadable messages in a row at the block's end, with those before the block.
    """

    events: pa.Table
    unreadable: tuple[Unreadable, ...]
    sequences: tuple[tuple[UUID, int], ...]
    redelivered: int
    unreadable_run: int


def read_message(offset: int, value: bytes | None, headers: Headers) -> Message:
    """Read one Kafka message. Never raises for bad content.

    A message of events is only read so far that it may be put together with others: ``gather`` checks them together.
    """
    try:
        envelope = decode_envelope(value, headers, full=False)
        if envelope.events.num_rows > ENVELOPE_EVENTS_MAX:
            raise unreadable(f"{envelope.events.num_rows} events are more than {ENVELOPE_EVENTS_MAX}")
        if envelope.kind != "events":
            check_whole(pa.Table.from_batches([envelope.events]))
        if envelope.kind == "corrections":
            check_corrections(envelope.events)
        elif envelope.kind == "fill":
            read_fill(envelope.events)
    except BadEvent as bad:
        return Unreadable(offset, bad.code, bad.message, value or b"")
    return Readable(offset, envelope, value or b"")


def unreadable(message: str) -> BadEvent:
    """Why a message cannot be read."""
    return BadEvent("envelope_unreadable", message)


def check_whole(events: pa.Table) -> None:
    """Refuse what the columns' types alone allow: nulls, broken texts, and times that cannot be written down.

    Each column is one array. Raises ``BadEvent`` with ``envelope_unreadable``.
    """
    try:
        events.validate(full=True)
    except (ValueError, pa.ArrowException) as error:
        raise unreadable(f"{type(error).__name__}: {error}"[:300]) from error
    properties = one_chunk(events, "properties")
    if properties.keys.null_count or properties.items.null_count:
        raise unreadable("a property is null")
    for name in events.schema.names:
        if events.column(name).null_count:
            raise unreadable(f"column {name} holds nulls")
    for name in ("occurred_at", "received_at"):
        instants = instants_of(events, name)
        if len(instants) and not TIME_FROM_US <= instants.min() <= instants.max() < TIME_END_US:
            raise unreadable(f"column {name} holds a time that cannot be written down")


def checked_alone(message: Message) -> Message:
    """The message, said to be unreadable if it turns out to be."""
    if isinstance(message, Unreadable):
        return message
    try:
        check_whole(together([message]))
    except BadEvent as bad:
        return Unreadable(message.offset, bad.code, bad.message, message.raw)
    return message


def gather(
    messages: Sequence[Message],
    sealed: SealedSequences,
    unreadable_run: int = 0,
    *,
    unreadable_run_max: int = DEAD_LETTER_RUN_MAX,
) -> Delivery:
    """Put the messages of a block together.

    They are checked together, and one by one only when something is wrong with one of them.

    An envelope whose producer and sequence were sealed before, or came earlier in this block, is left out whole and
    its events are counted as redelivered. Raises ``Stop`` when more than ``unreadable_run_max`` messages in a row
    are unreadable: then the release is wrong rather than a message, and the log must not drain into dead letters.
    """
    whole = together([message for message in messages if isinstance(message, Readable)])
    try:
        check_whole(whole)
    except BadEvent:
        messages = [checked_alone(message) for message in messages]
    kept: list[Readable] = []
    set_aside: list[Unreadable] = []
    seen: set[tuple[UUID, int]] = set()
    redelivered = 0
    for message in messages:
        if isinstance(message, Unreadable):
            set_aside.append(message)
            unreadable_run += 1
            if unreadable_run > unreadable_run_max:
                raise Stop(f"{unreadable_run} unreadable messages in a row, the last at offset {message.offset}")
            continue
        unreadable_run = 0
        identity = (message.envelope.producer, message.envelope.sequence)
        if identity in seen or identity in sealed:
            redelivered += message.rows
            continue
        seen.add(identity)
        kept.append(message)
    rows = sum(message.rows for message in kept)
    events = with_places(whole, kept) if rows == whole.num_rows else joined(kept)
    return Delivery(events, tuple(set_aside), tuple(seen), redelivered, unreadable_run)


def together(messages: Sequence[Readable]) -> pa.Table:
    """The events of several messages as one table of whole columns."""
    schema = messages[0].envelope.events.schema if messages else ENVELOPE_SCHEMA
    return pa.Table.from_batches([message.envelope.events for message in messages], schema).combine_chunks()


def joined(messages: Sequence[Readable]) -> pa.Table:
    """The events of several messages as one table, each with its offset and its position in its message.

    Or the corrections of one, which never stands with others.
    """
    return with_places(together(messages), messages)


def with_places(table: pa.Table, messages: Sequence[Readable]) -> pa.Table:
    """Add the columns ``kafka_offset`` and ``position``."""
    rows = np.array([message.rows for message in messages], dtype=np.int64)
    offsets = np.repeat(np.array([message.offset for message in messages], dtype=np.uint64), rows)
    starts = np.repeat(np.cumsum(rows) - rows, rows)
    positions = (np.arange(table.num_rows) - starts).astype(np.uint32)
    for (name, kind), column in zip(DELIVERED_COLUMNS, (offsets, positions), strict=True):
        table = table.append_column(pa.field(name, kind, nullable=False), pa.array(column, kind))
    return table
