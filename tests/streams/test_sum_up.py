"""Windows added up by loops equal those added up by Python's whole numbers."""

from __future__ import annotations

from itertools import groupby

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.compiled import AGGREGATIONS
from streams.sum_up import COUNT, LATEST, UNIQUE, add_up, number_windows, sort_by

LEAST, MOST = -(10**31) + 1, 10**31 - 1
numbers = st.sampled_from([0, 1, -1, 2**64, -(2**64), LEAST, MOST]) | st.integers(LEAST, MOST)
fed = st.tuples(st.integers(0, 3), numbers, st.integers(0, 3), st.integers(0, 2**64 - 1))


def words(values: list[int]) -> np.ndarray[tuple[int, ...], np.dtype[np.uint64]]:
    """Whole numbers as low and high words."""
    return np.array([[value % 2**64, value // 2**64 % 2**64] for value in values], np.uint64).reshape(-1, 2)


def test_aggregations_have_their_numbers() -> None:
    """The loops know three of them by number."""
    assert (AGGREGATIONS[COUNT], AGGREGATIONS[LATEST], AGGREGATIONS[UNIQUE]) == ("count", "latest", "unique")


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2**40)), max_size=60))
@settings(deadline=None)
def test_fields_sort_from_the_least_to_the_most(rows: list[tuple[int, int]]) -> None:
    """By the last field first, then by those before it, and else as they came."""
    order = np.arange(len(rows))
    for field in (1, 0):
        order = sort_by(order, np.array([row[field] for row in rows], np.int64))

    assert order.tolist() == sorted(range(len(rows)), key=lambda at: rows[at])


@given(st.lists(fed, max_size=40), st.sampled_from(range(len(AGGREGATIONS))))
@settings(deadline=None)
def test_windows_add_up(pairs: list[tuple[int, int, int, int]], kind: int) -> None:
    """Number, sum, least, most, and the youngest with the larger key, of each window."""
    window, values, at_us, low = ([pair[part] for pair in pairs] for part in range(4))
    keys = np.array(low, np.uint64)
    order = sort_by(np.arange(len(pairs)), np.array(window, np.int64))
    zero = np.zeros(len(pairs), np.int64)
    found = add_up(
        order,
        number_windows(order, zero, zero, np.array(window, np.int64), zero),
        np.full(len(pairs), kind, np.int64),
        words(values),
        np.array(at_us, np.int64),
        np.arange(len(pairs)),
        keys,
        keys,
    )

    members = [list(group) for _, group in groupby(order.tolist(), key=lambda at: window[at])]
    valued = kind not in {COUNT, UNIQUE}
    assert found.first.tolist() == [group[0] for group in members]
    assert found.events.tolist() == [len(group) for group in members]
    assert found.last_at_us.tolist() == [max(at_us[at] for at in group) for group in members]
    totals = [sum(values[at] for at in group) if valued else 0 for group in members]
    counted = [10**12 * len(group) for group in members]
    assert found.total.tolist() == words(counted if kind == COUNT else totals).tolist()
    for column, pick in ((found.least, min), (found.most, max)):
        assert (
            column.tolist() == words([pick(values[at] for at in group) if valued else 0 for group in members]).tolist()
        )
    youngest = [max(group, key=lambda at: (at_us[at], low[at], -at)) for group in members]
    assert found.youngest.tolist() == ([*youngest] if kind == LATEST else [-1] * len(members))
    assert found.last.tolist() == words([values[at] if kind == LATEST else 0 for at in youngest]).tolist()
