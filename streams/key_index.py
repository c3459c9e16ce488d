"""The keys of earlier blocks: sorted 128-bit arrays in a few levels, merged as they grow.

A run is what one block (or a rebuild) claimed. Recent runs are merged once there are more than a few, so that a key is
moved a few times only; older ones, in files or on their way there, stand beside them. An index never changes:
``with_added`` returns a new one that shares the large runs, so a block's answer stays the same however often it is
asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from streams.key_filter import U64, GrowingFilter, Places, spread

U32 = npt.NDArray[np.uint32]
Flags = npt.NDArray[np.bool_]

# So many runs may stand side by side; then the youngest are merged, with each older one that is not much larger.
RUNS_FEW = 5
GROWTH = 3


@dataclass(frozen=True, slots=True)
class KeyRun:
    """Keys in the order of their high words, each with the hash of its body and when it was stored (in seconds).

    ``starts`` is given for large runs: where the keys of each of equal shares of the high words begin, and the end.
    """

    high: U64
    low: U64
    body: U64
    stored_s: U32
    starts: U32 | None = None

    def __len__(self) -> int:
        return len(self.high)

    def part(self, start: int, end: int) -> KeyRun:
        """The keys at these places."""
        cut = slice(start, end)
        return KeyRun(self.high[cut], self.low[cut], self.body[cut], self.stored_s[cut])

    def newer_than(self, since_s: int) -> KeyRun:
        """The keys stored at ``since_s`` or later."""
        kept = self.stored_s >= since_s
        if kept.all():
            return self
        return KeyRun(self.high[kept], self.low[kept], self.body[kept], self.stored_s[kept])


@dataclass(frozen=True, slots=True)
class KeyIndex:
    """All keys that earlier blocks claimed, newest run last; ``older`` runs are not merged any more.

    ``known`` is shared with later indexes, and knows of their keys too.
    """

    runs: tuple[KeyRun, ...] = ()
    older: tuple[KeyRun, ...] = ()
    known: GrowingFilter | None = None

    def __len__(self) -> int:
        return sum(len(run) for run in (*self.older, *self.runs))

    def probe(self, high: U64, low: U64, since_s: int) -> tuple[Flags, U64]:
        """Which keys are known from blocks stored at ``since_s`` or later, and the body hash each was claimed with.

        ``high`` must be sorted: neighbours then touch the same memory, which is most of the cost.
        """
        found = np.zeros(len(high), dtype=np.bool_)
        body = np.zeros(len(high), dtype=np.uint64)
        if self.known is None:
            return found, body
        places = self.known.perhaps_known(high)
        high, low = high[places], low[places]
        for run in (*self.older, *self.runs):
            hits, at = probe_run(run, high, low, since_s)
            hits = places[hits]
            # A key that was claimed again, as a backfill may, keeps what it said first.
            first = ~found[hits]
            found[hits] = True
            body[hits[first]] = run.body[at[first]]
        return found, body

    def with_added(self, run: KeyRun, since_s: int) -> KeyIndex:
        """This index and the keys of one more block; keys stored before ``since_s`` may be forgotten."""
        if not len(run):
            return self
        known = self.known or GrowingFilter(len(run))
        known.add(run.high, [old.high for old in (*self.older, *self.runs)])
        runs = [*self.runs, run]
        count = runs_to_merge([len(old) for old in runs])
        if count:
            runs[-count:] = [merged(runs[-count:]).newer_than(since_s)]
        return KeyIndex(tuple(runs), self.older, known)

    def put_by(self) -> KeyIndex:
        """The same keys, with the recent runs among the older ones: what comes is merged among itself."""
        return replace(self, runs=(), older=(*self.older, *self.runs))

    def exchanged(self, old: Sequence[KeyRun], new: KeyRun) -> KeyIndex:
        """``new`` in the place of older runs that hold the same keys, but perhaps for forgotten ones."""
        gone = {id(run) for run in old}
        first = min(place for place, run in enumerate(self.older) if id(run) in gone)
        kept = [run for run in self.older if id(run) not in gone]
        return replace(self, older=(*kept[:first], new, *kept[first:]))


def probe_run(run: KeyRun, high: U64, low: U64, since_s: int) -> tuple[Places, Places]:
    """Which of the keys one run holds: their places among those asked for, and in the run."""
    at = first_places(run, high)
    asked = np.flatnonzero(at < len(run))
    at = at[asked]
    hits, places = [asked[:0]], [at[:0]]
    # High words are equal for the same key, and almost never for two: one pass, and a second one for the rare rest.
    while len(asked):
        same = np.flatnonzero(run.high[at] == high[asked])
        if not len(same):
            break
        asked, at = asked[same], at[same]
        hit = (run.low[at] == low[asked]) & (run.stored_s[at] >= since_s)
        hits.append(asked[hit])
        places.append(at[hit])
        asked, at = asked[~hit], at[~hit] + 1
        inside = at < len(run)
        asked, at = asked[inside], at[inside]
    return np.concatenate(hits), np.concatenate(places)


def first_places(run: KeyRun, high: U64) -> Places:
    """For each high word the first place in the run whose high word is not smaller."""
    if run.starts is None:
        return np.searchsorted(run.high, high)
    # A binary search of all at once, within each one's share: the waits for memory overlap.
    share = spread(high, len(run.starts) - 1)
    low, top = run.starts[share].astype(np.int64), run.starts[share + 1].astype(np.int64)
    width = int((top - low).max(initial=0))
    while width:
        middle = (low + top) >> 1
        smaller = run.high.take(middle, mode="clip") < high
        # Where nothing is left to halve, the middle is the place already found.
        smaller &= low < top
        low, top = np.where(smaller, middle + 1, low), np.where(smaller, top, middle)
        width >>= 1
    return low


def runs_to_merge(sizes: Sequence[int]) -> int:
    """How many of the youngest runs should become one; 0 while there are few. The oldest comes first."""
    if len(sizes) <= RUNS_FEW:
        return 0
    count, total = 2, sizes[-1] + sizes[-2]
    while count < len(sizes) and sizes[-count - 1] < GROWTH * total:
        count, total = count + 1, total + sizes[-count - 1]
    return count


def merged(runs: Sequence[KeyRun]) -> KeyRun:
    """All runs as one."""
    high = np.concatenate([run.high for run in runs])
    # Told that order matters, numpy looks for sorted stretches and merges them: ten times cheaper than sorting.
    order = np.argsort(high, kind="stable")
    return KeyRun(
        high.take(order),
        np.concatenate([run.low for run in runs]).take(order),
        np.concatenate([run.body for run in runs]).take(order),
        np.concatenate([run.stored_s for run in runs]).take(order),
    )


def sorted_run(high: U64, low: U64, body: U64, stored_s: U32) -> KeyRun:
    """A run from keys in any order, each given once."""
    order = np.argsort(high)
    return KeyRun(high[order], low[order], body[order], stored_s[order])


def run_in_time(high: U64, low: U64, body: U64, stored_us: npt.NDArray[np.int64]) -> KeyRun:
    """A run from keys in any order; those of a key that was claimed more than once stand in the order of their time."""
    order = np.argsort(high)
    equal = high[order][1:] == high[order][:-1]
    if equal.any():
        tied = np.zeros(len(order), dtype=np.bool_)
        tied[1:] |= equal
        tied[:-1] |= equal
        some = order[tied]
        order[tied] = some[np.lexsort((stored_us[some], high[some]))]
    stored_s = (stored_us[order] // 1_000_000).astype(np.uint32)
    return KeyRun(high[order], low[order], body[order], stored_s)
