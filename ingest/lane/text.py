"""Kernels for the parts of an event: strings, numbers and times of the plainest forms; -1 when one is not plain."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from core.compiled import compiled

Bytes = npt.NDArray[np.uint8]

QUOTE, BACKSLASH, MINUS, POINT, COLON, ZERO, NINE = 34, 92, 45, 46, 58, 48, 57
FIRST_PRINTABLE, LAST_PRINTABLE = 32, 126
# Digits that a number may have on either side of its point, far within what the slow lane takes as a whole number.
WHOLE_DIGITS_MAX = 18
FRACTION_DIGITS_MAX = 38
PLAIN_FRACTION_DIGITS_MAX = 12
DAY_US = 86_400_000_000
NO_TIME = -(2**62)
DAYS_BEFORE_MONTH = np.array([0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334, 365], dtype=np.int64)


@compiled
def skip_space(data: Bytes, at: int, end: int, lines: bool) -> int:
    """The next place that is no white space; in ``lines``, a line's end is none."""
    while at < end:
        c = int(data[at])
        if not (c == 32 or c == 9 or (not lines and (c == 10 or c == 13))):
            break
        at += 1
    return at


@compiled
def text_end(data: Bytes, at: int, end: int) -> int:
    """Where the string ends whose first byte is at ``at``: the place of its closing quote."""
    while at < end:
        c = int(data[at])
        if c == QUOTE:
            return at
        if c < FIRST_PRINTABLE or c > LAST_PRINTABLE or c == BACKSLASH:
            return -1
        at += 1
    return -1


@compiled
def digits_end(data: Bytes, at: int, end: int) -> int:
    """The first place from ``at`` that holds no digit."""
    while at < end and ZERO <= int(data[at]) <= NINE:
        at += 1
    return at


@compiled
def number_end(data: Bytes, at: int, end: int) -> int:
    """Where a JSON number without an exponent ends; -1 for minus nought, whose text is not kept."""
    first = at
    if at < end and int(data[at]) == MINUS:
        at += 1
    whole = at
    at = digits_end(data, at, end)
    if at == whole or at - whole > WHOLE_DIGITS_MAX or (int(data[whole]) == ZERO and at - whole > 1):
        return -1
    if at < end and int(data[at]) == POINT:
        fraction = at + 1
        at = digits_end(data, fraction, end)
        if at == fraction or at - fraction > FRACTION_DIGITS_MAX:
            return -1
    elif whole != first and int(data[whole]) == ZERO:
        return -1
    if at < end and (int(data[at]) | 32) == 101:
        return -1
    return at


@compiled
def plain_size(data: Bytes, start: int, size: int) -> int:
    """How much of a number's text ``plain_quantity`` would leave; -1 when it would change or refuse it otherwise."""
    end = start + size
    if size == 0 or number_end(data, start, end) != end:
        return -1
    point = start
    while point < end and int(data[point]) != POINT:
        point += 1
    last = end
    if point < end:
        while int(data[last - 1]) == ZERO:
            last -= 1
        if last == point + 1:
            last = point
        if last - point - 1 > PLAIN_FRACTION_DIGITS_MAX:
            return -1
    if last - start == 2 and int(data[start]) == MINUS and int(data[start + 1]) == ZERO:
        return -1
    return last - start


@compiled
def two_digits(data: Bytes, at: int) -> int:
    """The number that two digits write; far out of every range when they are none."""
    high, low = int(data[at]) - ZERO, int(data[at + 1]) - ZERO
    if high < 0 or high > 9 or low < 0 or low > 9:
        return 1_000
    return 10 * high + low


@compiled
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


@compiled
def zone_us(data: Bytes, at: int, end: int) -> int:
    """How far a zone is ahead of UTC: ``Z``, or hours and minutes with a colon between."""
    if end - at == 1 and int(data[at]) == 90:
        return 0
    if end - at != 6 or int(data[at + 3]) != COLON or (int(data[at]) != MINUS and int(data[at]) != 43):
        return NO_TIME
    hours, minutes = two_digits(data, at + 1), two_digits(data, at + 4)
    if hours > 23 or minutes > 59:
        return NO_TIME
    ahead_us = (hours * 60 + minutes) * 60_000_000
    return -ahead_us if int(data[at]) == MINUS else ahead_us


@compiled
def read_instant(data: Bytes, start: int, size: int) -> int:
    """Microseconds since 1970 of ``YYYY-MM-DDTHH:MM:SS[.f]`` with a zone, or ``NO_TIME``."""
    if size < 20 or size > 40:
        return NO_TIME
    marks = int(data[start + 4]) == MINUS and int(data[start + 7]) == MINUS and int(data[start + 10]) == 84
    if not (marks and int(data[start + 13]) == COLON and int(data[start + 16]) == COLON):
        return NO_TIME
    year = 100 * two_digits(data, start) + two_digits(data, start + 2)
    days = days_since_1970(year, two_digits(data, start + 5), two_digits(data, start + 8))
    hour, minute, second = two_digits(data, start + 11), two_digits(data, start + 14), two_digits(data, start + 17)
    if days == NO_TIME or hour > 23 or minute > 59 or second > 59:
        return NO_TIME
    at, end, fraction_us = start + 19, start + size, 0
    if int(data[at]) == POINT:
        stop = digits_end(data, at + 1, end)
        if stop == at + 1 or stop - at - 1 > 9:
            return NO_TIME
        for place in range(at + 1, at + 7):
            fraction_us = 10 * fraction_us + (int(data[place]) - ZERO if place < stop else 0)
        at = stop
    ahead_us = zone_us(data, at, end)
    if ahead_us == NO_TIME:
        return NO_TIME
    return days * DAY_US + ((hour * 60 + minute) * 60 + second) * 1_000_000 + fraction_us - ahead_us
