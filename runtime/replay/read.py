"""The rows of a pass, read at once and as they lie; each block's are picked out and put in order here.

ClickHouse would take more than twice as long for rows in order: it moves every column of every row to merge them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import chain, pairwise

import numpy as np
import polars as pl
import pyarrow as pa

from clickhouse.client import UsageStore
from runtime.audit.blocks import Block, Place, place_of_block
from runtime.replay.choose import Pass
from streams.arrow import one_chunk
from streams.read_back import as_type, expression_of
from streams.rows import EVENTS, SCHEMAS
from streams.sum_up import sort_by
from streams.texts import U64, Places

OF_RUN = """(t.incarnation = {{incarnation{n}:UInt32}} AND t.partition = {{partition{n}:UInt16}}
    AND t.block_first BETWEEN {{first{n}:UInt64}} AND {{last{n}:UInt64}})"""
# Columns of few distinct texts come as these and numbers: half of the bytes to unpack and put together.
TEXTS_BY_NUMBER = "output_format_arrow_low_cardinality_as_dictionary = 1"
# Events lie in a block as in the log; from what counts least to what counts most.
IN_LOG = ("position", "kafka_offset")
NOWHERE = slice(0, 0)


@dataclass(frozen=True, slots=True)
class TableRead:
    """Rows of a table as they came. Those of a block are at ``order[bounds[place]]``, to be sorted by ``fields``."""

    schema: pa.Schema
    rows: pa.Table
    order: Places
    bounds: Mapping[Place, slice]
    fields: tuple[Places, ...]

    def of_block(self, block: Block) -> pa.Table:
        """A block's rows in the stream's own types: events in the order of the log, others in any."""
        chosen = self.order[self.bounds.get(place_of_block(block), NOWHERE)]
        if not len(chosen):
            return self.schema.empty_table()
        for field in self.fields:
            chosen = sort_by(chosen, field)
        found = self.rows.take(pa.array(chosen))
        columns = [typed(one_chunk(found, field.name), field.type) for field in self.schema]
        return pa.Table.from_arrays(columns, schema=self.schema)


def read_table(store: UsageStore, table: str, some: Pass) -> TableRead:
    """All rows of a table of the blocks of a pass. Raises ``Transient``."""
    condition, bound = of_runs(some)
    sql = f"SELECT {columns_of(SCHEMAS[table])} FROM {table} AS t PREWHERE {condition} SETTINGS {TEXTS_BY_NUMBER}"
    rows = store.query_table(sql, bound).combine_chunks()
    blocks = list(chain.from_iterable(some))
    numbers = number_rows(rows, blocks)
    order = sort_by(np.flatnonzero(numbers >= 0), numbers)
    ends = np.searchsorted(numbers[order], np.arange(len(blocks) + 1))
    bounds = {
        place_of_block(block): slice(int(start), int(stop))
        for block, (start, stop) in zip(blocks, pairwise(ends), strict=True)
    }
    fields = tuple(since_least(rows, name) for name in IN_LOG) if table == EVENTS else ()
    return TableRead(SCHEMAS[table], rows, order, bounds, fields)


def columns_of(schema: pa.Schema) -> str:
    """How all columns of a table are asked for."""
    texts = (f"t.{field.name}" if pa.types.is_string(field.type) else expression_of(field) for field in schema)
    return ", ".join(f"{text} AS {name}" for text, name in zip(texts, schema.names, strict=True))


def of_runs(some: Pass) -> tuple[str, dict[str, object]]:
    """The condition for rows between the first and the last block of each run, and what it is bound to."""
    bound: dict[str, object] = {}
    for n, run in enumerate(some):
        firsts = [block.first_offset for block in run]
        bound |= {f"incarnation{n}": run[0].incarnation, f"partition{n}": run[0].partition}
        bound |= {f"first{n}": min(firsts), f"last{n}": max(firsts)}
    return " OR ".join(OF_RUN.format(n=n) for n in range(len(some))), bound


def number_rows(rows: pa.Table, blocks: Iterable[Block]) -> Places:
    """The number of each row's block, -1 for those of other blocks."""
    of_partition: dict[tuple[int, int], list[tuple[int, int]]] = defaultdict(list)
    for number, block in enumerate(blocks):
        of_partition[block.incarnation, block.partition].append((block.first_offset, number))
    incarnations, partitions, block_firsts = (
        np.asarray(one_chunk(rows, name)) for name in ("incarnation", "partition", "block_first")
    )
    numbers = np.full(rows.num_rows, -1, np.int64)
    for (incarnation, partition), found in of_partition.items():
        firsts, own = (np.array(column) for column in zip(*sorted(found), strict=True))
        here = np.flatnonzero((incarnations == incarnation) & (partitions == partition))
        wanted = block_firsts[here].astype(np.int64)
        at = np.searchsorted(firsts, wanted).clip(max=len(firsts) - 1)
        numbers[here] = np.where(firsts[at] == wanted, own[at], -1)
    return numbers


def since_least(rows: pa.Table, name: str) -> Places:
    """A column of whole numbers, counted from the least so that few rounds sort by it."""
    found: Places = np.asarray(one_chunk(rows, name)).astype(np.int64)
    counted: Places = found - found.min(initial=2**62)
    return counted


def typed(column: pa.Array, kind: pa.DataType) -> pa.Array:
    """A column in the stream's own type."""
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    return column if column.type == kind else as_type(column, kind)


def prints_of(rows: pa.Table) -> U64:
    """A 64-bit hash of each row, sorted: two tables of one schema hold the same rows if theirs are the same."""
    frame = pl.from_arrow(rows)
    assert isinstance(frame, pl.DataFrame)
    prints: U64 = np.sort(frame.hash_rows().to_numpy()) if frame.height else np.zeros(0, np.uint64)
    return prints
