"""A block's rows read back from ClickHouse in the very columns and order in which the stream made them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pyarrow as pa

from clickhouse.client import UsageStore
from runtime.audit.blocks import Block, Place, place_of_block
from streams.read_back import read_as, select_list
from streams.rows import EVENTS, SCHEMAS, TABLES, UNIQUES, WINDOWS

# Events lie in a block as in the log; windows as the stream sorts them, so that order does not change the digest.
ORDERS = {
    EVENTS: "kafka_offset, position",
    WINDOWS: "merchant_id, meter, subject, window_start, group_key, aggregation, meter_id, customer_id",
    UNIQUES: "merchant_id, meter, subject, window_start, group_key, value, meter_id, customer_id",
}
OF_PARTITION = """(incarnation = {{incarnation{n}:UInt32}} AND partition = {{partition{n}:UInt16}}
    AND block_first IN {{firsts{n}:Array(UInt64)}})"""
IN_RANGE = """t.incarnation = {incarnation:UInt32} AND t.partition = {partition:UInt16}
    AND t.block_first BETWEEN {first:UInt64} AND {last:UInt64}"""
# So many are named in a question: their offsets travel in its address, of which ClickHouse takes 128 kB for one list.
BLOCKS_AT_ONCE = 2_000
PLACE = ("incarnation", "partition", "block_first")
Rows = dict[str, pa.Table]


@dataclass(frozen=True, slots=True)
class BlockRows:
    """The rows of some blocks, read at once; ``bounds`` says for each table where each block's are."""

    rows: Rows
    bounds: Mapping[str, Mapping[Place, slice]]

    def of_block(self, block: Block) -> Rows:
        """One block's rows, as ``read_rows`` would give them."""
        return {table: self._of_table(table, place_of_block(block)) for table in self.rows}

    def _of_table(self, table: str, place: Place) -> pa.Table:
        bounds = self.bounds[table].get(place, slice(0, 0))
        return self.rows[table].slice(bounds.start, bounds.stop - bounds.start)


def read_blocks(store: UsageStore, blocks: Iterable[Block]) -> BlockRows:
    """The rows of some blocks, however they lie in the log: one question a table. Raises ``Transient``."""
    condition, bound = of_places(place_of_block(block) for block in blocks)
    rows = {table: read_as(store.query_frame(select_of(table, condition), bound), SCHEMAS[table]) for table in TABLES}
    return BlockRows(rows, {table: bounds_of(found) for table, found in rows.items()})


def of_places(places: Iterable[Place]) -> tuple[str, dict[str, object]]:
    """The condition for the rows of some blocks, and what it is bound to: these are sent in the request's address."""
    firsts: dict[tuple[int, int], list[int]] = defaultdict(list)
    for incarnation, partition, first in places:
        firsts[incarnation, partition].append(first)
    bound: dict[str, object] = {}
    for n, ((incarnation, partition), own) in enumerate(firsts.items()):
        bound |= {f"incarnation{n}": incarnation, f"partition{n}": partition, f"firsts{n}": own}
    return " OR ".join(OF_PARTITION.format(n=n) for n in range(len(firsts))) or "0", bound


def bounds_of(rows: pa.Table) -> dict[Place, slice]:
    """Where each block's rows are in a table in the order of blocks."""
    if not rows.num_rows:
        return {}
    columns = [np.asarray(rows.column(name).combine_chunks()) for name in PLACE]
    other = np.any([column[1:] != column[:-1] for column in columns], axis=0)
    ends = [0, *(np.flatnonzero(other) + 1).tolist(), rows.num_rows]
    return {
        (int(columns[0][start]), int(columns[1][start]), int(columns[2][start])): slice(start, stop)
        for start, stop in pairwise(ends)
    }


def read_rows(store: UsageStore, incarnation: int, partition: int, first: int, last: int) -> Rows:
    """The rows of the blocks that begin at offsets ``first`` to ``last``, by table; blocks in order."""
    bound = {"incarnation": incarnation, "partition": partition, "first": first, "last": last}
    return {table: read_as(store.query_frame(select_of(table, IN_RANGE), bound), SCHEMAS[table]) for table in TABLES}


def select_of(table: str, condition: str) -> str:
    """The question for a table's rows, in the order of blocks and within each as the stream made them."""
    order = [*PLACE, *ORDERS[table].split(", ")]
    return f"""
        SELECT {select_list(SCHEMAS[table])} FROM {table} AS t WHERE {condition}
        ORDER BY {", ".join("t." + name for name in order)}
    """


def rows_of_block(rows: Rows, first_offset: int) -> Rows:
    """The rows of one of the blocks that were read together."""
    return {table: slice_of(found, first_offset) for table, found in rows.items()}


def slice_of(found: pa.Table, first_offset: int) -> pa.Table:
    """The part of a sorted table that belongs to one block."""
    firsts = np.asarray(found.column("block_first").combine_chunks())
    start, stop = np.searchsorted(firsts, [first_offset, first_offset + 1])
    return found.slice(int(start), int(stop - start))
