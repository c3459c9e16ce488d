"""A block's rows read back from ClickHouse in the very columns and order in which the stream made them."""

from __future__ import annotations

import numpy as np
import polars as pl
import pyarrow as pa

from clickhouse.client import UsageStore
from streams.rows import EVENTS, SCHEMAS, TABLES, UNIQUES, WINDOWS

# Events lie in a block as in the log; windows as the stream sorts them, so that order does not change the digest.
ORDERS = {
    EVENTS: "kafka_offset, position",
    WINDOWS: "merchant_id, meter, subject, window_start, group_key",
    UNIQUES: "merchant_id, meter, subject, window_start, group_key, value",
}
# Arrow has no words for these types of ClickHouse; see ``UsageStore.query_frame``.
AS_READ = {
    "fate": "toInt8(fate)",
    "action": "toInt8(action)",
    "window_start": "toDateTime64(window_start, 0, 'UTC')",
}

Rows = dict[str, pa.Table]


def read_rows(store: UsageStore, incarnation: int, partition: int, first: int, last: int) -> Rows:
    """The rows of the blocks that begin at offsets ``first`` to ``last``, by table; blocks in order."""
    bound = {"incarnation": incarnation, "partition": partition, "first": first, "last": last}
    return {table: to_schema(store.query_frame(select_of(table), bound), SCHEMAS[table]) for table in TABLES}


def select_of(table: str) -> str:
    """The question for one table."""
    columns = ", ".join(f"{expression_of(field)} AS {field.name}" for field in SCHEMAS[table])
    return f"""
        SELECT {columns} FROM {table} AS t
        WHERE t.incarnation = {{incarnation:UInt32}} AND t.partition = {{partition:UInt16}}
            AND t.block_first BETWEEN {{first:UInt64}} AND {{last:UInt64}}
        ORDER BY t.block_first, {", ".join("t." + name for name in ORDERS[table].split(", "))}
    """


def expression_of(field: pa.Field) -> str:
    """How one column is asked for."""
    name = f"t.{field.name}"
    if field.name in AS_READ:
        return AS_READ[field.name].replace(field.name, name)
    return f"toString({name})" if pa.types.is_string(field.type) else name


def to_schema(frame: pl.DataFrame, schema: pa.Schema) -> pa.Table:
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


def rows_of_block(rows: Rows, first_offset: int) -> Rows:
    """The rows of one of the blocks that were read together."""
    return {table: slice_of(found, first_offset) for table, found in rows.items()}


def slice_of(found: pa.Table, first_offset: int) -> pa.Table:
    """The part of a sorted table that belongs to one block."""
    firsts = np.asarray(found.column("block_first").combine_chunks())
    start, stop = np.searchsorted(firsts, [first_offset, first_offset + 1])
    return found.slice(int(start), int(stop - start))
