from __future__ import annotations

import numpy as np

from runtime.traffic.draws import below, bits, draw, hot_and_zipf_weights, pick_table, split, zipf_weights


def test_a_draw_depends_on_seed_stream_and_ordinal_alone() -> None:
    """Any slice of ordinals draws the same bits as the whole; other seeds and streams draw others."""
    ordinals = np.arange(1_000, dtype=np.int64)
    whole = draw(7, 2, ordinals)
    assert (draw(7, 2, ordinals[300:400]) == whole[300:400]).all()
    assert (draw(8, 2, ordinals) != whole).all()
    assert (draw(7, 3, ordinals) != whole).all()


def test_a_draw_is_the_published_splitmix64_of_its_counter() -> None:
    """The first word equals the finaliser worked out in plain integers."""
    mask = (1 << 64) - 1
    word = (1 * 0x9E3779B97F4A7C15 + 1 * 0xD1342543DE82EF95) & mask
    word = ((word ^ (word >> 30)) * 0xBF58476D1CE4E5B9) & mask
    word = ((word ^ (word >> 27)) * 0x94D049BB133111EB) & mask
    assert int(draw(1, 0, np.zeros(1, dtype=np.int64))[0]) == word ^ (word >> 31)


def test_zipf_gives_the_second_rank_its_share_of_the_first() -> None:
    """With exponent 1.1 rank two has 2 ** -1.1 of rank one, and all shares sum to one."""
    weights = zipf_weights(1_000, 1.1)
    assert abs(weights[1] / weights[0] - 2**-1.1) < 1e-12
    assert abs(weights.sum() - 1) < 1e-12


def test_the_hot_rank_takes_its_share_and_the_table_keeps_all_shares() -> None:
    """A table of a million entries holds each index within one entry of its weight."""
    weights = hot_and_zipf_weights(50, 1.1, 0.3)
    counts = np.bincount(pick_table(weights, 20), minlength=50)
    assert abs(weights[0] - 0.3) < 1e-12
    assert (np.abs(counts - weights * 2**20) <= 1).all()


def test_split_and_below_do_what_divmod_and_ranges_do() -> None:
    """Quotient and remainder agree with numpy's; bounded numbers reach every value below their limit."""
    numbers = np.arange(0, 1_000_000, 37, dtype=np.int64)
    high, low = split(numbers, 1_000)
    assert (high == numbers // 1_000).all()
    assert (low == numbers % 1_000).all()
    words = draw(1, 1, numbers)
    limited = below(words, 0, np.full(len(numbers), 10, dtype=np.int64))
    assert set(limited.tolist()) == set(range(10))
    assert bits(words, 60, 4).max() == 15
