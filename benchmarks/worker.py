"""``python -m benchmarks.worker``: CPU-microseconds an event of the worker's own computing, step by step.

Seeded envelopes, made by the gateway's own code, go through ``read_message`` and ``process_block`` and into the bytes
of an insert, in blocks as large as a busy worker makes them. No store and no log: what those cost is measured by
``benchmarks.line``. All figures are of user and system time of the whole process, and compare within one run only.
"""

from __future__ import annotations

import gc
import os

# One thread, as few of a block's steps are worth more; Polars reads it when it is first imported.
os.environ.setdefault("POLARS_MAX_THREADS", "1")

import cProfile
import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from itertools import islice
from pathlib import Path
from time import process_time
from typing import Annotated, Any
from uuid import UUID

import orjson
import polars as pl
import pyarrow as pa
import typer
from rich.console import Console
from rich.table import Table

import streams.block
from benchmarks.seeded_rows import FIRST_AT, judged, snapshot_of
from clickhouse.arrow import stream_bytes, to_table
from ingest.codec import Headers, encode_envelope
from ingest.columns import build_batch, join_keys, split_by_partition
from ingest.event import Envelope
from ingest.rows import Rows
from runtime.traffic.plan import TrafficPlan
from runtime.traffic.requests import Request, requests_of
from streams.block import HORIZON_S, BlockResult, Known, process_block
from streams.compiled import Compiled, compile_catalog
from streams.decode import read_message
from streams.key_index import KeyIndex
from streams.sequences import SealedSequences
from streams.window import BlockPlace

STORED_AT = FIRST_AT + timedelta(days=1)
PARTITIONS = 4
# What ``process_block`` calls by these names, in this order.
STEPS = ("gather", "measure", "split_keys", "judge_copies", "event_rows", "window_deltas", "digest_of")


@dataclass(frozen=True, slots=True)
class Sent:
    """One Kafka message: what a worker is handed."""

    value: bytes
    headers: Headers
    rows: int


@dataclass(frozen=True, slots=True)
class Work:
    """The messages of one partition, and their catalog."""

    sent: list[Sent]
    catalog: Compiled


def main(
    *,
    events: Annotated[int, typer.Option(help="Events made, over four partitions of which one is worked on.")] = 800_000,
    merchants: Annotated[int, typer.Option(help="How many merchants send.")] = 1_000,
    envelopes: Annotated[str, typer.Option(help="Events gathered before they are parted by partition.")] = "500,4000",
    blocks: Annotated[str, typer.Option(help="Rows of a block.")] = "25000,50000,100000",
    profile: Annotated[Path | None, typer.Option(help="Where to leave a profile of the last combination.")] = None,
) -> None:
    """Measure every combination and print a table."""
    plan = TrafficPlan(first_at=FIRST_AT, seed=1, events=events, merchants=merchants)
    requests = [request for chunk in requests_of(plan) for request in chunk]
    catalog = compile_catalog(snapshot_of(plan))
    ceiling_us = measure_ceiling(requests)
    gc.collect()
    gc.freeze()
    columns: dict[str, dict[str, float]] = {}
    sizes = [int(rows) for rows in blocks.split(",")]
    for gathered in map(int, envelopes.split(",")):
        work = Work(list(messages_of(requests, plan, gathered)), catalog)
        for rows in sizes:
            columns[f"{gathered // PARTITIONS:,} / {rows:,}"] = measure_blocks(work, rows)
        if profile is not None:
            with cProfile.Profile(process_time) as profiler:
                measure_blocks(work, sizes[-1])
            profiler.dump_stats(profile)
    show(columns, ceiling_us)


def messages_of(requests: list[Request], plan: TrafficPlan, gathered: int) -> Iterator[Sent]:
    """The messages of partition 0, made as the gateway makes them from so many events at a time."""
    waiting: list[Rows] = []
    sequence = 0
    for request in requests:
        waiting += judged(request, plan)
        if sum(map(len, waiting)) >= gathered:
            batch = build_batch(waiting)
            for partition, part in split_by_partition(batch, join_keys(waiting), PARTITIONS):
                if partition == 0:
                    sequence += 1
                    value, headers = encode_envelope(Envelope(UUID(int=1), sequence, part))
                    yield Sent(value, headers, part.num_rows)
            waiting = []


def measure_ceiling(requests: list[Request]) -> float:
    """CPU-microseconds an event of ``orjson.loads`` on the same bodies; the best of some."""
    some = list(islice(requests, 400))
    count = sum(len(request.ordinals) for request in some)
    best_s = min(timed(lambda: load_all(some)) for _ in range(5))
    return best_s / count * 1e6


def load_all(requests: list[Request]) -> None:
    """Read every body, and forget it."""
    for request in requests:
        orjson.loads(request.body)


def timed(work: Callable[[], object]) -> float:
    """Seconds of this process' CPU time."""
    begun_s = process_time()
    work()
    return process_time() - begun_s


def measure_blocks(work: Work, rows_max: int) -> dict[str, float]:
    """All messages in blocks of about so many rows; CPU-microseconds an event by step, once for warming up."""
    run_blocks(Work(work.sent[: len(work.sent) // 3], work.catalog), rows_max)
    return run_blocks(work, rows_max)


def run_blocks(work: Work, rows_max: int) -> dict[str, float]:
    """See ``measure_blocks``."""
    spent: dict[str, float] = dict.fromkeys(("decode", *STEPS, "rest", "index", "insert"), 0.0)
    with watched_steps(spent):
        known, first = Known(KeyIndex(), SealedSequences()), 0
        for sent in blocks_of(work.sent, rows_max):
            begun_s = process_time()
            messages = [read_message(first + at, one.value, one.headers) for at, one in enumerate(sent)]
            spent["decode"] += process_time() - begun_s
            inside_s = sum(spent[step] for step in STEPS)
            begun_s = process_time()
            result = process_block(messages, BlockPlace(STORED_AT, 1, 0, first), work.catalog, known)
            spent["rest"] += process_time() - begun_s - (sum(spent[step] for step in STEPS) - inside_s)
            known = next_known(known, result, spent)
            begun_s = process_time()
            written(result)
            spent["insert"] += process_time() - begun_s
            first += len(messages)
    events = sum(one.rows for one in work.sent)
    return {step: spent_s / events * 1e6 for step, spent_s in spent.items()}


def blocks_of(sent: list[Sent], rows_max: int) -> Iterator[list[Sent]]:
    """Messages in blocks of whole messages; the last, smaller one is left out."""
    block: list[Sent] = []
    rows = 0
    for one in sent:
        block.append(one)
        rows += one.rows
        if rows >= rows_max:
            yield block
            block, rows = [], 0
    if block and rows * 2 > rows_max:
        yield block


def next_known(known: Known, result: BlockResult, spent: dict[str, float]) -> Known:
    """What the next block must know."""
    begun_s = process_time()
    index = known.index.with_added(result.claimed, int(STORED_AT.timestamp()) - HORIZON_S)
    after = Known(index, known.sequences.with_added(result.sequences))
    spent["index"] += process_time() - begun_s
    return after


def written(result: BlockResult) -> int:
    """The bytes of the three inserts."""
    return sum(len(stream_bytes(to_table(table))) for table in (result.events, result.windows, result.uniques))


class watched_steps:  # noqa: N801 - reads as the context that it is
    """Measure what ``process_block`` calls."""

    def __init__(self, spent: dict[str, float]) -> None:
        self.spent = spent
        self.own: dict[str, Any] = {}

    def __enter__(self) -> None:
        for step in STEPS:
            self.own[step] = getattr(streams.block, step)
            setattr(streams.block, step, self.watched(step, self.own[step]))

    def __exit__(self, *_: object) -> None:
        for step, function in self.own.items():
            setattr(streams.block, step, function)

    def watched(self, step: str, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def measured(*args: Any, **kwargs: Any) -> Any:
            begun_s = process_time()
            try:
                return function(*args, **kwargs)
            finally:
                self.spent[step] += process_time() - begun_s

        return measured


def show(columns: dict[str, dict[str, float]], ceiling_us: float) -> None:
    """One column a combination."""
    table = Table(title="CPU-µs an event: events a message / rows a block")
    table.add_column("step")
    for name in columns:
        table.add_column(name, justify="right")
    steps = next(iter(columns.values()))
    for step in steps:
        table.add_row(step, *(f"{found[step]:.3f}" for found in columns.values()))
    table.add_row("in all", *(f"{sum(found.values()):.3f}" for found in columns.values()))
    table.add_row("times orjson.loads", *(f"{sum(found.values()) / ceiling_us:.2f}" for found in columns.values()))
    console = Console(highlight=False)
    console.print(table)
    console.print(f"orjson.loads of the same bytes: {ceiling_us:.3f} µs an event")
    console.print(f"Arrow and Polars threads: {pa.cpu_count()}, {pl.thread_pool_size()}")


if __name__ == "__main__":
    typer.run(main)
