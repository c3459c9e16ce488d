"""What an event costs in blocks of so many: what a block costs however small it is, worker and ClickHouse apart."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from time import process_time

from benchmarks.clickhouse_insert import cpu_s, running_front, wait_for_merges
from benchmarks.growth_stream import GATHERED, SPAN_S
from benchmarks.seeded_rows import FIRST_AT, known_after, snapshot_of
from benchmarks.worker import PARTITIONS, STORED_AT, Sent, blocks_of, messages_of
from clickhouse.migrate import migrate
from runtime.traffic.plan import TrafficPlan
from runtime.traffic.requests import Request, requests_of
from streams.block import BlockResult, Known, process_block
from streams.compiled import Compiled, compile_catalog
from streams.decode import read_message
from streams.key_index import KeyIndex
from streams.rows import EVENTS, UNIQUES, WINDOWS
from streams.sequences import SealedSequences
from streams.store import ClickHouseStore
from streams.window import BlockPlace

BLOCKS_MOST, EVENTS_MOST = 60, 100_000


def measure_sizes(sizes: Sequence[int]) -> list[dict[str, float]]:
    """CPU-microseconds an event of worker and ClickHouse, merges included, in blocks of about so many events."""
    plan = TrafficPlan(first_at=FIRST_AT, events=EVENTS_MOST * PARTITIONS * 5 // 4, merchants=200, span_s=SPAN_S)
    requests, catalog = list(requests_in(plan)), compile_catalog(snapshot_of(plan))
    with TemporaryDirectory(prefix="millrace-bench-") as folder, running_front(Path(folder)) as (store, front):
        migrate(store)
        sink, found = ClickHouseStore(store), []
        # The first pass pays for what is compiled and opened once.
        for place, size in enumerate((sizes[0], *sizes)):
            sent = sent_of(requests, plan, size)
            store_before_s, spent_s, events = cpu_s(front), 0.0, 0
            for number, (result, cpu) in enumerate(computed(sent, size, catalog)):
                begun_s = process_time()
                for table, rows in ((EVENTS, result.events), (WINDOWS, result.windows), (UNIQUES, result.uniques)):
                    sink.insert(table, rows, f"{place}:{number}:{table}")
                spent_s += cpu + process_time() - begun_s
                events += result.counts.received
            wait_for_merges(store)
            store_us = (cpu_s(front) - store_before_s) / events * 1e6
            found.append({"size": size, "worker_us": spent_s / events * 1e6, "store_us": store_us})
    return found[1:]


def requests_in(plan: TrafficPlan) -> Iterator[Request]:
    """All of a plan's requests."""
    return (request for chunk in requests_of(plan) for request in chunk)


def sent_of(requests: list[Request], plan: TrafficPlan, size: int) -> list[Sent]:
    """Messages no larger than a block, and no more than are needed."""
    wanted = min(EVENTS_MOST, size * BLOCKS_MOST) * PARTITIONS
    some = requests[: wanted // plan.request_events + 2 * PARTITIONS]
    return list(messages_of(some, plan, min(GATHERED, max(plan.request_events, size * PARTITIONS))))


def computed(sent: list[Sent], size: int, catalog: Compiled) -> Iterator[tuple[BlockResult, float]]:
    """Each block's result and the CPU seconds of it."""
    known, first = Known(KeyIndex(), SealedSequences()), 0
    for block in blocks_of(sent, size):
        begun_s = process_time()
        messages = [read_message(first + at, one.value, one.headers) for at, one in enumerate(block)]
        result = process_block(messages, BlockPlace(STORED_AT, 1, 0, first), catalog, known)
        known = known_after(known, result, STORED_AT)
        first += len(block)
        yield result, process_time() - begun_s
