"""Keeps a partition's index within its bounds: recent runs in memory, older ones in files, merged a little a block.

The keeper belongs to one claim of a partition. It changes where keys lie, never which keys there are.
"""

from __future__ import annotations

from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from pathlib import Path

from core.logs import get_logger
from streams.key_folder import KeyFolder
from streams.key_index import KeyIndex, KeyRun, runs_to_merge
from streams.key_manifest import manifest_name, point_after
from streams.key_merge import KeyMerge
from streams.key_segment import KEYS_MAX, Covers, Point, Segment
from streams.key_segment_writer import SegmentWriter
from streams.ledger import Lease, SealedBlock

# Keys merged for each key that a block claims, and for a block at all: more would be a pause that is felt.
MERGED_PER_KEY = 16
MERGED_PER_BLOCK = (1 << 14, 1 << 19)
# A clock that steps back must not make keys wanted that were forgotten.
HORIZON_SLACK_S = 86_400


@dataclass(frozen=True, slots=True)
class Spill:
    """Runs on their way into a file, and the block up to which the files are complete then."""

    merge: KeyMerge
    complete_to: SealedBlock


@dataclass
class KeyKeeper:
    """The files of one claim. ``memory_keys`` bounds the recent runs: up to twice as many keys are in memory.

    Waiting for the disk happens in ``background``.
    """

    folder: KeyFolder
    memory_keys: int
    background: Executor
    complete_to: SealedBlock | None = None
    segments: list[Segment] = field(default_factory=list)
    _spill: Spill | None = None
    _compaction: KeyMerge | None = None
    _obsolete: list[Path] = field(default_factory=list)
    _publishing: Future[bool] | None = None
    _unpublished: bool = False
    _overtaken: bool = False
    # After trouble with the disk nothing is tried before so many keys are in memory.
    _rest_keys: int = 0

    def with_added(self, index: KeyIndex, claimed: KeyRun, block: SealedBlock, since_s: int) -> KeyIndex:
        """The index after one more sealed block, with some merging done. Keys stored before ``since_s`` may go.

        Raises ``Stop`` when a file turns out to be damaged: a new claim does without it.
        """
        since_s -= HORIZON_SLACK_S
        index = index.with_added(claimed, since_s)
        if self._overtaken:
            return index
        least, most = MERGED_PER_BLOCK
        keys = min(most, max(least, MERGED_PER_KEY * len(claimed)))
        try:
            index = self._spill_some(index, block, since_s, keys)
            index = self._compact_some(index, since_s, keys)
            self._publish()
        except OSError as error:
            self._rest(index, error)
        return index

    def renew(self, lease: Lease) -> None:
        """Go on under a later epoch of ours; nobody else had the partition since."""
        former = self.folder.path / manifest_name(self.folder.lease.epoch)
        self.folder = KeyFolder(self.folder.path, lease)
        self._obsolete.append(former)
        self._unpublished = bool(self.segments)

    def close(self) -> None:
        """Leave no unfinished file behind, and wait until what is being published is."""
        self._give_up()
        if self._publishing is not None:
            self._publishing.exception()

    def in_memory(self, index: KeyIndex) -> int:
        """How many keys of the index are not in files."""
        return len(index) - sum(len(segment.run) for segment in self.segments)

    def _spill_some(self, index: KeyIndex, block: SealedBlock, since_s: int, keys: int) -> KeyIndex:
        if self._spill is None and self.in_memory(index) >= max(self.memory_keys, self._rest_keys):
            index = index.put_by()
            runs = index.older[len(self.segments) :]
            writer = SegmentWriter(self.folder.new_file(), sum(map(len, runs)))
            self._spill = Spill(KeyMerge.of_runs(writer, runs, since_s), block)
        if self._spill is None or not self._spill.merge.step(keys):
            return index
        spill, self._spill = self._spill, None
        segment = spill.merge.finish(self._covers(point_after(self.complete_to), point_after(spill.complete_to)))
        self.segments.append(segment)
        self.complete_to, self._unpublished, self._rest_keys = spill.complete_to, True, 0
        return index.exchanged(spill.merge.runs, segment.run)

    def _compact_some(self, index: KeyIndex, since_s: int, keys: int) -> KeyIndex:
        if self._compaction is None:
            count = runs_to_merge([len(segment.run) for segment in self.segments])
            if not count or self._rest_keys:
                return index
            chosen = self.segments[-count:]
            capacity = sum(len(segment.run) for segment in chosen)
            if capacity > KEYS_MAX:
                # They stay files of their own.
                return index
            writer = SegmentWriter(self.folder.new_file(), capacity)
            self._compaction = KeyMerge.of_segments(writer, chosen, since_s)
        if not self._compaction.step(keys):
            return index
        merge, self._compaction = self._compaction, None
        sources = merge.segments
        segment = merge.finish(self._covers(sources[0].covers.since, sources[-1].covers.until))
        place = self.segments.index(sources[0])
        self.segments[place : place + len(sources)] = [segment]
        self._obsolete += [source.path for source in sources]
        self._unpublished = True
        return index.exchanged(merge.runs, segment.run)

    def _covers(self, since: Point, until: Point) -> Covers:
        return Covers(self.folder.lease.topic, self.folder.lease.partition, since, until)

    def _publish(self) -> None:
        if self._publishing is not None and self._publishing.done():
            done, self._publishing = self._publishing, None
            self._overtaken = not done.result()
        if self._unpublished and self._publishing is None and self.complete_to is not None and not self._overtaken:
            manifest = self.folder.manifest(self.complete_to, self.segments)
            obsolete, self._obsolete, self._unpublished = self._obsolete, [], False
            self._publishing = self.background.submit(self.folder.publish, manifest, obsolete)

    def _rest(self, index: KeyIndex, error: OSError) -> None:
        """Keep everything in memory for a while: files save memory and time, nothing depends on them."""
        self._give_up()
        self._unpublished = bool(self.segments)
        self._rest_keys = self.in_memory(index) + self.memory_keys
        get_logger("streams").warning(
            "no files for the dedupe index", partition=self.folder.lease.partition, error=str(error)
        )

    def _give_up(self) -> None:
        for merge in (None if self._spill is None else self._spill.merge, self._compaction):
            if merge is not None:
                merge.give_up()
        self._spill = self._compaction = None
