"""Damaged, lost and refused key files, and crashes at any moment: they cost time and nothing else."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.clock import ManualClock
from streams.block import Counts
from streams.key_manifest import epochs_in
from streams.key_segment import column_offsets
from streams.ledger_memory import MemoryLedger
from streams.rows import EVENTS, UNIQUES, WINDOWS
from streams.sink import Moment
from streams.store_memory import MemoryStore
from tests.streams.builders import NOON
from tests.streams.key_builders import Counting, claim_with_files
from tests.streams.key_owner import (
    AGAIN,
    FIRST,
    MOMENTS,
    Killed,
    drive,
    log_of,
    named_segments,
    only_folder,
    segments_in,
)


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
