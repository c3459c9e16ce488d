"""A partition between crashes: whatever dies, wherever, each event is stored once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import get_args

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.clock import ManualClock
from core.errors import Stop, Transient
from streams.claim import Claims, LogSeen
from streams.decode import Message, Readable
from streams.key_index import KeyRun
from streams.ledger import Lease, Ledger, Seal
from streams.ledger_memory import MemoryLedger
from streams.partition import Partition
from streams.plan import Intent
from streams.rows import EVENTS, FATES, UNIQUES, WINDOWS
from streams.sink import Moment, no_failpoint
from streams.store import BlockStore
from streams.store_memory import MemoryStore
from tests.streams.builders import NOON, Said, envelope, messages, meter, parts

MOMENTS: tuple[Moment, ...] = get_args(Moment)
METERS = (meter("tokens"), meter("models", "unique", "model"))
Failpoint = Callable[[Moment], None]


class Killed(BaseException):
    """What a failpoint raises in the place of SIGKILL: nothing of ours catches it."""


def killing(moment: Moment) -> Failpoint:
    """Die the first time that a moment comes."""

    def failpoint(now: Moment) -> None:
        if now == moment:
            raise Killed

    return failpoint


def claim(
    ledger: Ledger, store: BlockStore, *, incarnation: int = 1, failpoint: Failpoint = no_failpoint, owner: str = "w"
) -> Partition:
    """A fresh process that takes partition 0 over; at most four rows a block."""
    clock = ManualClock(NOON)
    outside = parts(ledger, store, clock, *METERS, failpoint=failpoint)
    return Claims(outside, LogSeen("usage", incarnation), owner=owner, clock=clock, rows_max=4).claim(0)


def drive(partition: Partition, log: Sequence[Message]) -> None:
    """Deliver everything from the start, whatever is sealed already."""
    waiting = list(log)
    while waiting:
        count = partition.advance(waiting).count
        if not count:
            break
        del waiting[:count]


def said(number: int) -> Said:
    """One of a hundred distinct events."""
    return Said(str(number), {"tokens": str(number), "model": f"m{number % 3}"})


def log_of(count: int) -> list[Message]:
    """Messages of one to three events, each event twice in the log."""
    groups = [[said(number + extra) for extra in range(number % 3 + 1)] for number in range(count)]
    return messages([*groups, *groups])


def stored(store: MemoryStore) -> list[str]:
    """The ids of stored events."""
    rows = store.tables[EVENTS].select(["event_id", "fate"]).to_pylist()
    return sorted(row["event_id"] for row in rows if FATES[row["fate"]] == "stored")


def contents(store: MemoryStore) -> list[object]:
    """Everything in the store, in an order of its own."""
    return [store.tables[table].to_pylist() for table in (EVENTS, WINDOWS, UNIQUES)]


@pytest.mark.parametrize("moment", [moment for moment in MOMENTS if moment != "after_ack"])
def test_a_crash_between_two_steps_changes_nothing_in_the_end(
    memory: tuple[MemoryLedger, MemoryStore], moment: Moment
) -> None:
    """The next owner leaves the very rows that an undisturbed one leaves."""
    ledger, store = memory
    undisturbed = MemoryStore()
    drive(claim(MemoryLedger(ManualClock(NOON), lambda: 1), undisturbed), log_of(6))
    for _ in range(3):
        with pytest.raises(Killed):
            drive(claim(ledger, store, failpoint=killing(moment)), log_of(6))

    drive(claim(ledger, store), log_of(6))

    assert contents(store) == contents(undisturbed)


@given(st.lists(st.tuples(st.sampled_from(MOMENTS), st.integers(1, 9)), max_size=12), st.integers(0, 9))
@settings(max_examples=120, deadline=None)
def test_any_series_of_crashes_stores_each_event_once(crashes: list[tuple[Moment, int]], length: int) -> None:
    """Crashes at any moments, with the log arriving in any lengths, lose nothing and double nothing."""
    ledger, store, log = MemoryLedger(ManualClock(NOON), lambda: 1), MemoryStore(), log_of(length)
    for moment, arrived in crashes:
        try:
            drive(claim(ledger, store, failpoint=killing(moment)), log[:arrived])
        except Killed:
            continue
    drive(claim(ledger, store), log)

    expected = {event for message in log if isinstance(message, Readable) for event in ids(message)}
    assert stored(store) == sorted(expected)


def ids(message: Readable) -> list[str]:
    """The ids of a message's events."""
    found: list[str] = message.envelope.events.column("event_id").to_pylist()
    return found


@pytest.mark.parametrize("moment", ["after_intent", "after_events", "after_windows", "after_seal"])
def test_a_log_made_anew_is_taken_in_from_its_start(memory: tuple[MemoryLedger, MemoryStore], moment: Moment) -> None:
    """The open block of the lost log is given up; the journal brings its envelopes again, in other company."""
    ledger, store = memory
    old = log_of(4)
    drive(claim(ledger, store), old[:2])
    with pytest.raises(Killed):
        drive(claim(ledger, store, failpoint=killing(moment)), old)
    again = [
        Readable(place, message.envelope)
        for place, message in enumerate(reversed(old))
        if isinstance(message, Readable)
    ]

    drive(claim(ledger, store, incarnation=2), again)

    expected = {event for message in old if isinstance(message, Readable) for event in ids(message)}
    assert stored(store) == sorted(expected)
    assert sum(row["events"] for row in store.tables[WINDOWS].to_pylist()) == 2 * len(expected)


def test_what_was_sealed_in_the_old_log_is_redelivered_not_received(memory: tuple[MemoryLedger, MemoryStore]) -> None:
    """Producer and sequence tell the journal's second delivery from a client's repeat."""
    ledger, store = memory
    drive(claim(ledger, store), [Readable(0, envelope([said(1)], 1))])

    partition = claim(ledger, store, incarnation=2)
    again = partition.advance([Readable(0, envelope([said(1)], 1)), Readable(1, envelope([said(1)], 2))])

    assert again.counts is not None
    assert (again.counts.redelivered, again.counts.duplicates, again.counts.received) == (1, 1, 1)


def test_a_zombie_is_stopped_at_its_next_step(memory: tuple[MemoryLedger, MemoryStore]) -> None:
    """An owner that was overtaken raises ``Stop``, and what it had begun is done once, by the new one."""
    ledger, store = memory
    zombie = claim(ledger, store, owner="old")
    new = claim(ledger, store, owner="new")

    with pytest.raises(Stop, match="no longer ours"):
        drive(zombie, log_of(2))
    drive(new, log_of(2))

    assert stored(store) == ["0", "1", "2"]


def test_a_hole_stops_us(memory: tuple[MemoryLedger, MemoryStore]) -> None:
    """Offset 0 never came."""
    with pytest.raises(Stop, match=r"offset 0 of .* is missing: the log goes on at 1"):
        claim(*memory).advance(log_of(2)[1:])


def test_a_redo_on_a_changed_log_stops_us(memory: tuple[MemoryLedger, MemoryStore]) -> None:
    """Other messages at the same offsets would be swallowed by the old tokens."""
    ledger, store = memory
    with pytest.raises(Killed):
        drive(claim(ledger, store, failpoint=killing("after_events")), log_of(2))
    clock = ManualClock(NOON)
    claims = Claims(
        parts(ledger, store, clock, *METERS),
        LogSeen("usage", 1),
        owner="w",
        clock=clock,
        log_unchanged=lambda: False,
    )

    with pytest.raises(Stop, match="changed"):
        drive(claims.claim(0), log_of(2))


class Stubborn(MemoryLedger):
    """A ledger whose first answers get lost after they took effect."""

    def __init__(self, lost: int) -> None:
        super().__init__(ManualClock(NOON), lambda: 1)
        self.lost = lost

    def seal(self, lease: Lease, intent: Intent, seal: Seal) -> None:
        """Seal, and then perhaps not say so."""
        super().seal(lease, intent, seal)
        if self.lost:
            self.lost -= 1
            raise Transient("the answer got lost")


def test_lost_answers_are_asked_for_again() -> None:
    """A seal whose answer got lost is made again, and is one seal."""
    ledger, store = Stubborn(lost=2), MemoryStore()

    drive(claim(ledger, store), log_of(1))

    assert stored(store) == ["0"]
    assert ledger.partitions["usage", 0].position.next_offset == 2


def test_a_store_that_stays_away_stops_us() -> None:
    """Retries have a bound; the block stays open for the next owner."""
    ledger, store = Stubborn(lost=10_000), MemoryStore()

    with pytest.raises(Stop, match="sealing a block did not succeed"):
        drive(claim(ledger, store), log_of(1))


def test_a_partition_taken_back_keeps_its_keys() -> None:
    """After a rebalance that brought it back to the same worker, the store is not asked for all keys again."""
    asked = []

    class Counting(MemoryStore):
        def keys(self, partition: int, horizon_from: datetime, leaving_out: Sequence[Intent]) -> KeyRun:
            asked.append(partition)
            return super().keys(partition, horizon_from, leaving_out)

    clock, ledger = ManualClock(NOON), MemoryLedger(ManualClock(NOON), lambda: 1)
    claims = Claims(parts(ledger, Counting(), clock, *METERS), LogSeen("usage", 1), owner="w", clock=clock)
    log = log_of(3)
    claims.claim(0).advance(log[:3])

    counts = claims.claim(0).advance(log[3:]).counts

    assert len(asked) == 1
    assert counts is not None
    assert counts.duplicates == counts.received


def test_an_insert_that_ends_while_its_block_is_given_up_takes_nothing_away() -> None:
    """Its rows come after they were deleted and before the keys are read: the new log's copies still are the first."""
    ledger, late = MemoryLedger(ManualClock(NOON), lambda: 1), list[tuple[str, pa.Table, str]]()

    class Slow(MemoryStore):
        def insert(self, table: str, rows: pa.Table, token: str) -> None:
            if token.startswith("usage:1:"):
                late.append((table, rows, token))
                raise Killed
            super().insert(table, rows, token)

        def keys(self, partition: int, horizon_from: datetime, leaving_out: Sequence[Intent]) -> KeyRun:
            while late:
                super().insert(*late.pop())
            return super().keys(partition, horizon_from, leaving_out)

    store = Slow()
    with pytest.raises(Killed):
        drive(claim(ledger, store), log_of(1))
    drive(claim(ledger, store, incarnation=2), log_of(1))

    claim(ledger, store, incarnation=2)

    assert stored(store) == ["0"]
