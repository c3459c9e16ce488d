"""The packed form of events: everything comes back, and what is damaged says so."""

from __future__ import annotations

from unittest.mock import patch

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import BadEvent
from core.limits import ENVELOPE_EVENTS_MAX
from ingest import packed
from ingest.codec import decode_envelope, envelope_headers
from ingest.event import ENVELOPE_SCHEMA
from ingest.packed import HEAD, MARK, pack, unpack

TEXT = st.text(max_size=12)
INSTANT_US = st.integers(-(2**62), 2**62)
EVENT = st.fixed_dictionaries(
    {
        "key": st.binary(min_size=16, max_size=16),
        "body_hash": st.integers(0, 2**64 - 1),
        **dict.fromkeys(("merchant_id", "event_id", "source", "type", "subject"), TEXT),
        **dict.fromkeys(("occurred_at", "received_at"), INSTANT_US),
        "properties": st.lists(st.tuples(TEXT, TEXT), max_size=4),
    }
)


def batch_of(events: list[dict[str, object]]) -> pa.RecordBatch:
    """Events as a batch."""
    return pa.RecordBatch.from_pylist(events, schema=ENVELOPE_SCHEMA)


def event(number: int, **columns: object) -> dict[str, object]:
    """An event like many."""
    return {
        "key": number.to_bytes(16, "big"),
        "body_hash": number,
        "merchant_id": "mer_1",
        "event_id": f"e{number}",
        "source": "src",
        "type": "call",
        "subject": "c-1",
        "occurred_at": number,
        "received_at": 7,
        "properties": [("region", "eu"), ("size", str(number))],
    } | columns


def packed_of(batch: pa.RecordBatch) -> bytes:
    """The packed form, which there is."""
    value = pack(batch)
    assert value is not None
    return value


@settings(deadline=None)  # Arrow's first list of rows takes seconds.
@given(st.lists(EVENT, max_size=6), st.data())
def test_events_come_back(events: list[dict[str, object]], data: st.DataObject) -> None:
    """Any number of them, and any part of a batch."""
    batch = batch_of(events)
    start = data.draw(st.integers(0, len(events)))
    part = batch.slice(start, data.draw(st.integers(0, len(events) - start)))

    found = unpack(packed_of(part))

    found.validate(full=True)
    assert found.schema.equals(ENVELOPE_SCHEMA)
    assert found.equals(part)


@pytest.mark.parametrize("size", [0, 255, 256, 65_535, 65_536, 200_000])
def test_texts_of_any_length_come_back(size: int) -> None:
    """A length takes one, two or four bytes, whatever the longest text needs; so does a count of properties."""
    properties = [(f"p{number}", "v") for number in range(min(size, 70_000))]
    batch = batch_of(
        [event(1), event(2, subject="é" * (size // 2), event_id="x" * size), event(3, properties=properties)]
    )

    assert unpack(packed_of(batch)).equals(batch)


def test_it_is_shorter() -> None:
    """Than an Arrow stream in LZ4, by more than a third."""
    batch = batch_of([event(number) for number in range(2_000)])
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, ENVELOPE_SCHEMA, options=pa.ipc.IpcWriteOptions(compression="lz4")) as writer:
        writer.write_batch(batch)

    assert len(packed_of(batch)) < 0.65 * sink.getvalue().size


@pytest.mark.parametrize("column", ["subject", "body_hash"])
def test_nulls_are_not_packed(column: str) -> None:
    """The form has no place for them; the stream finds them in an Arrow message and sets it aside."""
    place = ENVELOPE_SCHEMA.names.index(column)
    batch = batch_of([event(1)])
    columns = [*batch.columns]
    columns[place] = pa.array([None], ENVELOPE_SCHEMA.types[place])

    assert pack(pa.RecordBatch.from_arrays(columns, schema=ENVELOPE_SCHEMA)) is None


def test_too_much_is_not_packed() -> None:
    """What nobody would unpack stays an Arrow stream."""
    batch = batch_of([event(number) for number in range(100)])
    with patch.object(packed, "UNPACKED_BYTES_MAX", 1_000):
        assert pack(batch) is None
    value = packed_of(batch)
    with patch.object(packed, "UNPACKED_BYTES_MAX", 1_000), pytest.raises(BadEvent, match="what is not there"):
        unpack(value)


@settings(deadline=None)
@given(st.data())
def test_no_changed_byte_goes_unseen(data: st.DataObject) -> None:
    """Whichever byte it is, and whatever was cut off or put behind."""
    value = packed_of(batch_of([event(number) for number in range(20)]))
    at = data.draw(st.integers(0, len(value) - 1))
    changed = data.draw(
        st.sampled_from(
            [
                value[:at] + bytes([value[at] ^ data.draw(st.integers(1, 255))]) + value[at + 1 :],
                value[:at],
                value + b"\0",
            ]
        )
    )

    with pytest.raises(BadEvent) as caught:
        decode_envelope(changed, envelope_headers(bytes(16), 1, value))
    assert caught.value.code == "envelope_unreadable"


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_no_bytes_raise_anything_else(rest: bytes) -> None:
    """Whatever stands behind the mark."""
    with pytest.raises((BadEvent, OSError)):
        unpack(MARK + rest)


@pytest.mark.parametrize(
    ("rows", "properties", "size", "widths"),
    [
        (ENVELOPE_EVENTS_MAX + 1, 0, 0, (1, 1)),
        (1, 0, 0, (3, 1)),
        (1, 0, 0, (1, 0)),
        (1, 2**32 - 1, 0, (1, 4)),
        (1, 0, 2**32 - 1, (1, 1)),
        (4, 8, 100, (1, 1)),
    ],
)
def test_no_head_makes_anybody_fetch_memory(rows: int, properties: int, size: int, widths: tuple[int, int]) -> None:
    """It is held against the limits and the message before anything is unpacked."""
    head = HEAD.pack(MARK, rows, properties, size, *widths)
    with pytest.raises(BadEvent):
        unpack(head + bytes(24))


def test_lengths_must_be_those_of_the_texts() -> None:
    """A writer's mistake under a good checksum is found as well."""
    batch = batch_of([event(1)])
    with patch.object(packed, "narrowed", lambda numbers: numbers.astype("<u1") // 2):
        value = packed_of(batch)
    with pytest.raises(BadEvent, match="lengths"):
        unpack(value)
