"""The keys of earlier blocks: sorted 128-bit arrays in a few levels, merged as they grow.

A run is what one block (or a rebuild) claimed. Runs are merged so that each is several times larger than the next,
which keeps their number logarithmic. An index never changes: ``with_added`` returns a new one that shares the large
runs, so a block's answer stays the same however often it is asked. Runs in files can stand beside runs in memory:
all that a probe needs of a run is sorted high words.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt

U64 = npt.NDArray[np.uint64]
U32 = npt.NDArray[np.uint32]
Flags = npt.NDArray[np.bool_]
Word = TypeVar("Word", np.uint64, np.uint32)

# A run is merged with the one before it unless that is at least this many times larger.
GROWTH = 4


@dataclass(frozen=True, slots=True)
class KeyRun:
    """Keys in the order of their high words, each with the hash of its body and when it was stored (in seconds)."""

    high: U64
    low: U64
    body: U64
    stored_s: U32

    def __len__(self) -> int:
        return len(self.high)

    def newer_than(self, since_s: int) -> KeyRun:
        """The keys stored at ``since_s`` or later."""
        kept = self.stored_s >= since_s
        if kept.all():
            return self
        return KeyRun(self.high[kept], self.low[kept], self.body[kept], self.stored_s[kept])


@dataclass(frozen=True, slots=True)
class KeyIndex:
    """All keys that earlier blocks claimed, newest run last."""

    runs: tuple[KeyRun, ...] = ()

    def __len__(self) -> int:
        return sum(len(run) for run in self.runs)

    def probe(self, high: U64, low: U64, since_s: int) -> tuple[Flags, U64]:
        """Which keys are known from blocks stored at ``since_s`` or later, and the body hash each was claimed with.

        ``high`` must be sorted: neighbours then touch the same memory, which is most of the cost.
        """
        found = np.zeros(len(high), dtype=np.bool_)
        body = np.zeros(len(high), dtype=np.uint64)
        for run in self.runs:
            probe_run(run, high, low, since_s=since_s, found=found, body=body)
        return found, body

    def with_added(self, run: KeyRun, since_s: int) -> KeyIndex:
        """This index and the keys of one more block; keys stored before ``since_s`` may be forgotten."""
        if not len(run):
            return self
        runs = [*self.runs, run]
        while len(runs) > 1 and len(runs[-2]) < GROWTH * len(runs[-1]):
            newer, older = runs.pop(), runs.pop()
            runs.append(merged(older.newer_than(since_s), newer))
        return KeyIndex(tuple(runs))


def probe_run(run: KeyRun, high: U64, low: U64, *, since_s: int, found: Flags, body: U64) -> None:
    """Set ``found`` and ``body`` for the keys that one run holds."""
    places = np.searchsorted(run.high, high)
    asked = np.flatnonzero(places < len(run))
    places = places[asked]
    # High words are equal for the same key, and almost never for two: one pass, and a second one for the rare rest.
    while len(asked):
        same = run.high[places] == high[asked]
        asked, places = asked[same], places[same]
        hit = (run.low[places] == low[asked]) & (run.stored_s[places] >= since_s)
        found[asked[hit]] = True
        body[asked[hit]] = run.body[places[hit]]
        asked, places = asked[~hit], places[~hit] + 1
        inside = places < len(run)
        asked, places = asked[inside], places[inside]


def merged(older: KeyRun, newer: KeyRun) -> KeyRun:
    """Both runs as one."""
    places = np.searchsorted(older.high, newer.high, side="right") + np.arange(len(newer))
    from_older = np.ones(len(older) + len(newer), dtype=np.bool_)
    from_older[places] = False

    def interleave(left: npt.NDArray[Word], right: npt.NDArray[Word]) -> npt.NDArray[Word]:
        result = np.empty(len(from_older), dtype=left.dtype)
        result[from_older] = left
        result[places] = right
        return result

    return KeyRun(
        interleave(older.high, newer.high),
        interleave(older.low, newer.low),
        interleave(older.body, newer.body),
        interleave(older.stored_s, newer.stored_s),
    )


def sorted_run(high: U64, low: U64, body: U64, stored_s: U32) -> KeyRun:
    """A run from keys in any order, each given once."""
    order = np.argsort(high)
    return KeyRun(high[order], low[order], body[order], stored_s[order])
