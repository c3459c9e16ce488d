"""Runs of keys, files of them and workers that keep such files, for tests."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor, Future
from pathlib import Path
from typing import Any

import numpy as np

from core.clock import ManualClock
from streams.claim import Claims, LogSeen
from streams.key_files import KeyFiles
from streams.key_index import KeyRun, sorted_run
from streams.key_segment import Covers, Segment
from streams.key_segment_writer import SegmentWriter
from streams.ledger import Ledger, SealedBlocks
from streams.ledger_memory import MemoryLedger
from streams.ledger_postgres import PostgresLedger
from streams.partition import Partition
from streams.rebuild import KeySource, KeysWanted
from streams.sink import Moment, no_failpoint
from streams.store import BlockStore, ClickHouseStore
from streams.store_memory import MemoryStore
from tests.streams.builders import parts

COVERS = Covers("usage", 0, (0, 0), (1, 10))


class AtOnce(Executor):
    """Does what is submitted before it returns."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """See ``Executor.submit``."""
        done: Future[Any] = Future()
        try:
            done.set_result(fn(*args, **kwargs))
        except OSError as error:
            done.set_exception(error)
        return done


def random_run(count: int, seed: int, stored_s: int = 100) -> KeyRun:
    """Keys like those of life: evenly spread."""
    words = np.random.default_rng(seed).integers(0, 2**64, (3, count), dtype=np.uint64)
    return sorted_run(words[0], words[1], words[2], np.full(count, stored_s, dtype=np.uint32))


def segment_of(path: Path, run: KeyRun, covers: Covers = COVERS) -> Segment:
    """A run in a file."""
    writer = SegmentWriter(path, len(run) + 5)
    for start in range(0, len(run), 1000):
        writer.append(run.part(start, start + 1000))
    return writer.finish(covers)


class Counting(MemoryStore):
    """Remembers which keys were asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[KeysWanted] = []
        self.read = 0

    def read_keys(self, wanted: KeysWanted, first: int, last: int) -> KeyRun:
        """Read, and remember."""
        self.asked.append(wanted)
        found = super().read_keys(wanted, first, last)
        self.read += len(found)
        return found


def key_files(folder: Path, ledger: Ledger, store: BlockStore, memory_keys: int = 10) -> KeyFiles:
    """Files that hold nearly everything, because next to nothing may stay in memory."""
    assert isinstance(ledger, MemoryLedger | PostgresLedger)
    assert isinstance(store, MemoryStore | ClickHouseStore)
    blocks: SealedBlocks = ledger
    source: KeySource = store
    return KeyFiles(folder, blocks, source, AtOnce(), memory_keys=memory_keys, keys_at_once=9)


def claim_with_files(
    ledger: Ledger,
    store: BlockStore,
    folder: Path,
    clock: ManualClock,
    *,
    owner: str = "w",
    incarnation: int = 1,
    memory_keys: int = 10,
    failpoint: Callable[[Moment], None] = no_failpoint,
) -> Partition:
    """A fresh process on the files in ``folder``; at most ten rows a block."""
    outside = parts(ledger, store, clock, failpoint=failpoint)
    files = key_files(folder, ledger, store, memory_keys)
    log = LogSeen("usage", incarnation)
    return Claims(outside, log, owner=owner, clock=clock, rows_max=10, files=files).claim(0)
