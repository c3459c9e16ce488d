"""The loops of ``window_deltas``: pairs put in order, and runs of one window added up."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from core.compiled import compiled
from streams.plain_number import in_smallest_units, is_less
from streams.texts import U64, Places

U32 = npt.NDArray[np.uint32]

# Aggregations by number, as in ``streams.compiled``.
COUNT, LATEST, UNIQUE = 0, 4, 5
DIGIT_BITS = 11
DIGITS = 1 << DIGIT_BITS


class Sums(NamedTuple):
    """One row a window: its first pair, how many events, and for each number its low and high word.

    ``youngest`` is the pair that a meter of latest values goes by, -1 for other meters.
    """

    first: Places
    events: Places
    total: U64
    least: U64
    most: U64
    last: U64
    last_at_us: Places
    youngest: Places


@compiled
def sort_by(order: Places, field: Places) -> Places:
    """Put an order of rows by one more field, not negative, that counts for more than those before it."""
    top = np.int64(0)
    for row in order:
        top = max(top, field[row])
    shift = 0
    while top >> shift:
        starts = np.zeros(DIGITS + 1, np.int64)
        for row in order:
            starts[((field[row] >> shift) & (DIGITS - 1)) + 1] += 1
        for digit in range(DIGITS):
            starts[digit + 1] += starts[digit]
        next_order = np.empty_like(order)
        for row in order:
            digit = (field[row] >> shift) & (DIGITS - 1)
            next_order[starts[digit]] = row
            starts[digit] += 1
        order = next_order
        shift += DIGIT_BITS
    return order


@compiled
def add_up(  # noqa: PLR0917 - a loop takes its columns by place
    order: Places,
    windows: Places,
    aggregation: Places,
    words: U64,
    at_us: Places,
    rows: Places,
    high: U64,
    low: U64,
) -> Sums:
    """The sums of each window: pairs in ``order``, ``windows`` numbers each of them by place in that order.

    Numbers do not run over: the bounds of a block's events and of a quantity see to that.
    """
    count = windows[-1] + 1 if len(order) else 0
    sums = Sums(
        np.empty(count, np.int64),
        np.zeros(count, np.int64),
        np.zeros((count, 2), np.uint64),
        np.zeros((count, 2), np.uint64),
        np.zeros((count, 2), np.uint64),
        np.zeros((count, 2), np.uint64),
        np.empty(count, np.int64),
        np.full(count, -1, np.int64),
    )
    for place in range(len(order)):
        pair, window = order[place], windows[place]
        fresh = sums.events[window] == 0
        if fresh:
            sums.first[window], sums.last_at_us[window] = pair, at_us[pair]
        sums.events[window] += 1
        sums.last_at_us[window] = max(sums.last_at_us[window], at_us[pair])
        kind = aggregation[pair]
        if kind in (COUNT, UNIQUE):
            continue
        value_low, value_high = words[pair, 0], words[pair, 1]
        if fresh or is_less(value_low, value_high, sums.least[window, 0], sums.least[window, 1]):
            sums.least[window, 0], sums.least[window, 1] = value_low, value_high
        if fresh or is_less(sums.most[window, 0], sums.most[window, 1], value_low, value_high):
            sums.most[window, 0], sums.most[window, 1] = value_low, value_high
        total = sums.total[window, 0] + value_low
        sums.total[window, 1] += value_high + np.uint64(total < value_low)
        sums.total[window, 0] = total
        if kind == LATEST and (fresh or is_younger(pair, sums.youngest[window], at_us, rows, high, low)):
            sums.youngest[window] = pair
            sums.last[window, 0], sums.last[window, 1] = value_low, value_high
    for window in range(count):
        if aggregation[sums.first[window]] == COUNT:
            sums.total[window, 0], sums.total[window, 1] = in_smallest_units(np.uint64(sums.events[window]))
    return sums


@compiled
def is_younger(  # noqa: PLR0917 - a loop takes its columns by place
    pair: int, other: int, at_us: Places, rows: Places, high: U64, low: U64
) -> bool:
    """Whether a pair's event is the younger one; the larger key wins a tie."""
    if at_us[pair] != at_us[other]:
        return bool(at_us[pair] > at_us[other])
    row, other_row = rows[pair], rows[other]
    if high[row] != high[other_row]:
        return bool(high[row] > high[other_row])
    return bool(low[row] > low[other_row])


@compiled
def number_windows(order: Places, meter: Places, customer: Places, minute: Places, group: Places) -> Places:
    """Number the windows of pairs that stand in order: each place's window."""
    windows = np.empty(len(order), np.int64)
    number = 0
    for place in range(len(order)):
        pair = order[place]
        if place:
            before = order[place - 1]
            if (
                meter[pair] != meter[before]
                or customer[pair] != customer[before]
                or minute[pair] != minute[before]
                or group[pair] != group[before]
            ):
                number += 1
        windows[place] = number
    return windows
