"""Plain decimal texts to exact 128-bit numbers of scale 12, and sums and comparisons of them, in two 64-bit words."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from core.compiled import compiled
from core.limits import QUANTITY_DIGITS_MAX, QUANTITY_SCALE
from streams.texts import HALF, LOW_HALF, U8, U64

Flags = npt.NDArray[np.bool_]

QUANTITY_ARROW = pa.decimal128(38, QUANTITY_SCALE)
ONE = 10**QUANTITY_SCALE
ONE_LOW, ONE_HIGH = np.uint64(ONE & 0xFFFFFFFF), np.uint64(ONE >> 32)
TEN = np.uint64(10)
MINUS, POINT, ZERO, NINE = ord("-"), ord("."), ord("0"), ord("9")

assert 10**QUANTITY_DIGITS_MAX < 2**64, "the digits before the point fit one word"
assert 10**QUANTITY_SCALE < 2**62, "so do those behind it"


@compiled
def read_plain(data: U8, start: int, end: int) -> tuple[bool, np.uint64, np.uint64]:
    """Read an optional minus, 1 to 19 digits and perhaps a point with 1 to 12 more: whether it is one, low, high.

    The words are those of a two's complement number of 10^-12. Anything else, even if it is a number, is not read.
    """
    none = np.uint64(0)
    at = start
    negative = at < end and data[at] == MINUS
    if negative:
        at += 1
    point, whole = read_digits(data, at, min(end, at + QUANTITY_DIGITS_MAX))
    if point == at:
        return False, none, none
    part = np.uint64(0)
    if point < end:
        last = point + 1 + QUANTITY_SCALE
        at, part = read_digits(data, point + 1, min(end, last))
        if data[point] != POINT or at == point + 1 or at < end:
            return False, none, none
        while at < last:
            part *= TEN
            at += 1
    low, high = in_smallest_units(whole)
    low += part
    if low < part:
        high += np.uint64(1)
    if negative:
        low, high = ~low + np.uint64(1), ~high
        if low == 0:
            high += np.uint64(1)
    return True, low, high


@compiled
def read_digits(data: U8, start: int, end: int) -> tuple[int, np.uint64]:
    """Read as many digits as there are: where they end, and their number."""
    number = np.uint64(0)
    at = start
    while at < end and ZERO <= data[at] <= NINE:
        number = number * TEN + np.uint64(data[at] - ZERO)
        at += 1
    return at, number


@compiled
def in_smallest_units(whole: np.uint64) -> tuple[np.uint64, np.uint64]:
    """A whole number times 10^12: low and high word."""
    below, above = whole & LOW_HALF, whole >> HALF
    first = below * ONE_LOW
    left, right = below * ONE_HIGH, above * ONE_LOW
    middle = (first >> HALF) + (left & LOW_HALF) + (right & LOW_HALF)
    low = (first & LOW_HALF) | (middle << HALF)
    return low, above * ONE_HIGH + (left >> HALF) + (right >> HALF) + (middle >> HALF)


@compiled
def is_less(low: np.uint64, high: np.uint64, other_low: np.uint64, other_high: np.uint64) -> bool:
    """Whether the first number is below the second."""
    if high != other_high:
        return bool(np.int64(high) < np.int64(other_high))
    return bool(low < other_low)


def decimals(words: U64, there: Flags | None = None) -> pl.Series:
    """Numbers as a series of Decimal(38, 12), null where none is ``there``."""
    column = decimal_column(words)
    if there is not None and not there.all():
        column = pc.if_else(pa.array(there), column, pa.scalar(None, QUANTITY_ARROW))
    series = pl.from_arrow(column)
    assert isinstance(series, pl.Series)
    return series


def decimal_column(words: U64) -> pa.Array:
    """Numbers as an Arrow column, which shares their memory."""
    return pa.Array.from_buffers(QUANTITY_ARROW, len(words), [None, pa.py_buffer(np.ascontiguousarray(words))])


def words_of(values: pl.Series) -> U64:
    """The words of a series of Decimal(38, 12); zero where there is none."""
    column = values.fill_null(0).to_arrow()
    words = np.frombuffer(column.buffers()[1], np.uint64).reshape(-1, 2)
    return words[column.offset : column.offset + len(column)]
