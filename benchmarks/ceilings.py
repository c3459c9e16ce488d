"""What the parts could do by themselves in this run: parsing, decoding, inserting, consuming, answering."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa

from benchmarks.bench import Bench
from benchmarks.blocks import compute, load_catalog
from benchmarks.ceiling_json import best_us, bodies_of
from benchmarks.line import CONNECTIONS, REQUEST_EVENTS
from benchmarks.load.control import ROOT, generator
from benchmarks.load.plan import LoadPlan
from benchmarks.load.schedule import RunSpec
from benchmarks.log_messages import read_back, read_with_aiokafka, read_with_confluent, sealed_ends
from benchmarks.processes import cpu_seconds
from benchmarks.result import Bar, Result, Table, number
from benchmarks.scene import Scene
from ingest.decode import decode_events
from runtime.embedded.ports import free_port
from runtime.embedded.probes import port_is_taken
from streams.key_index import KeyIndex
from streams.rows import EVENTS

READY_WITHIN_S = 30.0
INSERT_EVENTS = 100_000
TABLE = "bench_events"


def measure(bench: Bench) -> Result:
    """One ceiling after the other."""
    scene, line, seconds = bench.scene(), bench.line(), bench.options.seconds(5, 1)
    found: dict[str, float] = {}
    scene.say("parsing and decoding")
    bodies = bodies_of(LoadPlan(request_events=REQUEST_EVENTS))
    found["orjson_per_second"] = 1e6 / best_us(lambda: each(orjson.loads, bodies), len(bodies) * REQUEST_EVENTS)
    found["decode_per_second"] = 1e6 / best_us(lambda: each(decode, bodies), len(bodies) * REQUEST_EVENTS)
    scene.say("inserting")
    found |= measure_insert(scene, bench.options.seconds(10, 2.5))
    scene.say("consuming")
    found |= measure_consumers(scene, seconds)
    scene.say("answering")
    with bench.folder() as folder:
        found |= {f"http_{size}_per_second": empty_rate(folder, size, seconds) for size in (100, REQUEST_EVENTS)}
    rates = {
        "orjson.loads, one core": found["orjson_per_second"],
        "the gateway's decoder, one core": found["decode_per_second"],
        "Arrow inserts into a table like usage_events": found["insert_per_second"],
        "confluent-kafka, same topic": found["confluent_per_second"],
        "aiokafka, same topic": found["aiokafka_per_second"],
        f"empty handler, {REQUEST_EVENTS} events a request": found[f"http_{REQUEST_EVENTS}_per_second"],
        "empty handler, 100 events a request": found["http_100_per_second"],
    }
    live = line["events_per_second"]
    rows = [(name, number(rate), number(live / rate, 3)) for name, rate in rates.items()]
    bars = [
        Bar("end to end ÷ decoding alone on one core", round(live / found["decode_per_second"], 3), 0.2, "at least"),
        Bar("end to end ÷ inserting alone", round(live / found["insert_per_second"], 3), 0.05, "at least"),
    ]
    if "envelopes" in bench.found:
        taken = bench.found["envelopes"]["100"]["events_per_second"]
        ratio = round(taken / found["http_100_per_second"], 3)
        bars.append(Bar("the line ÷ an empty handler, 100 events a request", ratio, 0.5, "at least"))
    return Result(
        name="ceilings",
        title="Ceilings of this machine in this run",
        figures={name: round(value, 3) for name, value in found.items()},
        tables=[Table("Events a second", ("alone", "events a second", "the line ÷ this"), rows)],
        bars=bars,
        notes=[f"ClickHouse spends {found['insert_us']:.2f} CPU-µs an event when it only inserts events."],
    )


def each(work: Any, bodies: list[bytes]) -> None:
    """Do it to every body, keeping nothing."""
    for body in bodies:
        work(body)


def decode(body: bytes) -> object:
    """As the gateway decodes, without judging."""
    return decode_events(body, "document")


def measure_insert(scene: Scene, seconds: float) -> dict[str, float]:
    """The rows of real blocks again and again, under new tokens, into a table of the same shape."""
    store, end = scene.parts.store, sealed_ends(scene)[0]
    messages = read_back(scene, 0, max(0, end - 400), end)
    tables: list[pa.Table] = []
    for result, _ in compute(messages, load_catalog(scene), KeyIndex()):
        tables.append(result.events)
        if sum(map(len, tables)) >= INSERT_EVENTS:
            break
    block = pa.concat_tables(tables).combine_chunks()
    store.command(f"CREATE TABLE {TABLE} AS {EVENTS}")
    group = {"clickhouse": scene.processes()["clickhouse"]}
    try:
        store.insert_frame(TABLE, block, token=f"bench-{0}")
        before, begun_s, count = cpu_seconds(group)["clickhouse"], scene.clock.steady_s(), 0
        while scene.clock.steady_s() - begun_s < seconds:
            count += 1
            store.insert_frame(TABLE, block, token=f"bench-{count}")
        took_s = scene.clock.steady_s() - begun_s
        spent_s = cpu_seconds(group)["clickhouse"] - before
    finally:
        store.command(f"DROP TABLE {TABLE}")
    events = count * len(block)
    return {"insert_per_second": events / took_s, "insert_us": spent_s / events * 1e6, "insert_block": len(block)}


def measure_consumers(scene: Scene, seconds: float) -> dict[str, float]:
    """Events a second of bare consumers, by the events that a message holds on average."""
    events_a_message = scene.received() / sum(sealed_ends(scene).values())
    found = {}
    for name, read in (("confluent", read_with_confluent), ("aiokafka", read_with_aiokafka)):
        messages, took_s = read(scene, seconds)
        found[f"{name}_per_second"] = messages * events_a_message / max(took_s, 1e-6)
    return found


@contextmanager
def empty_server(log: Path) -> Iterator[str]:
    """The server for as long as the block runs; its address."""
    port = free_port()
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.empty_handler", str(port)], cwd=ROOT, stdout=output, stderr=output
        )
    try:
        pause = threading.Event()
        for _ in range(int(READY_WITHIN_S / 0.1)):
            if port_is_taken(port):
                break
            pause.wait(0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(10)


def empty_rate(folder: Path, request_events: int, seconds: float) -> float:
    """Events a second that reach a handler which does nothing with them."""
    keys = ["k" * 46] * 20
    with (
        empty_server(folder / "empty.log") as url,
        generator(url, keys, LoadPlan(merchants=20, request_events=request_events), folder / "load.log") as load,
    ):
        run = load.run(RunSpec(seconds=seconds, connections=CONNECTIONS))
    return float(run["accepted"] / (run["ended_s"] - run["begun_s"]))
