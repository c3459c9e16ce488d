"""Partitions side by side: what each of them does is what it would have done alone."""

from __future__ import annotations

from collections.abc import Callable
from threading import Barrier, Event
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

    def make(at_once: int, failpoint: Failpoint = no_failpoint, kept: MemoryStore = store) -> Desk:
        own = ledger if kept is store else MemoryLedger(clock, lambda: 1)
        outside = parts(own, kept, clock, meter(), failpoint=failpoint)
        desk = Desk(Claims(outside, LogSeen("usage", 1), owner="w", clock=clock).claim, blocks_at_once=at_once)
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


def test_two_blocks_are_under_way_at_once_and_leave_the_same_rows(
    desks: Callable[..., Desk], store: MemoryStore
) -> None:
    """Each waits in the middle for one of another partition; a desk that did one at a time would stand still."""
    both, alone = Barrier(2), MemoryStore()
    meetings: list[Moment] = []

    def meet(moment: Moment) -> None:
        # The third partition has nobody to wait for.
        if moment == "after_intent" and len(meetings) < 2:
            meetings.append(moment)
            both.wait(MEET_WITHIN_S)

    side_by_side = desks(2, meet).work(records(range(3)))
    in_turn = desks(1, kept=alone).work(records(range(3)))

    assert side_by_side == in_turn == [(partition, offset) for partition in PARTITIONS for offset in range(3)]
    assert contents(store) == contents(alone)
    assert store.tables[EVENTS].num_rows == len(PARTITIONS) * 3 * 2


def test_an_error_is_raised_while_another_partition_still_waits(desks: Callable[..., Desk], store: MemoryStore) -> None:
    """A worker that must leave does not wait for a store that may never answer; what comes later stores the rest."""
    answer = Event()

    def wait_for_the_store(moment: Moment) -> None:
        if moment == "after_intent":
            answer.wait(MEET_WITHIN_S)

    broken = desks(2, wait_for_the_store)
    gap = [record for record in records(range(4)) if record.partition != 1 or record.offset != 0]

    with pytest.raises(Stop, match=r"offset 0 of .* is missing"):
        broken.work(gap)
    assert store.tables[EVENTS].num_rows == 0
    answer.set()

    whole = desks(2)
    assert whole.work(records(range(4)))[-1] == (2, 3)
    assert store.tables[EVENTS].num_rows == len(PARTITIONS) * 4 * 2


def test_counts_of_all_partitions_are_added_up(desks: Callable[..., Desk]) -> None:
    """Also when blocks end at the same time, again and again."""
    desk = desks(2)
    for offset in range(20):
        desk.work(records(range(offset, offset + 1)))

    assert (desk.blocks, desk.totals.received, desk.totals.stored) == (60, 120, 120)
    assert desk.next_offsets() == dict.fromkeys(PARTITIONS, 20)
