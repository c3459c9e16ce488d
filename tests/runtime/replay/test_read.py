"""Rows of a pass as they lie in ClickHouse, and each block's in order."""

from __future__ import annotations

from core.db import transaction
from runtime.audit.blocks import load_blocks
from runtime.audit.read_rows import read_rows
from runtime.audit.run import AuditParts
from runtime.audit.scope import open_scope
from runtime.replay.read import prints_of, read_table
from streams.rows import EVENTS, TABLES
from tests.runtime.audit.conftest import Stream


def test_each_block_has_the_rows_that_it_has_when_read_by_itself(audited: AuditParts, streamed: Stream) -> None:
    """Events in the order of the log; windows and values as they came. Rows of other blocks are left out."""
    streamed(2_000)
    scope = open_scope(audited.books, audited.topic, audited.clock.now())
    with transaction(audited.books) as connection:
        blocks = load_blocks(connection, scope)
    runs = [[block for block in blocks if block.partition == partition] for partition in {b.partition for b in blocks}]
    # Blocks between those that are wanted are read and belong to none.
    some = [[run[0], run[-1]] if len(run) > 1 else run for run in runs]
    assert sum(len(run) for run in some) > 1

    for table in TABLES:
        read = read_table(audited.store, table, some)
        for block in (block for run in some for block in run):
            place = block.incarnation, block.partition, block.first_offset, block.first_offset
            alone = read_rows(audited.store, *place)[table]
            found = read.of_block(block)
            assert found.schema == alone.schema
            assert (prints_of(found) == prints_of(alone)).all()
            assert table != EVENTS or (found.equals(alone) and found.num_rows == block.received)
        other = [block for run, few in zip(runs, some, strict=True) for block in run if block not in few]
        assert all(read.of_block(block).num_rows == 0 for block in other)
