"""What merchants cost: laying out their catalog, blocks of their events, and finding whose key a request has."""

from __future__ import annotations

import asyncio
import gc
import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from time import process_time

import psutil
from sqlalchemy import Engine, text

from benchmarks.dedupe_index import memory_mb
from benchmarks.growth_stream import EVENTS, PASSES, SPAN_S, compute_us, reads_of
from benchmarks.processes import cpu_seconds, family
from benchmarks.seeded_rows import FIRST_AT, snapshot_of
from catalog.keys import find_key
from core.clock import SystemClock
from core.db import open_engine, transaction
from ingest.authorize import KNOWN_MAX, Authorizer, Identity, key_name
from ingest.catalog_feed import arrange
from migrations.apply import upgrade
from runtime.embedded.ports import EmbeddedPorts
from runtime.embedded.stack import embedded_parts, endpoints
from runtime.embedded.supervisor import Supervisor
from runtime.traffic.plan import TrafficPlan
from streams.compiled import compile_catalog
from streams.key_index import KeyIndex

METERS, CUSTOMERS = 5, 10
# Small requests, so that a block holds the events of many.
REQUEST_EVENTS = 10
LOOKUPS = 1_000
RECALLS = 100_000

_ADD_MERCHANTS = text("""
    INSERT INTO merchants (merchant_id, code, name)
    SELECT 'mer_' || lpad(n::text, 26, '0'), 'm-' || n, 'M' FROM generate_series(:first ::int, :last ::int) AS n
""")
_ADD_KEYS = text("""
    INSERT INTO api_keys (key_id, merchant_id, prefix, secret_sha256, name, scope)
    SELECT 'key_' || lpad(n::text, 26, '0'), 'mer_' || lpad(n::text, 26, '0'), 'bb_000000',
        sha256(convert_to('bb_' || lpad(n::text, 43, '0'), 'UTF8')), '', 'merchant'
    FROM generate_series(:first ::int, :last ::int) AS n
""")


def measure_catalog(sizes: Sequence[int]) -> list[dict[str, float]]:
    """A catalog of so many merchants in worker and gateway, and the same number of events spread over them.

    Memory is what compiling adds to this process: each size asks for a process of its own.
    """
    compile_catalog(snapshot_of(plan_of(1)))
    found = []
    for merchants in sizes:
        plan = plan_of(merchants)
        snapshot = snapshot_of(plan)
        gc.collect()
        before_mb, begun_s = memory_mb()["own, MB"], process_time()
        catalog = compile_catalog(snapshot)
        compile_s = process_time() - begun_s
        gc.collect()
        added_mb, begun_s = memory_mb()["own, MB"] - before_mb, process_time()
        arrange(1, snapshot.meters)
        arrange_s = process_time() - begun_s
        messages = reads_of(plan)
        compute_us(messages, catalog, KeyIndex())
        found.append(
            {
                "size": merchants,
                "compile_s": compile_s,
                "compile_us": compile_s / merchants * 1e6,
                "compiled_bytes": max(1, added_mb) * 2**20 / merchants,
                "arrange_us": arrange_s / merchants * 1e6,
                "block_us": min(compute_us(messages, catalog, KeyIndex()) for _ in range(PASSES)),
            }
        )
    return found


def plan_of(merchants: int) -> TrafficPlan:
    """Traffic of so many merchants, each with few meters and customers, so that a hundred thousand can be held."""
    plan = TrafficPlan(first_at=FIRST_AT, events=EVENTS, merchants=merchants, span_s=SPAN_S)
    return replace(plan, meters=METERS, customers=CUSTOMERS, request_events=REQUEST_EVENTS)


def measure_keys(sizes: Sequence[int]) -> list[dict[str, float]]:
    """Microseconds of finding a key's merchant among so many: in the gateway's memory, and in the books."""
    with TemporaryDirectory(prefix="millrace-bench-") as folder:
        home, ports = Path(folder), EmbeddedPorts.free()
        with Supervisor(home) as supervisor:
            supervisor.start(embedded_parts(home, ports, frozenset({"kafka", "clickhouse"})))
            books = open_engine(endpoints(home, ports, kafka="-", clickhouse_url="-").postgres_url)
            upgrade(books)
            server = supervisor.status()[0].pid
            found, first = [], 1
            for size in sizes:
                with transaction(books) as connection:
                    for statement in (_ADD_MERCHANTS, _ADD_KEYS):
                        connection.execute(statement, {"first": first, "last": size})
                with books.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                    connection.execute(text("ANALYZE api_keys"))
                first = size + 1
                found.append({"size": size} | asked_us(books, size, server) | asyncio.run(recall_us(size)))
            books.dispose()
    return found


def key_of(number: int) -> str:
    """The key that ``_ADD_KEYS`` made of a number."""
    return f"bb_{number:043d}"


def asked_us(books: Engine, size: int, server: int) -> dict[str, float]:
    """Look-ups in Postgres, as the gateway makes them: CPU of this process, and of the server."""
    chance = random.Random(5)

    def find(times: int) -> None:
        for _ in range(times):
            with transaction(books) as connection:
                assert find_key(connection, key_of(chance.randint(1, size))) is not None, "the key is there"

    find(LOOKUPS // 10)
    groups = {"server": family(server), "own": [psutil.Process()]}
    before = cpu_seconds(groups)
    find(LOOKUPS)
    after = cpu_seconds(groups)
    return {f"asked_{name}_us": max(after[name] - before[name], 0.01) / LOOKUPS * 1e6 for name in groups}


async def recall_us(size: int) -> dict[str, float]:
    """Recalling remembered keys, of which there are ``KNOWN_MAX`` at most; and the share of keys that are."""
    authorizer = Authorizer(lambda key: Identity(key, "merchant"), SystemClock())
    names = [key_name(key_of(number)) for number in range(1, size + 1)]
    for number in range(1, min(size, 2 * KNOWN_MAX) + 1):
        await authorizer.identify(key_of(number))
    remembered = [name for name in names[: 2 * KNOWN_MAX] if name in authorizer.known]
    drawn = random.Random(6).choices(remembered, k=RECALLS)
    begun_s = process_time()
    for name in drawn:
        authorizer.recall(name)
    return {"recall_us": (process_time() - begun_s) / RECALLS * 1e6, "remembered_share": len(remembered) / size}
