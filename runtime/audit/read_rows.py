"""A block's rows read back from ClickHouse in the very columns and order in which the stream made them."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from clickhouse.client import UsageStore
from streams.read_back import read_as, select_list
from streams.rows import EVENTS, SCHEMAS, TABLES, UNIQUES, WINDOWS

# Events lie in a block as in the log; windows as the stream sorts them, so that order does not change the digest.
ORDERS = {
    EVENTS: "kafka_offset, position",
    WINDOWS: "merchant_id, meter, subject, window_start, group_key, aggregation, meter_id, customer_id",
    UNIQUES: "merchant_id, meter, subject, window_start, group_key, value, meter_id, customer_id",
}
Rows = dict[str, pa.Table]


def read_rows(store: UsageStore, incarnation: int, partition: int, first: int, last: int) -> Rows:
    """The rows of the blocks that begin at offsets ``first`` to ``last``, by table; blocks in order."""
    bound = {"incarnation": incarnation, "partition": partition, "first": first, "last": last}
    return {table: read_as(store.query_frame(select_of(table), bound), SCHEMAS[table]) for table in TABLES}


def select_of(table: str) -> str:
    """The question for one table."""
    return f"""
        SELECT {select_list(SCHEMAS[table])} FROM {table} AS t
        WHERE t.incarnation = {{incarnation:UInt32}} AND t.partition = {{partition:UInt16}}
            AND t.block_first BETWEEN {{first:UInt64}} AND {{last:UInt64}}
        ORDER BY t.block_first, {", ".join("t." + name for name in ORDERS[table].split(", "))}
    """


def rows_of_block(rows: Rows, first_offset: int) -> Rows:
    """The rows of one of the blocks that were read together."""
    return {table: slice_of(found, first_offset) for table, found in rows.items()}


def slice_of(found: pa.Table, first_offset: int) -> pa.Table:
    """The part of a sorted table that belongs to one block."""
    firsts = np.asarray(found.column("block_first").combine_chunks())
    start, stop = np.searchsorted(firsts, [first_offset, first_offset + 1])
    return found.slice(int(start), int(stop - start))
