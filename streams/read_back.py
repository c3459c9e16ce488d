"""Rows read back from ClickHouse in the very types in which the stream made them."""

from __future__ import annotations

import polars as pl
import pyarrow as pa

# Arrow has no words for these types of ClickHouse; see ``UsageStore.query_frame``.
AS_READ = {
    "fate": "toInt8(fate)",
    "action": "toInt8(action)",
    "window_start": "toDateTime64(window_start, 0, 'UTC')",
}


def select_list(schema: pa.Schema, table: str = "t") -> str:
    """How all columns of a schema are asked for, from a table of this alias."""
    return ", ".join(f"{expression_of(field, table)} AS {field.name}" for field in schema)


def expression_of(field: pa.Field, table: str = "t") -> str:
    """How one column is asked for."""
    name = f"{table}.{field.name}"
    if field.name in AS_READ:
        return AS_READ[field.name].replace(field.name, name)
    return f"toString({name})" if pa.types.is_string(field.type) else name


def read_as(frame: pl.DataFrame, schema: pa.Schema) -> pa.Table:
    """The frame in the stream's own types, without nulls and in one chunk."""
    table = frame.to_arrow(compat_level=pl.CompatLevel.oldest())
    columns = [as_type(table.column(field.name).combine_chunks(), field.type) for field in schema]
    return pa.Table.from_arrays(columns, schema=schema)


def as_type(column: pa.Array, kind: pa.DataType) -> pa.Array:
    """One column in another type that says the same."""
    if isinstance(column, pa.ChunkedArray):
        column = pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)
    if pa.types.is_map(kind) and not pa.types.is_map(column.type):
        column = column.cast(pa.list_(column.type.value_type))
        entries = column.values
        return pa.MapArray.from_arrays(
            column.offsets, entries.field("key").cast(pa.string()), entries.field("value").cast(pa.string())
        )
    if pa.types.is_fixed_size_binary(kind):
        return column.cast(pa.binary()).cast(kind)
    return column.cast(kind)
