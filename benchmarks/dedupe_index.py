"""``python -m benchmarks.dedupe_index``: what the dedupe index costs at 1, 10 and 50 million keys.

Each size is measured in a process of its own: one partition is fed in blocks of 25,000 keys through the very keeper
that the worker uses, files and all. ``pause`` is what the index does between two blocks, merging included.
Then a worker's index of four partitions is read back from a real ClickHouse engine, and again from its files.

Memory is the resident set of the whole process: ``own`` is what nobody shares, interpreter and libraries included;
``mapped`` are pages of mapped files, which the kernel takes back when it needs them. The limit is for both together.
Probes are measured when the pages that they need are mapped.
"""

from __future__ import annotations

import importlib
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import sleep, thread_time
from typing import Annotated, Any

import numpy as np
import orjson
import typer
from rich.console import Console
from rich.table import Table

from clickhouse.client import open_usage_store
from clickhouse.migrate import migrate
from core.clock import SystemClock
from runtime.embedded.ports import EmbeddedPorts
from runtime.embedded.stack import embedded_parts, endpoints
from runtime.embedded.supervisor import Supervisor
from streams.block import HORIZON_S
from streams.key_files import MEMORY_KEYS, KeyFiles
from streams.key_folder import KeyFolder
from streams.key_index import KeyIndex, KeyRun, sorted_run
from streams.key_keeper import KeyKeeper
from streams.ledger import Lease, SealedBlock
from streams.retry import Retry, RetryPolicy
from streams.store import ClickHouseStore

BLOCK_KEYS = 25_000
PROBES = 200
PARTITIONS = 4
CLOCK = SystemClock()
NOW = datetime(2026, 1, 1, tzinfo=UTC)
NOW_S = int(NOW.timestamp())


def main(
    *,
    millions: Annotated[str, typer.Option(help="Sizes of one partition's index.")] = "1,10,50",
    rebuild: Annotated[int, typer.Option(help="Millions of keys to read back from ClickHouse; 0 for none.")] = 10,
    child: Annotated[str, typer.Option(hidden=True)] = "",
) -> None:
    """Measure and print two tables."""
    if child:
        kind, number = child.split(":")
        found = measure_index(int(number)) if kind == "index" else measure_rebuild(int(number), sys.stdin.read())
        print(orjson.dumps(found).decode())
        return
    sizes = [int(float(size) * 1_000_000) for size in millions.split(",")]
    show("One partition, blocks of 25,000 keys", [in_child(f"index:{size}") for size in sizes])
    if rebuild:
        show("A worker with four partitions", list(rebuilt(rebuild * 1_000_000)))


def in_child(what: str, told: str = "") -> dict[str, Any]:
    """Measure in a fresh process; what it is ``told`` no list of processes shows."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.dedupe_index", "--child", what],
        input=told.encode(),
        stdout=subprocess.PIPE,
        check=True,
    )
    found: dict[str, Any] = orjson.loads(done.stdout.splitlines()[-1])
    return found


def show(title: str, rows: list[dict[str, Any]]) -> None:
    """One column a measurement."""
    table = Table(title=title)
    table.add_column("")
    for _ in rows:
        table.add_column("", justify="right")
    for name in rows[0]:
        table.add_row(name, *(row[name] if isinstance(row[name], str) else f"{row[name]:,}" for row in rows))
    Console(highlight=False).print(table)


def memory_mb() -> dict[str, int]:
    """The resident set of this process, now and at most."""
    lines = Path("/proc/self/status").read_text().splitlines()
    kb = {line.split(":")[0]: int(line.split()[1]) for line in lines if line.startswith(("VmHWM", "Rss"))}
    own, mapped = kb["RssAnon"] // 1024, (kb["RssFile"] + kb["RssShmem"]) // 1024
    return {"own, MB": own, "mapped, MB": mapped, "both, MB": own + mapped, "both at most, MB": kb["VmHWM"] // 1024}


def random_run(random: np.random.Generator, count: int) -> KeyRun:
    """A block's claims."""
    words = random.integers(0, 2**64, (3, count), dtype=np.uint64)
    return sorted_run(words[0], words[1], words[2], np.full(count, NOW_S, dtype=np.uint32))


@dataclass(frozen=True)
class Built:
    """An index and what it cost to fill it."""

    index: KeyIndex
    keeper: KeyKeeper
    add_ns: float
    pauses_s: list[float]
    sample: KeyRun


def build(folder: Path, keys: int, background: ThreadPoolExecutor) -> Built:
    """Feed an index block after block."""
    random = np.random.default_rng(1)
    place = KeyFolder(folder, Lease("usage", 0, "bench", 1))
    folder.mkdir(parents=True)
    index, keeper = KeyIndex(), KeyKeeper(place, MEMORY_KEYS, background)
    pauses, kept = [], []
    for number in range(keys // BLOCK_KEYS):
        run = random_run(random, BLOCK_KEYS)
        if number % 4 == 0:
            kept.append(some_of(run, random))
        block = SealedBlock(1, number + 1, NOW, "")
        # Processor time: others use this machine too.
        began_s = thread_time()
        index = keeper.with_added(index, run, block, NOW_S - HORIZON_S)
        pauses.append(thread_time() - began_s)
    sample = sorted_run(
        np.concatenate([run.high for run in kept]),
        np.concatenate([run.low for run in kept]),
        np.concatenate([run.body for run in kept]),
        np.concatenate([run.stored_s for run in kept]),
    )
    return Built(index, keeper, sum(pauses) / keys * 1e9, sorted(pauses), sample)


def some_of(run: KeyRun, random: np.random.Generator) -> KeyRun:
    """A few keys, anywhere in the run, to come again."""
    places = np.sort(random.integers(0, len(run), 400))
    return KeyRun(run.high[places], run.low[places], run.body[places], run.stored_s[places])


def probe_ns(built: Built, repeats: int) -> float:
    """The median cost a key of probing a block, ``repeats`` of whose keys are known, from anywhere in time."""
    random, costs = np.random.default_rng(2), []
    for _ in range(PROBES):
        fresh = random_run(random, BLOCK_KEYS - repeats)
        again = random.integers(0, len(built.sample), repeats)
        high = np.concatenate([fresh.high, built.sample.high[again]])
        low = np.concatenate([fresh.low, built.sample.low[again]])
        order = np.argsort(high)
        high, low = high[order], low[order]
        began_s = CLOCK.steady_s()
        found, _ = built.index.probe(high, low, NOW_S - HORIZON_S)
        costs.append((CLOCK.steady_s() - began_s) / BLOCK_KEYS * 1e9)
        assert int(found.sum()) == repeats, "every repeat is found, and nothing else"
    return median(costs)


def measure_index(keys: int) -> dict[str, float]:
    """One size."""
    before = memory_mb()
    with TemporaryDirectory() as home, ThreadPoolExecutor(1) as background:
        built = build(Path(home) / "0", keys, background)
        # Pages that a merge has just written are mapped at their first use.
        probe_ns(built, BLOCK_KEYS // 50)
        result = {
            "keys": keys,
            "add, CPU-ns a key, merging included": round(built.add_ns),
            "pause, median, CPU-ms a block": round(median(built.pauses_s) * 1000, 1),
            "pause, 99 %, CPU-ms a block": round(built.pauses_s[-1 - len(built.pauses_s) // 100] * 1000, 1),
            "pause at most, CPU-ms a block": round(built.pauses_s[-1] * 1000, 1),
            "probe without repeats, ns a key": round(probe_ns(built, 0), 1),
            "probe with 2 % repeats, ns a key": round(probe_ns(built, BLOCK_KEYS // 50), 1),
            "files": len(built.keeper.segments),
            "before the first key, MB": before["both, MB"],
            **memory_mb(),
        }
        built.keeper.close()
    return result


class OneBlock:
    """A ledger with one sealed block."""

    def last_sealed(self, _lease: Lease) -> SealedBlock:
        """That block."""
        return SealedBlock(1, 1_000_000, NOW, "xxh3:0")

    def has_sealed(self, lease: Lease, block: SealedBlock) -> bool:
        """Whether it is that block."""
        return block == self.last_sealed(lease)


FILL = """
    INSERT INTO usage_events
    SELECT 'mer_a' AS merchant_id, toString(number) AS event_id, '' AS source, 'call' AS type,
           toString(number % 50000) AS subject, toString(number % 50000) AS customer_id,
           {now:DateTime64(6, 'UTC')} - toIntervalSecond(number % 2592000) AS occurred_at, occurred_at AS received_at,
           occurred_at AS stored_at, map('tokens', '17') AS properties, 'stored' AS fate, '' AS reason,
           reinterpretAsFixedString(cityHash64(number, 1)) || reinterpretAsFixedString(cityHash64(number, 2)) AS key,
           cityHash64(number) AS body_hash, 1 AS incarnation, number % 4 AS partition,
           intDiv(number, 25000) AS block_first, 0 AS kafka_offset, 0 AS position,
           'event' AS action, '' AS correction_id
    FROM numbers({keys:UInt64})
    SETTINGS max_partitions_per_insert_block = 0
"""


def rebuilt(keys: int) -> Iterator[dict[str, Any]]:
    """Read back from ClickHouse, then from the files that this left."""
    with TemporaryDirectory() as folder:
        home, ports = Path(folder), EmbeddedPorts.free()
        with Supervisor(home) as supervisor:
            supervisor.start(embedded_parts(home, ports, frozenset({"kafka", "postgres"})))
            url = endpoints(home, ports, kafka="-", postgres_url_given="-").clickhouse_url
            store = open_usage_store(url)
            migrate(store)
            store.command(FILL, {"keys": keys, "now": NOW})
            for epoch in (1, 2):
                yield in_child(f"rebuild:{epoch}", f"{home / 'dedupe'} {url}")


def measure_rebuild(epoch: int, places: str) -> dict[str, Any]:
    """Claim all partitions, in a process that has loaded all that a worker loads."""
    importlib.import_module("runtime.commands.worker")
    before = memory_mb()
    folder, url = places.split(" ")
    retry = Retry(RetryPolicy(), CLOCK, sleep)
    with ThreadPoolExecutor(1) as background:
        files = KeyFiles(Path(folder), OneBlock(), ClickHouseStore(open_usage_store(url)), background)
        began_s = CLOCK.steady_s()
        found = [
            files.load(retry, Lease("usage", partition, "bench", epoch), NOW - timedelta(days=35), ())
            for partition in range(PARTITIONS)
        ]
        took_s = CLOCK.steady_s() - began_s
    at_rest = memory_mb()
    random = np.random.default_rng(3)
    for _ in range(PROBES):
        for index, _keeper in found:
            held = index.older[0]
            places_again = np.sort(random.integers(0, len(held), BLOCK_KEYS // 50))
            index.probe(held.high[places_again], held.low[places_again], 0)
            index.probe(random_run(random, BLOCK_KEYS).high, random_run(random, BLOCK_KEYS).low, 0)
    return {
        "from": "ClickHouse" if epoch == 1 else "files",
        "keys": sum(len(index) for index, _ in found),
        "ready after, s": round(took_s, 1),
        "before the first key, MB": before["both, MB"],
        "after loading, MB": at_rest["both, MB"],
        **memory_mb(),
    }


if __name__ == "__main__":
    typer.run(main)
