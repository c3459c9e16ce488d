"""Frames to and from the bytes of Arrow streams, in the types that the tables have."""

from __future__ import annotations

import io
from typing import Protocol

import polars as pl
import pyarrow as pa

from core.errors import Transient

END_OF_STREAM = b"\xff\xff\xff\xff\x00\x00\x00\x00"


class Source(Protocol):
    """What bytes are read from."""

    def read(self, size: int = ..., /) -> bytes:
        """So many bytes, or all that are left."""


def to_table(frame: pl.DataFrame | pa.Table) -> pa.Table:
    """The frame as an Arrow table of one chunk, with lists of (key, value) pairs read as maps."""
    table = frame.to_arrow() if isinstance(frame, pl.DataFrame) else frame
    for index, field in enumerate(table.schema):
        if is_pairs(field.type):
            table = table.set_column(index, field.name, as_map(table.column(index)))
    # One chunk makes one record batch, so that a block of events becomes one block of ClickHouse under one token.
    return table.combine_chunks()


def is_pairs(kind: pa.DataType) -> bool:
    """Whether a type is a list of structs with exactly ``key`` and ``value``, which is how frames write a map."""
    if not (pa.types.is_list(kind) or pa.types.is_large_list(kind)):
        return False
    value = kind.value_type
    return pa.types.is_struct(value) and [field.name for field in value] == ["key", "value"]


def as_map(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """A list<struct<key, value>> column as map<key, value>, without copying keys or values."""
    return pa.chunked_array([_chunk_as_map(chunk) for chunk in column.chunks], type=_map_type(column.type))


def _map_type(kind: pa.DataType) -> pa.DataType:
    pairs = kind.value_type
    return pa.map_(pairs.field("key").type, pairs.field("value").type)


def _chunk_as_map(chunk: pa.Array) -> pa.Array:
    if pa.types.is_large_list(chunk.type):
        # A map has 32-bit offsets; a block that needed more would have been refused long before.
        chunk = chunk.cast(pa.list_(chunk.type.value_type))
    entries = chunk.values
    keys, values = entries.field("key"), entries.field("value")
    return pa.MapArray.from_arrays(chunk.offsets, keys, values, type=_map_type(chunk.type))


def stream_bytes(table: pa.Table) -> bytes:
    """Write a table as an Arrow stream of one record batch in LZ4: cheaper to pack than to send plain."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema, options=pa.ipc.IpcWriteOptions(compression="lz4")) as writer:
        writer.write_table(table)
    data: bytes = sink.getvalue().to_pybytes()
    return data


def read_stream(data: bytes) -> pl.DataFrame:
    """Read an Arrow stream into a frame. Raises ``Transient`` when the stream was cut off on its way."""
    # Arrow takes a stream that stops between two batches for a whole one; its end mark tells them apart.
    if not data.endswith(END_OF_STREAM):
        raise Transient("ClickHouse's answer broke off before its end")
    frame = pl.from_arrow(read_batches(data))
    assert isinstance(frame, pl.DataFrame)
    return frame


def read_arriving(source: Source) -> pa.Table:
    """The same into a table, batch by batch as it arrives."""
    arriving = Arriving(source)
    table = read_batches(pa.PythonFile(arriving, "r"))
    # Behind the end is nothing; but a connection serves again only when it was seen.
    if arriving.read() or arriving.last != END_OF_STREAM:
        raise Transient("ClickHouse's answer broke off before its end")
    return table


def read_batches(source: bytes | pa.NativeFile) -> pa.Table:
    """All batches up to the end mark, or to where the stream stops between two of them."""
    try:
        return pa.ipc.open_stream(source).read_all()
    except (pa.ArrowException, OSError) as error:
        raise Transient(f"ClickHouse's answer broke off: {error}") from error


class Arriving(io.RawIOBase):
    """Bytes from somewhere, of which the last few are remembered."""

    def __init__(self, source: Source) -> None:
        super().__init__()
        self.last = b""
        self._source = source

    def readable(self) -> bool:
        """Always."""
        return True

    def read(self, size: int = -1) -> bytes:
        """So many bytes, or all that are left; fewer at the end."""
        data = self._source.read(size) if size >= 0 else self._source.read()
        self.last = (self.last + data[-len(END_OF_STREAM) :])[-len(END_OF_STREAM) :]
        return data
