"""Which events are first copies: within the block and against all blocks before it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from streams.key_filter import U64
from streams.key_index import Flags, KeyIndex, KeyRun
from streams.rows import CONFLICT, DUPLICATE, REJECTED, STORED

Places = npt.NDArray[np.int64]
FateCodes = npt.NDArray[np.int8]


@dataclass(frozen=True, slots=True)
class Verdicts:
    """The fate of each event (STORED, DUPLICATE, CONFLICT or REJECTED), and the keys that first copies claim."""

    fates: FateCodes
    claimed: KeyRun


def split_keys(keys: pa.FixedSizeBinaryArray) -> tuple[U64, U64]:
    """The high and low words of 128-bit big-endian keys."""
    words = np.frombuffer(keys.buffers()[1], dtype=">u8").reshape(-1, 2)
    words = words[keys.offset : keys.offset + len(keys)]
    return words[:, 0].astype(np.uint64), words[:, 1].astype(np.uint64)


def judge_copies(
    high: U64, low: U64, body: U64, bad: Flags, index: KeyIndex, *, since_s: int, stored_s: int
) -> Verdicts:
    """Find the first copy of every key; the events are given in the order of the log.

    A key claimed by an earlier block, stored at ``since_s`` or later, is a duplicate if the body is the same and a
    conflict otherwise; so is every later event of the same key in this block. A bad event claims no key, so that its
    sender may mend it under the same id; it is rejected unless its key belongs to somebody already.
    """
    order = log_order_within_keys(high, low)
    sorted_high, sorted_low = high[order], low[order]
    heads = key_heads(sorted_high, sorted_low)
    group = np.cumsum(heads) - 1
    known, known_body = index.probe(sorted_high[heads], sorted_low[heads], since_s)
    claimant = first_good(group, ~bad[order], len(known))
    sorted_body = body[order]
    reference = known_body.copy()
    claims = ~known & (claimant < len(order))
    reference[claims] = sorted_body[claimant[claims]]

    place = np.arange(len(order))
    fates = np.where(sorted_body == reference[group], DUPLICATE, CONFLICT).astype(np.int8)
    fates[~known[group] & (place < claimant[group])] = REJECTED
    winners = claimant[claims]
    fates[winners] = STORED
    result = np.empty(len(order), dtype=np.int8)
    result[order] = fates
    stored = np.full(len(winners), stored_s, dtype=np.uint32)
    return Verdicts(result, KeyRun(sorted_high[winners], sorted_low[winners], sorted_body[winners], stored))


def log_order_within_keys(high: U64, low: U64) -> Places:
    """The order by key, and within a key by place in the log."""
    order = np.argsort(high).astype(np.int64)
    sorted_high = high[order]
    tied = np.zeros(len(order), dtype=np.bool_)
    equal = sorted_high[1:] == sorted_high[:-1]
    tied[1:] |= equal
    tied[:-1] |= equal
    # A stable sort of everything costs five times more, and only copies need it.
    if equal.any():
        copies = order[tied]
        order[tied] = copies[np.lexsort((copies, low[copies], high[copies]))]
    return order


def key_heads(sorted_high: U64, sorted_low: U64) -> Flags:
    """Where a key appears for the first time in the order by key."""
    heads = np.ones(len(sorted_high), dtype=np.bool_)
    heads[1:] = (sorted_high[1:] != sorted_high[:-1]) | (sorted_low[1:] != sorted_low[:-1])
    return heads


def first_good(group: Places, good: Flags, groups: int) -> Places:
    """For each group the place of its first good event; the number of events where there is none."""
    first = np.full(groups, len(group), dtype=np.int64)
    places = np.flatnonzero(good)
    owners = group[places]
    leading = np.ones(len(places), dtype=np.bool_)
    leading[1:] = owners[1:] != owners[:-1]
    first[owners[leading]] = places[leading]
    return first
