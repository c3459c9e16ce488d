"""Messages to columns: whatever the bytes are, one bad message never costs a good one."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import Stop
from ingest.codec import encode_envelope
from ingest.event import ENVELOPE_SCHEMA, Envelope
from streams.decode import Message, Readable, Unreadable, gather, read_message
from streams.sequences import SealedSequences
from tests.streams.builders import PRODUCER, Said, batch, envelope, messages
from tests.streams.stories import Filled, message_of, retract

NOTHING = SealedSequences()


def unreadable(offset: int) -> Message:
    """A message that is no envelope."""
    return read_message(offset, b"junk", [])


def test_an_envelope_comes_back_whole() -> None:
    """What the gateway wrote is what the stream reads."""
    sent = envelope([Said("1", {"a": "b"}), Said("2")], 7)

    found = read_message(5, *encode_envelope(sent))

    assert isinstance(found, Readable)
    assert (found.offset, found.rows) == (5, 2)
    assert (found.envelope.producer, found.envelope.sequence) == (PRODUCER, 7)
    assert found.envelope.events.equals(sent.events)


@given(st.binary(max_size=300), st.booleans())
def test_no_bytes_raise(value: bytes, headed: bool) -> None:
    """Arbitrary bytes make an unreadable message that keeps them, with or without our headers."""
    headers = encode_envelope(envelope([], 1))[1] if headed else []

    found = read_message(3, value, headers)

    assert isinstance(found, Unreadable)
    assert (found.offset, found.rows, found.raw) == (3, 1, value)


@pytest.mark.parametrize("value", [None, b"", bytes(7), b"\xff" * 8, bytes(9)])
@pytest.mark.parametrize("place", range(3))
def test_a_header_of_another_form_is_unreadable(place: int, value: Any) -> None:
    """Kafka allows any, and none at all; a sequence that the ledger could not keep must not come so far."""
    content, headers = encode_envelope(envelope([Said("1")], 1))
    headers[place] = (headers[place][0], value)

    assert isinstance(read_message(3, content, headers), Unreadable)


@given(st.data())
def test_a_damaged_envelope_never_raises(data: st.DataObject) -> None:
    """One changed byte gives an unreadable message or other events, but no exception, and costs no other message."""
    value, headers = encode_envelope(envelope([Said("1", {"a": "b"})], 1))
    at = data.draw(st.integers(0, len(value) - 1))
    damaged = value[:at] + bytes([value[at] ^ data.draw(st.integers(1, 255))]) + value[at + 1 :]

    found = gather([read_message(0, damaged, headers), messages([[Said("2")]], 1)[0]], NOTHING)

    assert found.events.column("event_id").to_pylist()[-1] == "2"
    assert found.events.num_rows + len(found.unreadable) >= 2 or found.redelivered


def test_columns_with_nulls_are_unreadable() -> None:
    """The types allow them; the tables do not."""
    events = batch([Said("1")])
    at = ENVELOPE_SCHEMA.names.index("subject")
    events = pa.RecordBatch.from_arrays(
        [pa.array([None], pa.string()) if place == at else events.column(place) for place in range(events.num_columns)],
        schema=ENVELOPE_SCHEMA,
    )

    value, headers = encode_envelope(Envelope(PRODUCER, 1, events))
    good = messages([[Said("1")], [Said("2")]])

    found = gather([good[0], read_message(1, value, headers), good[1]], NOTHING)

    assert [(bad.offset, bad.message, bad.raw) for bad in found.unreadable] == [
        (1, "column subject holds nulls", value)
    ]
    assert found.events.column("event_id").to_pylist() == ["1", "2"]


def test_times_outside_the_stores_calendar_are_unreadable() -> None:
    """A row that ClickHouse cannot write would be tried for ever."""
    sent = envelope([Said("1", at=datetime(2400, 1, 1, tzinfo=UTC))], 1)

    assert [bad.offset for bad in gather([read_message(0, *encode_envelope(sent))], NOTHING).unreadable] == [0]


def test_events_carry_their_place() -> None:
    """Offset of the message, position in it."""
    found = gather(messages([[Said("1"), Said("2")], [], [Said("3")]], first_offset=10), NOTHING)

    assert found.events.select(["event_id", "kafka_offset", "position"]).to_pylist() == [
        {"event_id": "1", "kafka_offset": 10, "position": 0},
        {"event_id": "2", "kafka_offset": 10, "position": 1},
        {"event_id": "3", "kafka_offset": 12, "position": 0},
    ]


def test_unreadable_messages_cost_no_others() -> None:
    """They are set aside, and their neighbours' events are all there."""
    good = messages([[Said("1")], [Said("2")]])

    found = gather([good[0], unreadable(1), good[1]], NOTHING)

    assert found.events.column("event_id").to_pylist() == ["1", "2"]
    assert [bad.offset for bad in found.unreadable] == [1]


def test_sealed_envelopes_are_left_out() -> None:
    """By producer and sequence; the same sequence of another producer is another envelope."""
    sealed = NOTHING.with_added([(PRODUCER, 1)])
    other = UUID(int=2)

    found = gather([Readable(4, envelope([Said("1")], 1)), Readable(5, envelope([Said("2")], 1, other))], sealed)

    assert found.events.column("event_id").to_pylist() == ["2"]
    assert (found.redelivered, found.sequences) == (1, ((other, 1),))


def test_a_long_run_of_unreadable_messages_stops_us() -> None:
    """The run counts across blocks, and ends with any envelope."""
    good = messages([[Said("1")]])[0]

    kept = gather([unreadable(0), good, unreadable(2)], NOTHING, 2, unreadable_run_max=3)

    assert kept.unreadable_run == 1
    with pytest.raises(Stop, match="4 unreadable messages in a row"):
        gather([unreadable(0), unreadable(1)], NOTHING, 2, unreadable_run_max=3)


def test_a_message_of_corrections_stands_alone() -> None:
    """It brings as many rows as corrections; a fill brings none."""
    corrections, fill = message_of([retract("1"), retract("2")], 4), message_of(Filled("mtr_1", 0, 5), 5)
    for message, rows in ((corrections, 2), (fill, 0)):
        assert isinstance(message, Readable)
        found = read_message(message.offset, *encode_envelope(message.envelope))
        assert isinstance(found, Readable)
        assert (found.rows, found.alone) == (rows, True)


def test_corrections_that_no_door_sends_are_unreadable() -> None:
    """One key twice, or an action that nobody knows: the whole message is set aside."""
    message = message_of([retract("1"), retract("2")], 4)
    assert isinstance(message, Readable)
    good = message.envelope.events
    twice = pa.concat_batches([good, good])
    actions = good.schema.names.index("action")
    strange = good.set_column(actions, good.schema.field(actions), pa.array([1, 9], pa.int8()))
    for events in (twice, strange):
        found = read_message(4, *encode_envelope(Envelope(PRODUCER, 5, events)))
        assert isinstance(found, Unreadable)
        assert (found.code, found.alone) == ("envelope_unreadable", False)
