"""The journal's files."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from ingest.segment import Entry, pack_record, read_segment, read_values, scan

VALUES = st.lists(st.binary(max_size=50), min_size=1, max_size=5)


def records_of(values: list[bytes]) -> list[bytes]:
    """The records of some values."""
    return [pack_record(Entry(bytes([i] * 16), i, i + 1), value) for i, value in enumerate(values)]


def test_entries_and_values_are_read_back(tmp_path: Path) -> None:
    """With producer, partition and sequence, the empty value too."""
    values = [b"one", b"", b"three" * 1000]
    path = tmp_path / "x.segment"
    path.write_bytes(b"".join(records_of(values)))

    segment = read_segment(path)

    assert [(one.producer, one.partition, one.sequence) for one in segment.entries] == [
        (bytes([i] * 16), i, i + 1) for i in range(3)
    ]
    assert read_values(path, segment.entries) == values


@given(VALUES, st.integers(0, 400))
def test_a_torn_tail_costs_only_what_was_torn(values: list[bytes], cut: int) -> None:
    """Whole records before the cut are all read."""
    records = records_of(values)
    data = b"".join(records)
    cut = min(cut, len(data))
    whole, end = 0, 0
    for record in records:
        end += len(record)
        whole += end <= cut

    assert len(list(scan(memoryview(data[:cut])))) == whole


@given(VALUES, st.integers(0, 10_000), st.integers(1, 255))
def test_a_damaged_byte_is_noticed(values: list[bytes], place: int, change: int) -> None:
    """What stands before the damaged record is read, the record itself never is."""
    records = records_of(values)
    data = bytearray(b"".join(records))
    place %= len(data)
    data[place] ^= change
    damaged, end = 0, 0
    for number, record in enumerate(records):
        if end <= place < end + len(record):
            damaged = number
        end += len(record)

    assert len(list(scan(memoryview(bytes(data))))) == damaged
