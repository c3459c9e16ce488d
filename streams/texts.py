"""Columns of texts as numbers and bytes, and the loops that hash, compare, find and collect texts in them."""

from __future__ import annotations

from secrets import randbits
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from core.compiled import compiled

U8 = npt.NDArray[np.uint8]
I32 = npt.NDArray[np.int32]
U64 = npt.NDArray[np.uint64]
Places = npt.NDArray[np.int64]

WORD = 8
# An odd number with its bits well mixed (the golden ratio): multiplying by it loses nothing.
SPREAD = np.uint64(0x9E3779B97F4A7C15)
HALF = np.uint64(32)
LOW_HALF = np.uint64(0xFFFFFFFF)
# Of no effect on any answer: whoever chooses texts must not know which of them collide. Handed to the loops, because
# a compiled one keeps the numbers that it was compiled with.
SEED = np.uint64(randbits(64))


class Texts(NamedTuple):
    """Text ``i`` is ``data[bounds[i]:bounds[i + 1]]``."""

    bounds: I32
    data: U8


class Names(NamedTuple):
    """Distinct pairs of an owner and a text, by number: found through ``slots``.

    Those of owner ``i`` lie in ``slots[firsts[i]:firsts[i + 1]]``, a power of two of them: whoever asks for several
    texts of one owner touches the same memory. A slot holds the upper half of the text's hash and the number of the
    pair plus one; 0 is empty.
    """

    slots: U64
    firsts: Places
    bounds: Places
    data: U8
    seed: np.uint64


def texts_of(column: pa.Array) -> Texts:
    """An Arrow column of texts without nulls, as it lies in memory."""
    _, bounds, data = column.buffers()
    places = np.zeros(1, np.int32) if bounds is None else np.frombuffer(bounds, np.int32)
    places = places[column.offset : column.offset + len(column) + 1]
    letters = np.empty(0, np.uint8) if data is None else np.frombuffer(data, np.uint8)
    # One kind of array, or each mixture of kinds would be compiled by itself.
    places.flags.writeable = letters.flags.writeable = False
    return Texts(places, letters)


def column_of_texts(texts: Texts) -> pa.Array:
    """The texts as an Arrow column, which shares their memory."""
    return pa.StringArray.from_buffers(len(texts.bounds) - 1, pa.py_buffer(texts.bounds), pa.py_buffer(texts.data))


def names_of(owners: Places, column: pa.Array) -> Names:
    """Lay distinct pairs of an owner (0, 1, 2, ...) and a text out to be found."""
    texts = texts_of(column)
    counts = np.bincount(owners, minlength=1)
    sizes = [1 << int(2 * count).bit_length() for count in counts.tolist()]
    firsts = np.cumsum(np.array([0, *sizes], np.int64))
    names = Names(np.zeros(firsts[-1], np.uint64), firsts, texts.bounds.astype(np.int64), texts.data, SEED)
    fill_slots(names, owners)
    return names


@compiled
def fill_slots(names: Names, owners: Places) -> None:
    """Enter all pairs into the slots."""
    for number in range(len(owners)):
        first = names.firsts[owners[number]]
        mask = np.uint64(names.firsts[owners[number] + 1] - first - 1)
        mixed = hash_text(names.data, names.bounds[number], names.bounds[number + 1], names.seed)
        at = mixed & mask
        while names.slots[np.uint64(first) + at] != 0:
            at = (at + np.uint64(1)) & mask
        names.slots[np.uint64(first) + at] = ((mixed >> HALF) << HALF) | np.uint64(number + 1)


@compiled
def find_name(names: Names, owner: int, data: U8, start: int, end: int) -> int:
    """The number of a pair, -1 when it is not there."""
    return find_text(names.slots, names.firsts, names.bounds, names.data, names.seed, owner, data, start, end)


@compiled
def find_text(  # noqa: PLR0917 - a loop takes its columns by place
    slots: U64, firsts: Places, bounds: Places, own: U8, seed: np.uint64, owner: int, data: U8, start: int, end: int
) -> int:
    """``find_name`` for a loop that took the names apart: numba counts references each time that it does."""
    if owner + 1 >= len(firsts):
        return -1
    first_slot = np.uint64(firsts[owner])
    mask = np.uint64(firsts[owner + 1]) - first_slot - np.uint64(1)
    mixed = hash_text(data, start, end, seed)
    at = mixed & mask
    while slots[first_slot + at] != 0:
        slot = slots[first_slot + at]
        if slot >> HALF == mixed >> HALF:
            # The hash only proposes; the texts decide.
            number = np.int64(slot & LOW_HALF) - 1
            first = bounds[number]
            if bounds[number + 1] - first == end - start and same_text(own, first, data, start, end - start):
                return int(number)
        at = (at + np.uint64(1)) & mask
    return -1


@compiled
def hash_text(data: U8, start: int, end: int, seed: np.uint64) -> np.uint64:
    """A 64-bit hash of the bytes and the seed."""
    mixed = seed * SPREAD + np.uint64(end - start)
    mixed ^= mixed >> HALF
    at = start
    while end - at >= WORD:
        mixed = (mixed ^ word_at(data, np.uint64(at))) * SPREAD
        mixed ^= mixed >> HALF
        at += WORD
    rest = np.uint64(0)
    while at < end:
        rest = (rest << np.uint64(8)) | np.uint64(data[at])
        at += 1
    mixed = (mixed ^ rest) * SPREAD
    mixed ^= mixed >> HALF
    mixed *= SPREAD
    return mixed ^ (mixed >> HALF)


@compiled
def same_text(left: U8, left_at: int, right: U8, right_at: int, length: int) -> bool:
    """Whether so many bytes are the same."""
    at = 0
    while length - at >= WORD:
        if word_at(left, np.uint64(left_at + at)) != word_at(right, np.uint64(right_at + at)):
            return False
        at += WORD
    while at < length:
        if left[left_at + at] != right[right_at + at]:
            return False
        at += 1
    return True


@compiled
def word_at(data: U8, at: np.uint64) -> np.uint64:
    """Eight bytes as a number, the first the lowest; the compiler makes one load of them."""
    return (
        np.uint64(data[at])
        | (np.uint64(data[at + np.uint64(1)]) << np.uint64(8))
        | (np.uint64(data[at + np.uint64(2)]) << np.uint64(16))
        | (np.uint64(data[at + np.uint64(3)]) << np.uint64(24))
        | (np.uint64(data[at + np.uint64(4)]) << np.uint64(32))
        | (np.uint64(data[at + np.uint64(5)]) << np.uint64(40))
        | (np.uint64(data[at + np.uint64(6)]) << np.uint64(48))
        | (np.uint64(data[at + np.uint64(7)]) << np.uint64(56))
    )


@compiled
def number_texts(texts: Texts, chosen: Places, seed: np.uint64) -> tuple[Places, Places]:
    """Number the distinct texts among those chosen, as they come.

    Returns each one's number (-1 where -1 was chosen), and for each number the place of its first text.
    """
    size = 8
    while size < 2 * len(chosen):
        size *= 2
    mask = np.uint64(size - 1)
    slots = np.zeros(size, np.uint64)
    numbers = np.empty(len(chosen), np.int64)
    firsts = np.empty(len(chosen), np.int64)
    count = 0
    for at in range(len(chosen)):
        numbers[at] = -1
        if chosen[at] < 0:
            continue
        start, end = texts.bounds[chosen[at]], texts.bounds[chosen[at] + 1]
        # Many say what the one before them said, which is found without a hash.
        if at and numbers[at - 1] >= 0:
            before = texts.bounds[chosen[at - 1]]
            if texts.bounds[chosen[at - 1] + 1] - before == end - start and same_text(
                texts.data, before, texts.data, start, end - start
            ):
                numbers[at] = numbers[at - 1]
                continue
        mixed = hash_text(texts.data, start, end, seed)
        place = mixed & mask
        while slots[place] != 0 and numbers[at] < 0:
            if slots[place] >> HALF == mixed >> HALF:
                number = np.int64(slots[place] & LOW_HALF) - 1
                first = texts.bounds[firsts[number]]
                if texts.bounds[firsts[number] + 1] - first == end - start and same_text(
                    texts.data, first, texts.data, start, end - start
                ):
                    numbers[at] = number
            place = (place + np.uint64(1)) & mask
        if numbers[at] < 0:
            slots[place] = ((mixed >> HALF) << HALF) | np.uint64(count + 1)
            numbers[at] = count
            firsts[count] = chosen[at]
            count += 1
    return numbers, firsts[:count]
