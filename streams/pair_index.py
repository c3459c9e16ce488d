"""Finds pairs of texts (merchant and type, merchant and subject) by the thousand, at a cost that hardly grows."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count

import numpy as np
import numpy.typing as npt
import polars as pl

Places = npt.NDArray[np.int64]
U64 = npt.NDArray[np.uint64]

# An odd number, so that multiplying by it loses nothing; keeps ("a", "b") apart from ("b", "a").
SPREAD = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True, slots=True)
class PairIndex:
    """Distinct pairs, sorted by a hash that no two of them share."""

    seed: int
    hashes: U64
    places: Places
    first: pl.Series
    second: pl.Series

    def find(self, first: pl.Series, second: pl.Series) -> Places:
        """For each pair asked for, its place among the pairs that the index was made of; -1 when it is not there."""
        if not len(self.hashes):
            return np.full(len(first), -1, dtype=np.int64)
        wanted = pair_hashes(first, second, self.seed)
        # Sorted needles touch neighbouring memory: sorting them first costs less than it saves.
        order = np.argsort(wanted)
        at = np.empty(len(wanted), dtype=np.int64)
        at[order] = np.searchsorted(self.hashes, wanted[order])
        candidate = self.places[np.minimum(at, len(self.hashes) - 1)]
        # The hash only proposes; the texts decide.
        same = (self.first.gather(candidate) == first) & (self.second.gather(candidate) == second)
        return np.where(same.to_numpy(), candidate, -1)


def index_pairs(first: pl.Series, second: pl.Series) -> PairIndex:
    """Build an index of distinct pairs."""
    for seed in count():
        hashes = pair_hashes(first, second, seed)
        order = np.argsort(hashes).astype(np.int64)
        ordered = hashes[order]
        if not (ordered[1:] == ordered[:-1]).any():
            return PairIndex(seed, ordered, order, first, second)
        assert seed < 8, "the pairs of an index must be distinct"
    raise AssertionError("unreachable")


def pair_hashes(first: pl.Series, second: pl.Series, seed: int) -> U64:
    """One 64-bit hash a pair."""
    left = first.hash(2 * seed + 1).to_numpy()
    right = second.hash(2 * seed + 2).to_numpy()
    mixed: U64 = (left * SPREAD) ^ right
    return mixed
