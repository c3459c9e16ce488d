"""Key files in the life of a partition: they save time, and nothing ever depends on them."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import get_args
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.clock import ManualClock
from core.errors import Stop
from streams.block import Counts
from streams.decode import Message
from streams.key_folder import KeyFolder
from streams.key_manifest import epochs_in, read_manifest
from streams.key_segment import column_offsets
from streams.ledger import Lease, Ledger
from streams.ledger_memory import MemoryLedger
from streams.partition import Partition
from streams.rows import EVENTS, UNIQUES, WINDOWS
from streams.sink import Moment
from streams.store import BlockStore
from streams.store_memory import MemoryStore
from tests.streams.builders import NOON, Said, messages
from tests.streams.key_builders import Counting, claim_with_files

MOMENTS: tuple[Moment, ...] = get_args(Moment)


class Killed(BaseException):
    """What a failpoint raises in the place of SIGKILL."""


def said(number: int) -> Said:
    """One of many distinct events."""
    return Said(str(number), {"tokens": "1"})


def log_of(numbers: Sequence[int], first_offset: int = 0, producer: int = 1) -> list[Message]:
    """Two events a message."""
    groups = [[said(number) for number in numbers[at : at + 2]] for at in range(0, len(numbers), 2)]
    return messages(groups, first_offset, UUID(int=producer))


def drive(partition: Partition, log: Sequence[Message]) -> Counts:
    """Deliver everything; returns the sums of stored and duplicates."""
    waiting, stored, duplicates = list(log), 0, 0
    while waiting:
        advance = partition.advance(waiting)
        if not advance.count:
            break
        if advance.counts is not None:
            stored, duplicates = stored + advance.counts.stored, duplicates + advance.counts.duplicates
        del waiting[: advance.count]
    return Counts(stored=stored, duplicates=duplicates)


def only_folder(folder: Path) -> Path:
    """The folder of partition 0."""
    return folder / "0"


def segments_in(folder: Path) -> list[Path]:
    """The key files of partition 0."""
    return sorted(only_folder(folder).glob("*.keys"))


def named_segments(folder: Path) -> list[Path]:
    """The key files that the latest manifest names."""
    epochs = epochs_in(only_folder(folder))
    manifest = read_manifest(epochs[max(epochs)])
    return [only_folder(folder) / entry.name for entry in manifest.entries]


FIRST = log_of(range(100))
AGAIN = log_of(range(100), first_offset=50)


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


def flip(path: Path) -> None:
    """One bit of a key."""
    contents = bytearray(path.read_bytes())
    contents[column_offsets(0)[0]] ^= 4
    path.write_bytes(contents)


def cut(path: Path) -> None:
    """Half of the file."""
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def garbage(path: Path) -> None:
    """Something else under this name."""
    path.write_bytes(b"not what you think")


@pytest.mark.parametrize("harm", [flip, cut, garbage, Path.unlink])
@pytest.mark.parametrize("which", [0, -1])
def test_a_damaged_segment_costs_time_only(tmp_path: Path, harm: Callable[[Path], None], which: int) -> None:
    """Everything is read again, and every copy is found; the damaged files are gone afterwards."""
    clock, ledger, store = ManualClock(NOON), MemoryLedger(ManualClock(NOON), lambda: 1), Counting()
    drive(claim_with_files(ledger, store, tmp_path, clock), FIRST)
    harm(named_segments(tmp_path)[which])

    partition = claim_with_files(ledger, store, tmp_path, clock)

    assert store.read == 100
    assert drive(partition, AGAIN) == Counts(duplicates=100)
    store.read = 0
    claim_with_files(ledger, store, tmp_path, clock)
    assert store.read <= 30


@pytest.mark.parametrize("harm", [cut, garbage, Path.unlink])
def test_a_damaged_manifest_costs_time_only(tmp_path: Path, harm: Callable[[Path], None]) -> None:
    """The same."""
    clock, ledger, store = ManualClock(NOON), MemoryLedger(ManualClock(NOON), lambda: 1), Counting()
    drive(claim_with_files(ledger, store, tmp_path, clock), FIRST)
    for path in epochs_in(only_folder(tmp_path)).values():
        harm(path)

    assert drive(claim_with_files(ledger, store, tmp_path, clock), AGAIN) == Counts(duplicates=100)


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


def test_a_disk_that_fails_costs_memory_only(tmp_path: Path) -> None:
    """No folder can be made where a file lies: everything stays in memory."""
    clock, ledger, store = ManualClock(NOON), MemoryLedger(ManualClock(NOON), lambda: 1), MemoryStore()
    (tmp_path / "0").write_bytes(b"")

    partition = claim_with_files(ledger, store, tmp_path, clock)

    assert partition.claimed.keeper is None
    assert drive(partition, FIRST) == Counts(stored=100)
    assert drive(partition, AGAIN) == Counts(duplicates=100)


def test_a_disk_that_fails_later_costs_memory_only(tmp_path: Path) -> None:
    """The folder goes away under a running worker, and comes back."""
    clock, ledger, store = ManualClock(NOON), MemoryLedger(ManualClock(NOON), lambda: 1), MemoryStore()
    partition = claim_with_files(ledger, store, tmp_path, clock)
    drive(partition, FIRST[:20])
    shutil.rmtree(only_folder(tmp_path))
    drive(partition, FIRST[20:35])
    only_folder(tmp_path).mkdir()
    drive(partition, FIRST[35:])

    assert drive(partition, AGAIN) == Counts(duplicates=100)
    assert drive(claim_with_files(ledger, store, tmp_path, clock), log_of(range(100), 100)) == Counts(duplicates=100)


def killing(moment: Moment, count: int) -> Callable[[Moment], None]:
    """Die when a moment comes for the ``count``-th time."""
    left = count

    def failpoint(now: Moment) -> None:
        nonlocal left
        left -= now == moment
        if not left:
            raise Killed

    return failpoint


def contents(store: MemoryStore) -> list[object]:
    """Everything in the store."""
    return [store.tables[table].to_pylist() for table in (EVENTS, WINDOWS, UNIQUES)]


crash = st.tuples(st.sampled_from(MOMENTS), st.integers(1, 12), st.sampled_from(["keep", "lose", "flip", "other host"]))


@given(st.lists(crash, max_size=8))
@settings(max_examples=20, deadline=None)
def test_crashes_and_lost_files_change_nothing_in_the_end(crashes: list[tuple[Moment, int, str]]) -> None:
    """The rows are those of an undisturbed worker without any files."""
    numbers = [number % 37 for number in range(80)]
    log, clock = log_of(numbers), ManualClock(NOON)
    ledger, store = MemoryLedger(clock, lambda: 1), MemoryStore()
    undisturbed = MemoryStore()
    with TemporaryDirectory() as first, TemporaryDirectory() as second, TemporaryDirectory() as third:
        drive(claim_with_files(MemoryLedger(clock, lambda: 1), undisturbed, Path(third), clock, memory_keys=10**6), log)
        homes = [Path(first), Path(second)]
        for moment, count, harm in crashes:
            try:
                drive(claim_with_files(ledger, store, homes[0], clock, failpoint=killing(moment, count)), log)
            except Killed:
                disturb(homes, harm)
        drive(claim_with_files(ledger, store, homes[0], clock), log)

    assert contents(store) == contents(undisturbed)


def disturb(homes: list[Path], harm: str) -> None:
    """What may happen to a home between two workers."""
    if harm == "lose":
        shutil.rmtree(only_folder(homes[0]), ignore_errors=True)
    elif harm == "flip":
        for path in segments_in(homes[0])[:1]:
            flip(path)
    elif harm == "other host":
        homes.reverse()
