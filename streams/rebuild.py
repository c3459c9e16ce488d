"""The dedupe index of a partition, read back from ClickHouse: it is a cache, and may be lost at any time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Protocol

import numpy as np
import polars as pl

from streams.key_index import KeyRun, run_in_time
from streams.plan import Intent

Query = Callable[[str, Mapping[str, object] | None], pl.DataFrame]

# One answer of so many keys is 14 MB, and some multiples of it while it is unpacked.
KEYS_AT_ONCE = 500_000
PREFIXES = 2**64

# Duplicates, conflicts and rejected events claim no key, and neither do corrections: the event's own row did. What a
# backfill holds may be the first of its key.
CLAIMED = """
    FROM usage_events
    WHERE partition = {partition:UInt16} AND fate IN ('stored', 'held') AND action IN ('event', 'backfill')
      AND stored_at >= fromUnixTimestamp64Micro({since_us:Int64}, 'UTC')
      AND (incarnation, block_first) NOT IN (
          SELECT block.1, block.2
          FROM (SELECT arrayJoin(arrayZip({out_incarnations:Array(UInt32)}, {out_firsts:Array(UInt64)})) AS block))
      AND (incarnation > {after_incarnation:UInt32}
           OR (incarnation = {after_incarnation:UInt32} AND block_first >= {after_offset:UInt64}))
"""
HIGH = "byteSwap(reinterpretAsUInt64(substring(key, 1, 8)))"
LOW = "byteSwap(reinterpretAsUInt64(substring(key, 9, 8)))"
STORED_US = "toUnixTimestamp64Micro(stored_at)"
# Keys compare as bytes, so that a slice is found without taking each key apart.
SLICE = """
      AND key >= toFixedString(unhex({from:String}), 16) AND key <= toFixedString(unhex({to:String}), 16)
"""


@dataclass(frozen=True, slots=True)
class KeysWanted:
    """The keys that a partition's blocks claimed since ``horizon_from``, but for those of blocks left out.

    Only those of blocks at or after the (incarnation, offset) ``after``.
    """

    partition: int
    horizon_from: datetime
    leaving_out: tuple[Intent, ...]
    after: tuple[int, int] = (0, 0)


class KeySource(Protocol):
    """Where keys are read back from. Raises ``Transient`` when out of reach."""

    def count_keys(self, wanted: KeysWanted) -> int:
        """How many keys there are."""

    def read_keys(self, wanted: KeysWanted, first: int, last: int) -> KeyRun:
        """Those whose high words lie between two, both included."""


def slices(total: int, keys_at_once: int = KEYS_AT_ONCE) -> Iterator[tuple[int, int]]:
    """The first and last high words of ranges that follow each other, each with about so many of ``total`` keys."""
    count = total // keys_at_once + 1
    bounds = [number * PREFIXES // count for number in range(count)] + [PREFIXES]
    return ((start, end - 1) for start, end in pairwise(bounds))


def count_keys(query: Query, wanted: KeysWanted) -> int:
    """How many keys there are."""
    return int(query(f"SELECT count() AS keys {CLAIMED}", parameters_of(wanted))["keys"][0])


def read_keys(query: Query, wanted: KeysWanted, first: int, last: int) -> KeyRun:
    """The keys whose high words lie between two, both included."""
    found = query(
        f"SELECT {HIGH} AS high, {LOW} AS low, body_hash AS body, {STORED_US} AS stored_us {CLAIMED} {SLICE}",
        {**parameters_of(wanted), "from": f"{first:016x}{'0' * 16}", "to": f"{last:016x}{'f' * 16}"},
    )
    # Sorting here takes a tenth of the time that ClickHouse takes for it.
    return run_in_time(
        found["high"].to_numpy().astype(np.uint64),
        found["low"].to_numpy().astype(np.uint64),
        found["body"].to_numpy().astype(np.uint64),
        found["stored_us"].to_numpy(),
    )


def claimed_keys(query: Query, wanted: KeysWanted, *, keys_at_once: int = KEYS_AT_ONCE) -> KeyRun:
    """All keys in memory. Many are read in slices of their high words, so that no single answer grows too large."""
    total = count_keys(query, wanted)
    return joined([read_keys(query, wanted, first, last) for first, last in slices(total, keys_at_once)])


def joined(parts: Sequence[KeyRun]) -> KeyRun:
    """Slices that follow each other, as one run."""
    if not parts:
        nothing = np.zeros(0, dtype=np.uint64)
        return KeyRun(nothing, nothing, nothing, nothing.astype(np.uint32))
    return KeyRun(
        np.concatenate([part.high for part in parts]),
        np.concatenate([part.low for part in parts]),
        np.concatenate([part.body for part in parts]),
        np.concatenate([part.stored_s for part in parts]),
    )


def parameters_of(wanted: KeysWanted) -> dict[str, object]:
    """What the conditions are bound to."""
    out, after = wanted.leaving_out, wanted.after
    return {
        "partition": wanted.partition,
        "since_us": int(wanted.horizon_from.timestamp() * 1_000_000),
        "out_incarnations": [intent.incarnation for intent in out],
        "out_firsts": [intent.first_offset for intent in out],
        "after_incarnation": after[0],
        "after_offset": after[1],
    }
