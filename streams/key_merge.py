"""Merges runs into a segment a little at a time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from core.errors import Stop
from streams.key_index import KeyRun, merged
from streams.key_segment import Covers, KeySums, Segment
from streams.key_segment_writer import SegmentWriter

# A portion should fit the processor's cache.
PORTION_KEYS = 1 << 15


class KeyMerge:
    """One merge under way: ``runs`` from memory, or those of ``segments``, go into one file.

    Keys stored before ``since_s`` are left out.
    """

    def __init__(
        self, writer: SegmentWriter, runs: Sequence[KeyRun], segments: Sequence[Segment], since_s: int
    ) -> None:
        self.runs = tuple(runs)
        self.segments = tuple(segments)
        self._writer = writer
        self._since_s = since_s
        self._at = [0] * len(runs)
        self._sums = [KeySums() for _ in segments]

    @classmethod
    def of_runs(cls, writer: SegmentWriter, runs: Sequence[KeyRun], since_s: int) -> KeyMerge:
        """Put runs from memory into a file."""
        return cls(writer, runs, (), since_s)

    @classmethod
    def of_segments(cls, writer: SegmentWriter, segments: Sequence[Segment], since_s: int) -> KeyMerge:
        """Make one file of several."""
        return cls(writer, [segment.run for segment in segments], segments, since_s)

    def step(self, keys: int) -> bool:
        """Merge about so many keys; says whether all are merged."""
        for start in range(0, keys, PORTION_KEYS):
            if self._portion(min(PORTION_KEYS, keys - start)):
                break
        for segment in self.segments:
            # Otherwise the whole of all sources would be resident at the end of a merge.
            segment.let_go()
        return self._ended()

    def _portion(self, keys: int) -> bool:
        total = max(1, sum(map(len, self.runs)))
        ends = next_ends(self.runs, self._at, [1 + keys * len(run) // total for run in self.runs])
        portion = [run.part(at, end) for run, at, end in zip(self.runs, self._at, ends, strict=True)]
        for sums, part in zip(self._sums, portion, strict=bool(self._sums)):
            sums.add(part)
        self._at = ends
        self._writer.append(merged(portion).newer_than(self._since_s))
        return self._ended()

    def _ended(self) -> bool:
        return all(at == len(run) for at, run in zip(self._at, self.runs, strict=True))

    def finish(self, covers: Covers) -> Segment:
        """The new segment. Raises ``Stop`` when a source was damaged since it was opened: start anew without it."""
        for sums, segment in zip(self._sums, self.segments, strict=True):
            if sums.digest() != segment.digest:
                self.give_up()
                raise Stop(f"{segment.path} was damaged while it was in use")
        return self._writer.finish(covers)

    def give_up(self) -> None:
        """Leave nothing behind."""
        self._writer.give_up()


def next_ends(runs: Sequence[KeyRun], at: Sequence[int], keys: Sequence[int]) -> list[int]:
    """Up to which place of each run the next portion goes, so that equal high words stay together.

    At most ``keys`` of each run, unless more than these have the very same high word.
    """
    places = list(zip(runs, at, keys, strict=True))
    further = [run.high[place + some] for run, place, some in places if place + some < len(run)]
    if not further:
        return [len(run) for run in runs]
    bound = min(further)
    ends = [place + int(np.searchsorted(run.high[place : place + some], bound)) for run, place, some in places]
    if ends == list(at):
        return [int(np.searchsorted(run.high, bound, side="right")) for run in runs]
    return ends
