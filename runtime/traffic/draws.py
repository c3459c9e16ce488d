"""Random numbers that are a function of (seed, stream, ordinal): any event can be drawn again, in any order."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Words = npt.NDArray[np.uint64]

MASK = (1 << 64) - 1
GOLDEN = 0x9E3779B97F4A7C15


def draw(seed: int, stream: int, ordinals: Ints) -> Words:
    """Sixty-four well mixed bits for each ordinal (the finaliser of SplitMix64 over a counter).

    The same (seed, stream, ordinal) gives the same bits on every machine; streams are independent of each other.
    """
    start = (seed * GOLDEN + (stream + 1) * 0xD1342543DE82EF95) & MASK
    words = ordinals.astype(np.uint64)
    words *= np.uint64(GOLDEN)
    words += np.uint64(start)
    words ^= words >> np.uint64(30)
    words *= np.uint64(0xBF58476D1CE4E5B9)
    words ^= words >> np.uint64(27)
    words *= np.uint64(0x94D049BB133111EB)
    words ^= words >> np.uint64(31)
    return words


def bits(words: Words, shift: int, width: int) -> Ints:
    """``width`` bits of each word from bit ``shift`` upwards, as signed integers."""
    return ((words >> np.uint64(shift)) & np.uint64((1 << width) - 1)).astype(np.int64)


def split(numbers: Ints, by: int) -> tuple[Ints, Ints]:
    """Quotient and remainder of numbers that are not negative; several times faster than ``numpy.divmod``."""
    high = numbers // by
    return high, numbers - high * by


def below(words: Words, shift: int, limits: Ints) -> Ints:
    """For each word a number of at least 0 and below its limit (at most 2 ** 31), from 32 bits at ``shift``."""
    return (bits(words, shift, 32) * limits) >> 32


def zipf_weights(count: int, exponent: float) -> npt.NDArray[np.float64]:
    """Shares of ranks 1 to ``count`` under Zipf's law; they sum to one."""
    weights = np.arange(1, count + 1, dtype=np.float64) ** -exponent
    shares: npt.NDArray[np.float64] = weights / weights.sum()
    return shares


def hot_and_zipf_weights(count: int, exponent: float, hot_share: float) -> npt.NDArray[np.float64]:
    """Shares where rank 0 takes ``hot_share`` and the others follow Zipf's law among themselves."""
    if count == 1:
        return np.ones(1)
    return np.concatenate([[hot_share], (1 - hot_share) * zipf_weights(count - 1, exponent)])


def pick_table(weights: npt.NDArray[np.float64], width: int) -> npt.NDArray[np.int32]:
    """A table of ``2 ** width`` entries in which index ``i`` appears in proportion to ``weights[i]``."""
    size = 1 << width
    edges = np.floor(np.cumsum(weights) / weights.sum() * size)
    edges[-1] = size
    return np.searchsorted(edges, np.arange(size), side="right").astype(np.int32)
