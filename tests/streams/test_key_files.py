"""Key files in the life of a partition: they save time, and nothing ever depends on them."""

from __future__ import annotations

import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from core.clock import ManualClock
from core.errors import Stop
from streams.block import Counts
from streams.key_folder import KeyFolder
from streams.ledger import Lease, Ledger
from streams.ledger_memory import MemoryLedger
from streams.store import BlockStore
from streams.store_memory import MemoryStore
from tests.streams.builders import NOON
from tests.streams.key_builders import Counting, claim_with_files
from tests.streams.key_owner import (
    AGAIN,
    FIRST,
    drive,
    log_of,
    named_segments,
    segments_in,
)


def test_a_new_owner_reads_only_what_the_files_do_not_hold(ledger: Ledger, store: BlockStore, tmp_path: Path) -> None:
    """With the ledger and the store of life too; each copy is found, wherever the first one lies."""
    clock = ManualClock(NOON)
    drive(claim_with_files(ledger, store, tmp_path, clock), FIRST)

    partition = claim_with_files(ledger, store, tmp_path, clock)
    counts = drive(partition, AGAIN)

    assert named_segments(tmp_path)
    assert counts == Counts(duplicates=100)


def test_few_keys_are_read_after_a_restart(tmp_path: Path) -> None:
    """Those in memory at most, which are twice as many as may be."""
    clock, ledger, store = ManualClock(NOON), MemoryLedger(ManualClock(NOON), lambda: 1), Counting()
    drive(claim_with_files(ledger, store, tmp_path, clock), FIRST)

    claim_with_files(ledger, store, tmp_path, clock)

    assert store.read <= 30


def test_files_and_memory_stay_within_their_bounds(tmp_path: Path) -> None:
    """However many blocks there were; what was merged is gone from the disk."""
    clock, ledger, store = ManualClock(NOON), MemoryLedger(ManualClock(NOON), lambda: 1), MemoryStore()
    partition = claim_with_files(ledger, store, tmp_path, clock)
    drive(partition, log_of(range(600)))

    index, keeper = partition.claimed.known.index, partition.claimed.keeper
    assert keeper is not None
    assert len(index) == 600
    assert keeper.in_memory(index) <= 30
    assert len(keeper.segments) <= 6
    assert len(segments_in(tmp_path)) <= len(keeper.segments) + 6


def test_files_that_would_be_too_large_together_stay_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A merged file has a bound; the partition goes on with more files, and every copy is found."""
    monkeypatch.setattr("streams.key_keeper.KEYS_MAX", 40)
    clock, ledger, store = ManualClock(NOON), MemoryLedger(ManualClock(NOON), lambda: 1), MemoryStore()
    partition = claim_with_files(ledger, store, tmp_path, clock)
    drive(partition, log_of(range(600)))

    keeper = partition.claimed.keeper
    assert keeper is not None
    assert max(len(segment.run) for segment in keeper.segments) <= 40
    assert len(keeper.segments) >= 600 // 40 - 1
    assert drive(partition, log_of(range(600), first_offset=300)) == Counts(duplicates=600)


def test_an_old_copy_of_the_folder_is_harmless(tmp_path: Path) -> None:
    """Restored from a backup: the blocks after it are read from the store."""
    clock, ledger, store = ManualClock(NOON), MemoryLedger(ManualClock(NOON), lambda: 1), Counting()
    drive(claim_with_files(ledger, store, tmp_path / "d", clock), FIRST[:25])
    shutil.copytree(tmp_path / "d", tmp_path / "backup")
    drive(claim_with_files(ledger, store, tmp_path / "d", clock), FIRST)
    shutil.rmtree(tmp_path / "d")
    shutil.copytree(tmp_path / "backup", tmp_path / "d")
    store.read = 0

    partition = claim_with_files(ledger, store, tmp_path / "d", clock)

    assert 50 <= store.read <= 80
    assert drive(partition, AGAIN) == Counts(duplicates=100)


@pytest.mark.parametrize("sealed_before", [0, 10, 50])
def test_files_of_another_ledger_are_not_believed(tmp_path: Path, sealed_before: int) -> None:
    """Books set up anew or restored: the files may be ahead of them, or tell of blocks that never were."""
    clock = ManualClock(NOON)
    drive(claim_with_files(MemoryLedger(clock, lambda: 1), MemoryStore(), tmp_path, clock), FIRST)
    clock.advance(hours=1)
    ledger, store = MemoryLedger(clock, lambda: 1), MemoryStore()
    with TemporaryDirectory() as elsewhere:
        other = log_of(range(1000, 1000 + 2 * sealed_before))
        drive(claim_with_files(ledger, store, Path(elsewhere), clock), other)

    counts = drive(claim_with_files(ledger, store, tmp_path, clock), log_of(range(100), first_offset=sealed_before))

    assert counts == Counts(stored=100)
    assert drive(claim_with_files(ledger, store, tmp_path, clock), log_of(range(100), sealed_before + 50)) == Counts(
        duplicates=100
    )


def test_files_go_on_into_a_log_made_anew(tmp_path: Path) -> None:
    """Offsets start at 0 again; the keys of the old log still count."""
    clock, ledger, store = ManualClock(NOON), MemoryLedger(ManualClock(NOON), lambda: 1), Counting()
    drive(claim_with_files(ledger, store, tmp_path, clock), FIRST)
    new = claim_with_files(ledger, store, tmp_path, clock, incarnation=2)
    # Another producer: these are clients' events, not the journal's second delivery.
    drive(new, log_of(range(100, 160), producer=2))
    store.read = 0

    partition = claim_with_files(ledger, store, tmp_path, clock, incarnation=2)

    assert store.read <= 30
    assert drive(partition, log_of(range(160), first_offset=30, producer=2)) == Counts(duplicates=160)


def test_a_zombie_cannot_touch_what_the_new_owner_has(tmp_path: Path) -> None:
    """It may not know yet that it was overtaken when it publishes and removes files."""
    clock, ledger, store = ManualClock(NOON), MemoryLedger(ManualClock(NOON), lambda: 1), Counting()
    zombie = claim_with_files(ledger, store, tmp_path, clock, owner="old")
    drive(zombie, FIRST[:30])
    new = claim_with_files(ledger, store, tmp_path, clock, owner="new")
    keeper = zombie.claimed.keeper
    assert keeper is not None
    assert keeper.complete_to is not None

    published = keeper.folder.publish(
        keeper.folder.manifest(keeper.complete_to, keeper.segments), segments_in(tmp_path)
    )
    with pytest.raises(Stop, match="no longer ours"):
        drive(zombie, FIRST[30:])
    drive(new, FIRST[30:])

    assert not published
    store.read = 0
    assert drive(claim_with_files(ledger, store, tmp_path, clock), AGAIN) == Counts(duplicates=100)
    assert store.read <= 30


def test_two_owners_never_give_a_file_the_same_name(tmp_path: Path) -> None:
    """Not even with the same epoch, as after the books were set up anew."""
    lease = Lease("usage", 0, "w", 1)

    assert KeyFolder(tmp_path, lease).new_file() != KeyFolder(tmp_path, lease).new_file()


@pytest.mark.parametrize("days", [1, 30, 34])
def test_a_copy_many_days_later_is_found(
    ledger_and_clock: tuple[MemoryLedger, ManualClock], tmp_path: Path, days: int
) -> None:
    """In files that were merged many times since, and by another owner than the first."""
    ledger, clock = ledger_and_clock
    store = Counting()
    drive(claim_with_files(ledger, store, tmp_path, clock), log_of(range(20)))
    offset = 10
    for day in range(days):
        clock.advance(days=1)
        partition = claim_with_files(ledger, store, tmp_path, clock)
        drive(partition, log_of(range(1000 + 20 * day, 1020 + 20 * day), offset))
        offset += 10

    assert drive(claim_with_files(ledger, store, tmp_path, clock), log_of(range(20), offset)) == Counts(duplicates=20)


def test_a_copy_after_the_horizon_is_new(ledger_and_clock: tuple[MemoryLedger, ManualClock], tmp_path: Path) -> None:
    """And the old keys leave the files."""
    ledger, clock = ledger_and_clock
    store = MemoryStore()
    partition = claim_with_files(ledger, store, tmp_path, clock)
    drive(partition, log_of(range(200)))
    clock.advance(days=37)

    assert drive(partition, log_of(range(20), 100)) == Counts(stored=20)
    drive(partition, log_of(range(1000, 2200), 110))
    assert len(partition.claimed.known.index) < 1300


@pytest.fixture
def ledger_and_clock(clock: ManualClock) -> tuple[MemoryLedger, ManualClock]:
    """A ledger whose time is moved by hand."""
    return MemoryLedger(clock, lambda: 1), clock
