"""Frames as the tables want them."""

from __future__ import annotations

from io import BytesIO

import polars as pl
import pyarrow as pa
import pytest

from clickhouse.arrow import read_arriving, read_stream, stream_bytes, to_table
from core.errors import Transient

PAIRS = [[{"key": "a", "value": "1"}, {"key": "b", "value": "2"}], [], [{"key": "c", "value": ""}]]
AS_MAPS = [[("a", "1"), ("b", "2")], [], [("c", "")]]


@pytest.mark.parametrize("cut", [slice(None), slice(1, None), slice(0, 1)])
def test_lists_of_pairs_become_maps(cut: slice) -> None:
    """Also in a slice, whose offsets begin somewhere in the middle."""
    table = to_table(pl.DataFrame({"p": PAIRS})[cut])

    assert pa.types.is_map(table.schema.field("p").type)
    assert table.column("p").to_pylist() == AS_MAPS[cut]


def test_a_frame_of_many_chunks_becomes_one_record_batch() -> None:
    """One block of events must be one block of ClickHouse."""
    frame = pl.concat([pl.DataFrame({"n": [n], "p": [PAIRS[0]]}) for n in range(5)], rechunk=False)

    with pa.ipc.open_stream(stream_bytes(to_table(frame))) as reader:
        sizes = [batch.num_rows for batch in reader]

    assert sizes == [5]


def test_an_answer_that_broke_off_may_be_asked_for_again() -> None:
    """A cut stream is ``Transient``, never a short result, wherever it was cut."""
    batches = pa.table({"n": list(range(1000))}).to_batches(max_chunksize=100)
    whole = stream_bytes(pa.Table.from_batches(batches))

    assert read_stream(whole)["n"].sum() == 499500
    assert read_arriving(BytesIO(whole)).num_rows == 1000
    for length in range(len(whole)):
        with pytest.raises(Transient, match="broke off"):
            read_stream(whole[:length])
        with pytest.raises(Transient, match="broke off"):
            read_arriving(BytesIO(whole[:length]))


def test_an_answer_whose_middle_is_damaged_may_be_asked_for_again() -> None:
    """Also when its end arrived."""
    whole = stream_bytes(pa.table({"n": list(range(1000))}))

    with pytest.raises(Transient, match="broke off"):
        read_stream(whole[:2000] + whole[-8:])
    with pytest.raises(Transient, match="broke off"):
        read_arriving(BytesIO(whole[:2000] + whole[-8:]))
