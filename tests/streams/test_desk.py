"""Partitions side by side: what each of them does is what it would have done alone."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest

from core.clock import ManualClock
from core.errors import Stop
from ingest.codec import encode_envelope
from streams.claim import Claims, LogSeen
from streams.desk import Desk, Record
from streams.ledger_memory import MemoryLedger
from streams.rows import EVENTS, TABLES
from streams.sink import Moment, no_failpoint
from streams.store_memory import MemoryStore
from tests.streams.builders import Said, envelope, meter, parts

MEET_WITHIN_S = 30
PARTITIONS = (0, 1, 2)
Failpoint = Callable[[Moment], None]


@pytest.fixture
def store() -> MemoryStore:
    """An empty store."""
    return MemoryStore()


@pytest.fixture
def desks(clock: ManualClock, store: MemoryStore) -> Callable[..., Desk]:
    """Makes desks that own all partitions of one log."""
    ledger = MemoryLedger(clock, lambda: 1)

    def make(failpoint: Failpoint = no_failpoint, kept: MemoryStore = store) -> Desk:
        own = ledger if kept is store else MemoryLedger(clock, lambda: 1)
        outside = parts(own, kept, clock, meter(), failpoint=failpoint)
        desk = Desk(Claims(outside, LogSeen("usage", 1), owner="w", clock=clock).claim)
        desk.assign(PARTITIONS)
        return desk

    return make


def records(offsets: range) -> list[Record]:
    """Two events a message, each partition's own; the receipt of a message is its place."""
    return [
        Record(partition, offset, *encode_envelope(envelope(said(partition, offset), offset + 1)), (partition, offset))
        for offset in offsets
        for partition in PARTITIONS
    ]


def said(partition: int, offset: int) -> list[Said]:
    """The events of one message."""
    return [Said(f"{partition}-{offset}-{number}", {"tokens": str(offset)}) for number in range(2)]


def contents(store: MemoryStore) -> list[list[dict[str, Any]]]:
    """Everything in the store, by partition and otherwise in the order in which it came."""
    return [
        sorted(store.tables[table].drop_columns("stored_at").to_pylist(), key=lambda row: row["partition"])
        for table in TABLES
    ]


def of_partition(partition: int, offsets: range) -> list[Record]:
    """The messages of one partition alone."""
    return [record for record in records(offsets) if record.partition == partition]


def test_two_blocks_are_under_way_at_once_and_leave_the_same_rows(
    desks: Callable[..., Desk], store: MemoryStore
) -> None:
    """Each waits in the middle for the other; a desk for one thread alone would stand still."""
    both, alone = Barrier(2), MemoryStore()

    def meet(moment: Moment) -> None:
        if moment == "after_intent":
            both.wait(MEET_WITHIN_S)

    desk = desks(meet)
    with ThreadPoolExecutor(2) as threads:
        answers = [threads.submit(desk.work, of_partition(partition, range(3))) for partition in (0, 1)]
        side_by_side = [receipt for answer in answers for receipt in answer.result()]
    quiet = desks(kept=alone)
    in_turn = quiet.work(of_partition(0, range(3))) + quiet.work(of_partition(1, range(3)))

    assert side_by_side == in_turn == [(partition, offset) for partition in (0, 1) for offset in range(3)]
    assert contents(store) == contents(alone)
    assert store.tables[EVENTS].num_rows == 2 * 3 * 2


def test_a_hole_in_one_partition_keeps_no_other_from_its_blocks(desks: Callable[..., Desk], store: MemoryStore) -> None:
    """What is wrong is raised where it is wrong, and a later worker stores the rest."""
    broken = desks()
    with pytest.raises(Stop, match=r"offset 0 of .* is missing"):
        broken.work(of_partition(1, range(1, 4)))
    assert broken.work(of_partition(0, range(4)))[-1] == (0, 3)
    assert store.tables[EVENTS].num_rows == 4 * 2

    whole = desks()
    assert whole.work([record for record in records(range(4)) if record.partition != 0])[-1] == (2, 3)
    assert store.tables[EVENTS].num_rows == len(PARTITIONS) * 4 * 2


def test_counts_of_all_partitions_are_added_up(desks: Callable[..., Desk]) -> None:
    """Also when blocks end at the same time, again and again."""
    desk = desks()
    with ThreadPoolExecutor(len(PARTITIONS)) as threads:
        for offset in range(20):
            list(threads.map(desk.work, (of_partition(at, range(offset, offset + 1)) for at in PARTITIONS)))

    assert (desk.blocks, desk.totals.received, desk.totals.stored) == (60, 120, 120)
    assert desk.next_offsets() == dict.fromkeys(PARTITIONS, 20)
