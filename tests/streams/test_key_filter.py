"""The filter before the index."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.key_filter import CAPACITY_MIN, GrowingFilter, KeyFilter
from tests.streams.key_builders import random_run

words = st.lists(st.integers(0, 2**64 - 1), max_size=50)


@given(st.lists(words, max_size=8))
@settings(max_examples=100)
def test_a_key_that_was_added_is_never_called_new(blocks: list[list[int]]) -> None:
    """Whatever the keys, also such as share their words."""
    filter_ = KeyFilter(8)
    for block in blocks:
        filter_.add(np.array(sorted(block), dtype=np.uint64))
    asked = np.array(sorted({key for block in blocks for key in block}), dtype=np.uint64)

    assert len(filter_.perhaps_known(asked)) == len(asked)


def test_few_new_keys_pass_a_full_filter() -> None:
    """About one in a hundred has to be looked up in vain."""
    filter_ = KeyFilter(50_000)
    filter_.add(random_run(50_000, seed=1).high)

    assert len(filter_.perhaps_known(random_run(50_000, seed=2).high)) < 1_000


def test_a_filter_that_grows_forgets_nothing_and_stays_sharp() -> None:
    """While the larger one is being filled, and after."""
    known, blocks = GrowingFilter(), [random_run(CAPACITY_MIN // 2, seed).high for seed in range(40)]
    news = random_run(10_000, seed=99).high
    for count, block in enumerate(blocks):
        known.add(block, blocks[:count])

        assert all(len(known.perhaps_known(old)) == len(old) for old in blocks[: count + 1])
        assert len(known.perhaps_known(news)) < 300


def test_keys_that_left_the_index_leave_the_filter_when_it_grows() -> None:
    """Otherwise a filter of the horizon's last days would hold the keys of all time."""
    known, old = GrowingFilter(), random_run(CAPACITY_MIN, seed=1).high
    known.add(old)
    for seed in range(2, 6):
        known.add(random_run(CAPACITY_MIN, seed).high)

    assert len(known.perhaps_known(old)) < len(old) // 10
