"""A filter before the key index: says in one memory access that a key is certainly new, which most keys are.

A blocked Bloom filter on high words, which are parts of hashes and therefore spread evenly. Words lie in the order of
the keys, so that sorted keys walk through memory. Bits are only ever added: whoever shares a filter may get more keys
to look up for it, and never a wrong answer.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

U64 = npt.NDArray[np.uint64]
Places = npt.NDArray[np.int64]

# 32 bits a key with three of them set let 0.2 % of new keys pass when the filter is full. Half the bits let 0.8 % pass,
# and looking those up in the runs costs more than the wider walk through the filter.
KEYS_PER_WORD = 2
# Adding is twice as fast on pieces that fit the processor's cache.
KEYS_AT_ONCE = 1 << 16
CAPACITY_MIN = 1 << 14
# Room for half as many keys again as there are.
ROOM = 1.5
# While a larger filter is filled, so many old keys follow for every new one.
REFILL = 8

BIT = np.uint64(63)
HALF = np.uint64(32)


def pattern(high: U64) -> U64:
    """The bits that a key sets in its word; they come from other bits of the hash than the word's place."""
    one = np.uint64(1)
    bits = one << (high & BIT)
    bits |= one << ((high >> np.uint64(6)) & BIT)
    bits |= one << ((high >> np.uint64(12)) & BIT)
    return bits


def spread(high: U64, places: int) -> Places:
    """Each key's place among so many, in the order of the keys; ``places`` is below 2**32."""
    found: Places = (((high >> HALF) * np.uint64(places)) >> HALF).view(np.int64)
    return found


class KeyFilter:
    """May say "perhaps" of a key that was never added; never says "new" of one that was."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.count = 0
        self._words = np.zeros(max(1, capacity // KEYS_PER_WORD), dtype=np.uint64)

    def perhaps_known(self, high: U64) -> Places:
        """The places in ``high`` of the keys that may have been added."""
        bits = pattern(high)
        bits &= ~self._words.take(spread(high, len(self._words)))
        return np.flatnonzero(bits == 0)

    def add(self, high: U64) -> None:
        """Add keys, sorted."""
        for start in range(0, len(high), KEYS_AT_ONCE):
            part = high[start : start + KEYS_AT_ONCE]
            places = spread(part, len(self._words))
            firsts = np.flatnonzero(np.diff(places, prepend=-1))
            self._words[places[firsts]] |= np.bitwise_or.reduceat(pattern(part), firsts)
        self.count += len(high)


class GrowingFilter:
    """A filter that makes room for itself in small steps: a large one would take seconds to fill at once.

    ``room_for`` is how many keys are about to be added.
    """

    def __init__(self, room_for: int = 0) -> None:
        self._now = KeyFilter(with_room(room_for))
        self._next: KeyFilter | None = None
        self._left: list[U64] = []

    def perhaps_known(self, high: U64) -> Places:
        """See ``KeyFilter.perhaps_known``."""
        return self._now.perhaps_known(high)

    def add(self, high: U64, before: Sequence[U64] = ()) -> None:
        """Add keys, sorted; ``before`` are the sorted keys that still count among those added earlier."""
        self._now.add(high)
        if self._next is not None:
            # At the other end, so that these come last.
            self._left.insert(0, high)
        elif self._now.count > self._now.capacity:
            # Sized by what still counts: keys that left the index leave the filter here.
            parts = [part for part in (*before, high) if len(part)]
            self._next = KeyFilter(with_room(sum(map(len, parts))))
            # The largest first: it walks through the new memory from one end to the other. A small one would make
            # the kernel clear all of it at once.
            self._left = sorted(parts, key=len)
        if self._next is not None:
            self._refill(self._next, KEYS_AT_ONCE + REFILL * len(high))

    def _refill(self, larger: KeyFilter, keys: int) -> None:
        while self._left and keys > 0:
            part = self._left.pop()
            larger.add(part[:keys])
            if len(part) > keys:
                self._left.append(part[keys:])
            keys -= len(part)
        if not self._left:
            self._now, self._next = larger, None


def with_room(keys: int) -> int:
    """How many keys a filter should be made for when there are so many."""
    return max(CAPACITY_MIN, int(ROOM * keys))
