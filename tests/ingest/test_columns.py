"""Columns out of joined texts."""

from __future__ import annotations

from uuid import uuid4

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.codec import decode_envelope, encode_envelope, envelope_headers, write_stream
from ingest.columns import FEW, build_batch, build_few, join_keys, split_by_partition
from ingest.event import ENVELOPE_SCHEMA, ENVELOPE_VERSION, HEADER_VERSION, Envelope, event_key, partition_of
from ingest.rows import Rows


def rows_of(merchant: str, *events: tuple[str, dict[str, str]]) -> Rows:
    """Rows as the validator makes them."""
    rows = Rows(received_us=5)
    for event_id, properties in events:
        names = sorted(properties)
        rows.keys.append(event_key(merchant, "src", event_id))
        rows.body_hashes.append(len(rows).to_bytes(8, "big"))
        rows.identities.append(f"{merchant}\0src\0{event_id}".encode())
        rows.bodies.append("\0".join(["t", "s", "", *names, *(properties[name] for name in names)]).encode())
        rows.occurred_us.append(7)
    return rows


def test_rows_of_several_requests_become_one_batch() -> None:
    """Properties of any number, the empty value and other scripts included, stay with their event."""
    gathered = [
        rows_of("m1", ("a", {}), ("b", {"x": "", "y": "é"})),
        rows_of("m2", ("c", {"only": "1"})),
    ]

    batch = build_batch(gathered)

    assert batch.schema.equals(ENVELOPE_SCHEMA)
    batch.validate(full=True)
    assert batch.column("merchant_id").to_pylist() == ["m1", "m1", "m2"]
    assert batch.column("event_id").to_pylist() == ["a", "b", "c"]
    assert batch.column("properties").to_pylist() == [[], [("x", ""), ("y", "é")], [("only", "1")]]
    assert batch.column("body_hash").to_pylist() == [1, 2, 1]


TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=4)


@given(st.lists(st.tuples(TEXTS, st.dictionaries(TEXTS, TEXTS, max_size=3)), min_size=1, max_size=5))
def test_few_events_and_many_are_built_alike(events: list[tuple[str, dict[str, str]]]) -> None:
    """The short way for a handful gives the same columns as the one for thousands."""
    one = rows_of("m", *events)
    times = FEW // len(events) + 1

    many = build_batch([one] * times)

    assert build_few([one] * times).equals(many)
    assert many.slice(0, len(events)).equals(build_few([one]))


@pytest.mark.parametrize(("count", "version"), [(1, b"1"), (100, b"1"), (1_000, b"2"), (5_000, b"2")])
def test_an_envelope_comes_back(count: int, version: bytes) -> None:
    """Small ones as Arrow streams, which Arrow itself reads, and large ones packed; the headers say which it is."""
    batch = build_batch([rows_of("m", *((f"e{i}", {"i": str(i)}) for i in range(count)))])
    envelope = Envelope(uuid4(), 7, batch)

    value, headers = encode_envelope(envelope)

    found = decode_envelope(value, headers)
    assert (found.producer, found.sequence) == (envelope.producer, 7)
    assert found.events.equals(batch)
    assert dict(headers)[HEADER_VERSION] == version
    if version == ENVELOPE_VERSION:
        assert pa.ipc.open_stream(value).read_all().num_rows == count


def test_large_streams_of_releases_before_are_read() -> None:
    """A log, or a journal, may still hold Arrow streams whose columns are packed one by one."""
    batch = build_batch([rows_of("m", *((f"e{i}", {"i": str(i)}) for i in range(2_000)))])
    value = write_stream(batch)

    assert decode_envelope(value, envelope_headers(uuid4().bytes, 1, value)).events.equals(batch)


@pytest.mark.parametrize("count", [1, 2, 500])
def test_each_event_lands_in_the_partition_of_its_key(count: int) -> None:
    """And the order within a partition is that of arrival."""
    gathered = [rows_of("m", *((f"e{i}", {"i": str(i)}) for i in range(count)))]
    batch = build_batch(gathered)

    parts = split_by_partition(batch, join_keys(gathered), 4)

    assert sum(len(part) for _partition, part in parts) == count
    for partition, part in parts:
        keys = part.column("key").to_pylist()
        assert {partition_of(key, 4) for key in keys} == {partition}
        numbers = [int(properties[0][1]) for properties in part.column("properties").to_pylist()]
        assert numbers == sorted(numbers)
        assert [event_key("m", "src", f"e{number}") for number in numbers] == keys
