"""Opens a partition's key files when it is claimed, and reads from the store what they do not hold."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from pathlib import Path

from core.logs import get_logger
from streams.key_filter import GrowingFilter
from streams.key_folder import KeyFolder
from streams.key_index import KeyIndex, KeyRun
from streams.key_keeper import KeyKeeper
from streams.key_manifest import point_after
from streams.key_segment import Covers, Segment
from streams.key_segment_writer import SegmentWriter
from streams.ledger import Lease, SealedBlocks
from streams.plan import Intent
from streams.rebuild import KEYS_AT_ONCE, KeySource, KeysWanted, joined, slices
from streams.retry import Retry

# 7 MB; twice as much while a file is being written.
MEMORY_KEYS = 1 << 18


@dataclass(frozen=True, slots=True)
class KeyFiles:
    """Where a worker keeps the key files of a topic, and where the keys come from when there are none.

    ``background`` waits for the disk; it needs one thread. ``memory_keys`` is how many keys of a partition stay in
    memory, up to twice as many for a while.
    """

    folder: Path
    blocks: SealedBlocks
    source: KeySource
    background: Executor
    memory_keys: int = MEMORY_KEYS
    keys_at_once: int = KEYS_AT_ONCE

    def load(
        self, retry: Retry, lease: Lease, horizon_from: datetime, leaving_out: Sequence[Intent]
    ) -> tuple[KeyIndex, KeyKeeper | None]:
        """All keys of the partition's sealed blocks since ``horizon_from``, and the keeper of what follows.

        Without a keeper if the disk fails: everything then stays in memory.
        """
        wanted = KeysWanted(lease.partition, horizon_from, tuple(leaving_out))
        try:
            return self._load(retry, lease, wanted)
        except OSError as error:
            get_logger("streams").warning("no files for the dedupe index", partition=lease.partition, why=str(error))
            return KeyIndex().with_added(joined(list(self._read(retry, wanted, self._count(retry, wanted)))), 0), None

    def _load(self, retry: Retry, lease: Lease, wanted: KeysWanted) -> tuple[KeyIndex, KeyKeeper]:
        folder = KeyFolder(self.folder / str(lease.partition), lease)
        found = folder.load(lambda block: retry("asking for a block", lambda: self.blocks.has_sealed(lease, block)))
        folder.clean(found)
        segments = [] if found is None else list(found.segments)
        complete_to = None if found is None else found.complete_to
        wanted = replace(wanted, after=point_after(complete_to))
        parts: list[KeyRun] = []
        last = retry("asking for a block", lambda: self.blocks.last_sealed(lease))
        # What nobody sealed has no place in files; such rows are another ledger's.
        total = self._count(retry, wanted)
        if last is not None and total > self.memory_keys:
            writer = SegmentWriter(folder.new_file(), total)
            for part in self._read(retry, wanted, total):
                writer.append(part)
            segments.append(writer.finish(Covers(lease.topic, lease.partition, wanted.after, point_after(last))))
            complete_to = last
        else:
            parts = list(self._read(retry, wanted, total))
        if complete_to is not None and segments:
            folder.publish(folder.manifest(complete_to, segments), () if found is None else (found.manifest,))
        index = index_of(segments).with_added(joined(parts), 0)
        return index, KeyKeeper(folder, self.memory_keys, self.background, complete_to, segments)

    def _count(self, retry: Retry, wanted: KeysWanted) -> int:
        return retry("counting keys", lambda: self.source.count_keys(wanted))

    def _read(self, retry: Retry, wanted: KeysWanted, total: int) -> Iterator[KeyRun]:
        """The keys in the order of their high words, a few at a time: one answer with all would not fit."""
        for first, last in slices(total, self.keys_at_once):
            yield retry("reading keys", partial(self.source.read_keys, wanted, first, last))


def index_of(segments: Sequence[Segment]) -> KeyIndex:
    """An index of the keys in files."""
    if not segments:
        return KeyIndex()
    known = GrowingFilter(sum(len(segment.run) for segment in segments))
    for segment in segments:
        known.add(segment.run.high)
        segment.let_go()
    return KeyIndex((), tuple(segment.run for segment in segments), known)
