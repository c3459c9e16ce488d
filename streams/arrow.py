"""Small steps between Arrow, Polars and numpy."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa


def one_chunk(table: pa.Table, name: str) -> pa.Array:
    """A column as one array."""
    column = table.column(name)
    return column.chunk(0) if column.num_chunks == 1 else pa.concat_arrays(column.chunks or [empty(column.type)])


def empty(kind: pa.DataType) -> pa.Array:
    """No values of a type."""
    return pa.array([], kind)


def column_of(table: pa.Table, name: str) -> pl.Series:
    """A column as a series."""
    return series_of(one_chunk(table, name))


def series_of(column: pa.Array) -> pl.Series:
    """An Arrow column as a series."""
    series = pl.from_arrow(column)
    assert isinstance(series, pl.Series)
    return series


def instants_of(table: pa.Table, name: str) -> npt.NDArray[np.int64]:
    """A column of instants in microseconds from 1970."""
    return np.asarray(one_chunk(table, name).view(pa.int64()))


def repeated(value: object, count: int, kind: pa.DataType) -> pa.Array:
    """The same value for every row."""
    return pa.repeat(pa.scalar(value, kind), count)


def to_schema(frame: pl.DataFrame, schema: pa.Schema) -> pa.Table:
    """A frame as a table of exactly this schema; the columns are matched by name."""
    table = frame.select(schema.names).to_arrow()
    columns = [table.column(field.name).cast(field.type) for field in schema]
    result: pa.Table = pa.Table.from_arrays(columns, schema=schema).combine_chunks()
    return result
