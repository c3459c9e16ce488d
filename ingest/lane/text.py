"""Kernels for the parts of an event: strings, numbers and times of the plainest forms; -1 when one is not plain.

A text is read eight bytes at a time, from any byte on. Behind its end it has NULs; as a NUL is a part of nothing, no
kernel here asks where the end is.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from core.compiled import eight_at, first_bit, lean, put_eight

U = np.uint64
Bytes = npt.NDArray[np.uint8]
Words = npt.NDArray[np.uint64]

# What a text needs behind its end, with what may be read by mistake: kernels look sixteen bytes ahead.
SLACK_BYTES = 64
ONES, HIGHS = U(0x0101010101010101), U(0x8080808080808080)
LOWER = ~HIGHS
ALL = ~U(0)
QUOTES, SLASHES, SPACES = U(0x2222222222222222), U(0x5C5C5C5C5C5C5C5C), U(0x2020202020202020)
NOUGHTS, BEYOND_NINE = U(0x3030303030303030), U(0x7676767676767676)
QUOTE, BACKSLASH, MINUS, POINT, COLON, ZERO, NINE, SPACE = 34, 92, 45, 46, 58, 48, 57, 32
# Digits that a number may have on either side of its point, far within what the slow lane takes as a whole number.
WHOLE_DIGITS_MAX = 18
FRACTION_DIGITS_MAX = 38
PLAIN_FRACTION_DIGITS_MAX = 12
DAY_US = 86_400_000_000
NO_TIME = -(2**62)
DAYS_BEFORE_MONTH = np.array([0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334, 365], dtype=np.int64)
# The minute that was read last: its sixteen bytes, and what they mean.
MINUTE = 3


def bytes_of(data: bytearray) -> Bytes:
    """A text with its slack, as kernels read and write it."""
    return np.frombuffer(data, dtype=np.uint8)


def pad(*texts: bytes | bytearray) -> bytearray:
    """Some texts with slack behind each of them."""
    return SLACK.join((*texts, b""))


def padded(*texts: bytes) -> Bytes:
    """``pad``, as kernels read it."""
    return bytes_of(pad(*texts))


SLACK = bytearray(SLACK_BYTES)


@lean
def byte_at(body: Bytes, at: int) -> int:
    """One byte."""
    # An index without a sign needs no look at whether it counts from the end.
    return int(body[U(at)])


@lean
def first_of(flags: np.uint64) -> int:
    """Which byte is the first whose highest bit is set; 8 when none is."""
    return first_bit(flags) >> 3


@lean
def is_same(body: Bytes, start: int, other: Bytes, place: int, size: int) -> bool:
    """Whether two stretches of bytes are equal."""
    while size > 8:
        if eight_at(body, start) != eight_at(other, place):
            return False
        start, place, size = start + 8, place + 8, size - 8
    return size == 0 or (eight_at(body, start) ^ eight_at(other, place)) << U(64 - 8 * size) == U(0)


@lean
def put(into: Bytes, at: int, body: Bytes, start: int, size: int) -> int:
    """Copy some bytes, and what follows them up to the next sixteen; where the next ones go."""
    put_eight(into, at, eight_at(body, start))
    put_eight(into, at + 8, eight_at(body, start + 8))
    for i in range(16, size, 8):
        put_eight(into, at + i, eight_at(body, start + i))
    return at + size


@lean
def put_exactly(into: Bytes, at: int, body: Bytes, start: int, size: int) -> None:
    """Copy some bytes and leave those behind them as they are."""
    if size < 8:
        # All bits are kept where nothing is to be copied, for which a shift would be too wide.
        kept = (ALL << U(8 * size)) if size else ALL
        put_eight(into, at, (eight_at(into, at) & kept) | (eight_at(body, start) & ~kept))
        return
    for i in range(0, size - 8, 8):
        put_eight(into, at + i, eight_at(body, start + i))
    put_eight(into, at + size - 8, eight_at(body, start + size - 8))


@lean
def skip_space(body: Bytes, at: int, lines: bool) -> int:
    """The next place that is no white space; in ``lines``, a line's end is none."""
    c = byte_at(body, at)
    while c == SPACE or c == 9 or (not lines and (c == 10 or c == 13)):
        at += 1
        c = byte_at(body, at)
    return at


@lean
def skip_spaces(body: Bytes, at: int) -> int:
    """Past at most eight spaces, without a branch that would have to guess how many there are."""
    other = eight_at(body, at) ^ SPACES
    return at + first_of(((other + LOWER) | other) & HIGHS)


@lean
def flag(eight: np.uint64, sought: np.uint64) -> np.uint64:
    """The highest bit of bytes that are those of ``sought``, if the lowest of them is the first that is flagged."""
    other = eight ^ sought
    return U((other - ONES) & ~other)


@lean
def text_end(body: Bytes, at: int) -> int:
    """Where the string ends whose first byte is at ``at``: the place of its closing quote."""
    quotes, flags = U(0), U(0)
    at -= 8
    while flags == U(0):
        at += 8
        eight = eight_at(body, at)
        # Quotes, backslashes, control characters, and all beyond printable ASCII. A byte may be flagged wrongly when
        # one before it is flagged rightly: only the first counts.
        quotes = flag(eight, QUOTES) & HIGHS
        flags = flag(eight, SLASHES) | ((eight - SPACES) & ~eight) | eight | (eight + ONES)
        flags = (flags & HIGHS) | quotes
    first = flags & (~flags + U(1))
    return at + first_of(flags) if first & quotes != U(0) else -1


@lean
def flag_others(eight: np.uint64) -> np.uint64:
    """The highest bit of bytes that are no digits; as in ``text_end``, only the first counts."""
    digits = eight ^ NOUGHTS
    return U(((digits + BEYOND_NINE) | digits) & HIGHS)


@lean
def digits_end(body: Bytes, at: int) -> int:
    """The first place from ``at`` that holds no digit."""
    flags = flag_others(eight_at(body, at))
    while flags == U(0):
        at += 8
        flags = flag_others(eight_at(body, at))
    return at + first_of(flags)


@lean
def number_end(body: Bytes, at: int) -> tuple[int, int]:
    """Where a JSON number without an exponent ends, and its point or end; -1 for minus nought, which is changed."""
    first = at
    if byte_at(body, at) == MINUS:
        at += 1
    whole = at
    at = digits_end(body, at)
    leading = byte_at(body, whole) == ZERO
    if at == whole or at - whole > WHOLE_DIGITS_MAX or (leading and at - whole > 1):
        return -1, -1
    point = at
    if byte_at(body, at) == POINT:
        at = digits_end(body, at + 1)
        if at == point + 1 or at - point - 1 > FRACTION_DIGITS_MAX:
            return -1, -1
    elif whole != first and leading:
        return -1, -1
    if byte_at(body, at) | 32 == 101:
        return -1, -1
    return at, point


@lean
def plain_size(body: Bytes, start: int, size: int) -> int:
    """How much of a number's text ``plain_quantity`` would leave; -1 when it would change or refuse it otherwise."""
    end, point = number_end(body, start)
    if size == 0 or end != start + size:
        return -1
    last = end
    if point < end:
        while byte_at(body, last - 1) == ZERO:
            last -= 1
        if last == point + 1:
            last = point
        if last - point - 1 > PLAIN_FRACTION_DIGITS_MAX:
            return -1
    if last - start == 2 and byte_at(body, start) == MINUS and byte_at(body, start + 1) == ZERO:
        return -1
    return last - start


@lean
def two_digits(body: Bytes, at: int) -> int:
    """The number that two digits write; far out of every range when they are none."""
    high, low = byte_at(body, at) - ZERO, byte_at(body, at + 1) - ZERO
    if high < 0 or high > 9 or low < 0 or low > 9:
        return 1_000
    return 10 * high + low


@lean
def days_since_1970(year: int, month: int, day: int) -> int:
    """Days of a date that may not exist; ``NO_TIME`` then. Good from 1970 to 2099."""
    if year < 1970 or year > 2099 or month < 1 or month > 12 or day < 1:
        return NO_TIME
    leap = 1 if year % 4 == 0 else 0
    length = DAYS_BEFORE_MONTH[month] - DAYS_BEFORE_MONTH[month - 1]
    if day > length + (leap if month == 2 else 0):
        return NO_TIME
    days = 365 * (year - 1970) + (year - 1969) // 4 + DAYS_BEFORE_MONTH[month - 1] + day - 1
    return int(days + (leap if month > 2 else 0))


@lean
def zone_us(body: Bytes, at: int, end: int) -> int:
    """How far a zone is ahead of UTC: ``Z``, or hours and minutes with a colon between."""
    sign = byte_at(body, at)
    if end - at == 1 and sign == 90:
        return 0
    if end - at != 6 or byte_at(body, at + 3) != COLON or (sign != MINUS and sign != 43):
        return NO_TIME
    hours, minutes = two_digits(body, at + 1), two_digits(body, at + 4)
    if hours > 23 or minutes > 59:
        return NO_TIME
    ahead_us = (hours * 60 + minutes) * 60_000_000
    return -ahead_us if sign == MINUS else ahead_us


@lean
def read_minute(body: Bytes, start: int) -> int:
    """Microseconds since 1970 of ``YYYY-MM-DDTHH:MM``, or ``NO_TIME``."""
    marks = byte_at(body, start + 4) == MINUS and byte_at(body, start + 7) == MINUS
    if not (marks and byte_at(body, start + 10) == 84 and byte_at(body, start + 13) == COLON):
        return NO_TIME
    year = 100 * two_digits(body, start) + two_digits(body, start + 2)
    days = days_since_1970(year, two_digits(body, start + 5), two_digits(body, start + 8))
    hour, minute = two_digits(body, start + 11), two_digits(body, start + 14)
    if days == NO_TIME or hour > 23 or minute > 59:
        return NO_TIME
    return days * DAY_US + (hour * 60 + minute) * 60_000_000


@lean
def read_fraction(body: Bytes, at: int, count: int) -> int:
    """Microseconds that up to nine digits behind a point write; what is finer is cut off."""
    digits = eight_at(body, at) ^ NOUGHTS
    if count < 8:
        digits &= (U(1) << U(8 * count)) - U(1)
    digits = (digits * U(10) + (digits >> U(8))) & U(0x00FF00FF00FF00FF)
    digits = (digits * U(100) + (digits >> U(16))) & U(0x0000FFFF0000FFFF)
    digits = (digits * U(10_000) + (digits >> U(32))) & U(0xFFFFFFFF)
    return np.int64(digits) // 100  # type: ignore[return-value]


@lean
def read_instant(body: Bytes, start: int, size: int, minute: Words) -> int:
    """Microseconds since 1970 of ``YYYY-MM-DDTHH:MM:SS[.f]`` with a zone, or ``NO_TIME``."""
    if size < 20 or size > 40:
        return NO_TIME
    if eight_at(body, start) != minute[0] or eight_at(body, start + 8) != minute[1]:
        # The events of a request are of the same minute, mostly.
        minute_us = read_minute(body, start)
        if minute_us == NO_TIME:
            return NO_TIME
        minute[0], minute[1], minute[2] = eight_at(body, start), eight_at(body, start + 8), U(minute_us)
    second = two_digits(body, start + 17)
    if byte_at(body, start + 16) != COLON or second > 59:
        return NO_TIME
    at, fraction_us = start + 19, 0
    if byte_at(body, at) == POINT:
        stop = digits_end(body, at + 1)
        if stop == at + 1 or stop - at - 1 > 9:
            return NO_TIME
        fraction_us = read_fraction(body, at + 1, stop - at - 1)
        at = stop
    ahead_us = zone_us(body, at, start + size)
    if ahead_us == NO_TIME:
        return NO_TIME
    return np.int64(minute[2]) + second * 1_000_000 + fraction_us - ahead_us  # type: ignore[return-value]
