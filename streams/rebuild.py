"""The dedupe index of a partition, read back from ClickHouse: it is a cache, and may be lost at any time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from itertools import pairwise

import numpy as np
import polars as pl

from streams.key_index import KeyRun
from streams.plan import Intent

Query = Callable[[str, Mapping[str, object] | None], pl.DataFrame]

KEYS_AT_ONCE = 2_000_000

# Duplicates, conflicts and rejected events claim no key.
CLAIMED = """
    FROM usage_events
    WHERE partition = {partition:UInt16} AND fate IN ('stored', 'held')
      AND stored_at >= fromUnixTimestamp64Micro({since_us:Int64}, 'UTC')
      AND NOT (incarnation = {incarnation:UInt32} AND block_first = {block_first:UInt64})
"""
HIGH = "reinterpretAsUInt64(reverse(substring(key, 1, 8)))"
LOW = "reinterpretAsUInt64(reverse(substring(key, 9, 8)))"


def claimed_keys(
    query: Query,
    partition: int,
    horizon_from: datetime,
    leaving_out: Intent | None,
    *,
    keys_at_once: int = KEYS_AT_ONCE,
) -> KeyRun:
    """The keys that a partition's blocks claimed since ``horizon_from``, but for those of the block left out.

    Many keys are read in slices of their high words, so that no single answer grows too large.
    """
    parameters: dict[str, object] = {
        "partition": partition,
        "since_us": int(horizon_from.timestamp() * 1_000_000),
        # Incarnations count from 1: nothing is left out then.
        "incarnation": 0 if leaving_out is None else leaving_out.incarnation,
        "block_first": 0 if leaving_out is None else leaving_out.first_offset,
    }
    total = int(query(f"SELECT count() AS keys {CLAIMED}", parameters)["keys"][0])
    slices = total // keys_at_once + 1
    bounds = [number * 2**64 // slices for number in range(slices)] + [2**64]
    parts = [
        query(
            f"SELECT {HIGH} AS high, {LOW} AS low, body_hash AS body, toUInt32(stored_at) AS stored_s {CLAIMED} "
            f"AND {HIGH} BETWEEN {{from:UInt64}} AND {{to:UInt64}} ORDER BY high",
            {**parameters, "from": start, "to": end - 1},
        )
        for start, end in pairwise(bounds)
    ]
    found = pl.concat(parts)
    return KeyRun(
        found["high"].to_numpy().astype(np.uint64),
        found["low"].to_numpy().astype(np.uint64),
        found["body"].to_numpy().astype(np.uint64),
        found["stored_s"].to_numpy().astype(np.uint32),
    )
