"""What an event costs as a partition's life goes on: blocks beside more keys, ClickHouse under more rows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from benchmarks.blocks import STORED_AT, compute
from benchmarks.clickhouse_insert import cpu_s, running_front, wait_for_merges
from benchmarks.log_messages import Read
from benchmarks.seeded_rows import FIRST_AT, seeded_blocks, seeded_plan, snapshot_of
from benchmarks.worker import messages_of
from clickhouse.client import UsageStore
from clickhouse.migrate import migrate
from runtime.traffic.plan import TrafficPlan
from runtime.traffic.requests import requests_of
from streams.compiled import Compiled, compile_catalog
from streams.key_filter import U64, GrowingFilter
from streams.key_index import KeyIndex, KeyRun
from streams.key_segment import ShareCounts
from streams.store import ClickHouseStore

# One partition of four is worked on, so that a quarter of this goes through.
EVENTS = 400_000
SPAN_S = 60
GATHERED = 8_000
PASSES = 3
BLOCK_EVENTS = 50_000
REAL_BLOCKS = 2

# The base's rows again as those of other events: other ids, keys and blocks, the same months, types and customers.
_AGAIN = {
    "usage_events": "concat(event_id, '-', {again}) AS event_id, sipHash128(key, {again}) AS key,",
    "usage_windows": "",
    "usage_uniques": "",
}
_REFILL = """
    INSERT INTO {table} SELECT * REPLACE ({changes} block_first + toUInt64({again}) * 1000000 AS block_first)
    FROM base_{table} SETTINGS max_insert_block_size = 1000000, min_insert_block_size_rows = 1000000
"""
_STORED = """
    SELECT toUInt64(sum(bytes_on_disk)) AS bytes, toUInt64(count()) AS parts FROM system.parts
    WHERE active AND database = currentDatabase() AND startsWith(table, 'usage_')
"""


def measure_blocks(sizes: Sequence[int]) -> list[dict[str, float]]:
    """CPU-microseconds an event of decoding and computing the same blocks, beside an index of so many keys."""
    plan = TrafficPlan(first_at=FIRST_AT, events=EVENTS, merchants=200, span_s=SPAN_S)
    messages, catalog = reads_of(plan), compile_catalog(snapshot_of(plan))
    compute_us(messages, catalog, KeyIndex())
    return [
        {"size": size, "block_us": min(compute_us(messages, catalog, index) for _ in range(PASSES))}
        for size in sizes
        for index in [index_of(size)]
    ]


def reads_of(plan: TrafficPlan) -> list[Read]:
    """The plan's messages of one partition, as from the log."""
    requests = [request for chunk in requests_of(plan) for request in chunk]
    return [
        Read(offset, one.value, list(one.headers)) for offset, one in enumerate(messages_of(requests, plan, GATHERED))
    ]


def compute_us(messages: list[Read], catalog: Compiled, index: KeyIndex) -> float:
    """One pass over all messages."""
    spent_s, events = 0.0, 0
    for result, cpu in compute(messages, catalog, index):
        spent_s, events = spent_s + cpu, events + result.counts.received
    return spent_s / events * 1e6


def index_of(keys: int) -> KeyIndex:
    """An index of made-up keys in one large run, as a merged file would be; the pages are in memory."""
    random = np.random.default_rng(4)
    high = spread_evenly(keys, random)
    run = KeyRun(
        high,
        random.integers(0, 2**64, keys, dtype=np.uint64),
        random.integers(0, 2**64, keys, dtype=np.uint64),
        np.full(keys, int(STORED_AT.timestamp()) - 60, dtype=np.uint32),
        starts_of(high),
    )
    known = GrowingFilter(keys)
    known.add(high)
    return KeyIndex((), (run,), known)


def spread_evenly(keys: int, random: np.random.Generator) -> U64:
    """Sorted words over the whole range; drawn as gaps, because sorting would take longer than what is measured."""
    gap = int(0.98 * 2**64 / keys)
    high: U64 = np.cumsum(random.integers(0, 2 * gap, keys, dtype=np.uint64), dtype=np.uint64)
    assert bool((high[1:] >= high[:-1]).all()), "the gaps leave room for chance"
    return high


def starts_of(high: U64) -> np.ndarray[tuple[int], np.dtype[np.uint32]]:
    """Where each share of the words begins."""
    shares = ShareCounts(len(high))
    for start in range(0, len(high), 1 << 20):
        shares.add(high[start : start + (1 << 20)])
    return shares.starts()


def measure_store(sizes: Sequence[int]) -> list[dict[str, float]]:
    """CPU-microseconds an event of the embedded ClickHouse while its tables fill, and of a real block by then."""
    with TemporaryDirectory(prefix="millrace-bench-") as folder, running_front(Path(folder)) as (store, front):
        migrate(store)
        sink, blocks = ClickHouseStore(store), list(seeded_blocks(seeded_plan(160_000, 200, 3600), BLOCK_EVENTS))
        base, real = blocks[0], blocks[1 : 1 + REAL_BLOCKS]
        for table, rows in base.items():
            store.command(f"CREATE TABLE base_{table} AS {table}")
            store.insert_frame(f"base_{table}", rows, token=f"base:{table}")
        events, again, found = 0, 0, []
        for size in sizes:
            begun_s, stretch = cpu_s(front), 0
            while not stretch or events + stretch < size:
                again += 1
                refill(store, again)
                stretch += base["usage_events"].num_rows
            wait_for_merges(store)
            fill_us = (cpu_s(front) - begun_s) / stretch * 1e6
            events += stretch
            stored = store.query_frame(_STORED).row(0, named=True)
            begun_s = cpu_s(front)
            for number, block in enumerate(real):
                for table, rows in block.items():
                    sink.insert(table, rows, f"{size}:{number}:{table}")
            real_events = sum(block["usage_events"].num_rows for block in real)
            insert_us = (cpu_s(front) - begun_s) / real_events * 1e6
            row = {
                "fill_us": fill_us,
                "insert_us": insert_us,
                "bytes": stored["bytes"] / events,
                "parts": stored["parts"],
            }
            found.append({"size": size} | row)
            events += real_events
        return found


def refill(store: UsageStore, again: int) -> None:
    """One more block of other events."""
    for table, changes in _AGAIN.items():
        store.command(_REFILL.format(table=table, changes=changes.format(again=again), again=again))
