"""The tutorial's line on the same machine and engines, measured as the whole line is: until the last row is there."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import psutil

from benchmarks.baseline.agent import PARTITIONS, TABLE
from benchmarks.bench import Bench
from benchmarks.load.control import ROOT, generator
from benchmarks.load.plan import LoadPlan
from benchmarks.load.schedule import RunSpec
from benchmarks.processes import cpu_seconds, family
from benchmarks.result import Bar, Result, Table, number
from clickhouse.client import UsageStore, open_usage_store
from core.clock import Clock
from runtime.embedded.ports import EmbeddedPorts, free_port
from runtime.embedded.probes import port_is_taken
from runtime.embedded.stack import embedded_parts, endpoints
from runtime.embedded.supervisor import Supervisor
from runtime.topic import ensure_topic, open_admin

TOPIC = "tutorial-events"
CHANGELOG = "tutorial-usage-changelog"
# How rows are inserted, rows an insert, and events a request; a quick run takes one size.
VARIANTS = (("a row an insert", 1, (500, 1)), ("500 rows an insert", 500, (1, 500)))
MERCHANTS = 50
CONNECTIONS = 32
READY_WITHIN_S = 60.0
CREATE = f"""
    CREATE TABLE {TABLE} (id String, type String, subject String, time String, value Float64, data String)
    ENGINE = MergeTree ORDER BY (subject, type, id)
"""


@dataclass(frozen=True, slots=True)
class Tutorial:
    """The tutorial's line, running."""

    url: str
    store: UsageStore
    groups: dict[str, list[psutil.Process]]
    folder: Path
    clock: Clock

    def rows(self) -> int:
        """Rows that are there now."""
        return int(self.store.query_frame(f"SELECT toInt64(count()) AS n FROM {TABLE}")["n"][0])

    def wait_rows(self, wanted: int, within_s: float) -> tuple[int, float]:
        """Rows, and the steady time, once so many are there or the time is up: a backlog may take it very long."""
        end_s, pause = self.clock.steady_s() + within_s, threading.Event()
        while (found := self.rows()) < wanted and self.clock.steady_s() < end_s:
            pause.wait(0.1)
        return found, self.clock.steady_s()


def measure(bench: Bench) -> Result:
    """As tutorials have it, and with rows in batches."""
    seconds = bench.options.seconds(15, 4)
    found: dict[str, dict[str, Any]] = {}
    for name, rows_max, sizes in VARIANTS:
        with bench.folder() as folder, tutorial(folder, rows_max, bench) as line:
            for size in sizes[-1:] if bench.options.quick else sizes:
                found[f"{name}, {size} a request"] = measure_size(line, size, seconds, bench)
    ours = bench.line()
    rows = [
        (name, number(one["events_per_second"]), number(one["line_us"]), number(one["p50_ms"], 1))
        for name, one in found.items()
    ]
    rows.append(("Millrace, 500 a request", number(ours["events_per_second"]), number(ours["line_us"], 1), ""))
    columns = ("", "events a second, end to end", "line, CPU-µs an event", "answer p50, ms")
    best = {
        name: max(one["events_per_second"] for key, one in found.items() if key.startswith(name))
        for name, *_ in VARIANTS
    }
    return Result(
        name="baseline",
        title="Beside a tutorial's line",
        figures={"best_per_second": best, **found},
        tables=[Table("One message an event, JSON twice, a Faust table", columns, rows)],
        bars=[
            Bar(f"events a second ÷ the tutorial's, {name}", round(ours["events_per_second"] / rate, 1), 20, "at least")
            for name, rate in best.items()
        ],
        notes=[
            "benchmarks/baseline: FastAPI, aiokafka's send_and_wait an event, a Faust agent with a table, ClickHouse.",
            "Rows that reached the table in the time given, by that time; a backlog that was left does not count.",
            "An insert costs the embedded engine milliseconds; rows in batches show the rest of that line.",
            "The tutorial neither dedupes nor accounts for anything.",
        ],
    )


def measure_size(line: Tutorial, size: int, seconds: float, bench: Bench) -> dict[str, Any]:
    """One size of request."""
    bench.say(f"the tutorial's line, {size:,} events a request")
    keys = ["k" * 46] * MERCHANTS
    plan = LoadPlan(seed=size, merchants=MERCHANTS, request_events=size)
    connections = CONNECTIONS if size == 1 else 4
    before = line.rows()
    with generator(line.url, keys, plan, line.folder / f"generator-{size}.log") as load:
        cpu_before = cpu_seconds(line.groups)
        run = load.run(RunSpec(seconds=seconds, connections=connections))
        after, ended_s = line.wait_rows(before + run["accepted"], bench.options.seconds(30, 6))
        cpu_after = cpu_seconds(line.groups)
    rows = max(after - before, 1)
    # What did not come through in time has cost the door, and nobody else.
    done = dict.fromkeys(cpu_after, rows) | {"door": run["accepted"]}
    us = {name: round((cpu_after[name] - cpu_before[name]) / done[name] * 1e6, 1) for name in cpu_after}
    return {
        "events": run["accepted"],
        "rows": rows,
        "events_per_second": round(rows / (ended_s - run["begun_s"]), 1),
        "accepted_per_second": round(run["accepted"] / (run["ended_s"] - run["begun_s"])),
        "cpu_us": us,
        "line_us": round(sum(us.values()), 1),
        "p50_ms": run["latency_ms"]["p50"],
    }


@contextmanager
def tutorial(folder: Path, rows_max: int, bench: Bench) -> Iterator[Tutorial]:
    """Log and ClickHouse as the line has them, the tutorial's two programs, and an end to it all."""
    bench.say("starting the tutorial's line")
    home, ports, port = folder / "home", EmbeddedPorts.free(), free_port()
    with Supervisor(home) as supervisor:
        supervisor.start(
            embedded_parts(home, ports, frozenset({"postgres"}), apache_kafka=bench.options.log == "apache")
        )
        found = endpoints(home, ports, postgres_url_given="-")
        admin = open_admin(found.kafka)
        for topic in (TOPIC, CHANGELOG):
            ensure_topic(admin, topic, PARTITIONS)
        store = open_usage_store(found.clickhouse_url)
        store.create_database()
        store.command(CREATE)
        programs = {
            "door": start(folder, "door", found.kafka, TOPIC, str(port)),
            "agent": start(
                folder, "agent", found.kafka, TOPIC, str(folder / "faust"), str(rows_max), told=found.clickhouse_url
            ),
        }
        try:
            wait_for_port(port, programs["door"], folder)
            groups = {status.name: family(status.pid) for status in supervisor.status()}
            groups |= {name: family(program.pid) for name, program in programs.items()}
            line = Tutorial(f"http://127.0.0.1:{port}", store, groups, folder, bench.clock)
            wait_for_first_row(line, port)
            yield line
        except BaseException:
            bench.keep_folder(folder)
            raise
        finally:
            for program in programs.values():
                program.kill()
                program.wait()
            store.close()


def wait_for_first_row(line: Tutorial, port: int) -> None:
    """Send one event and see it arrive: Faust takes a while to join its group. Raises ``TimeoutError``."""
    connection = HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("POST", "/v1/events", b'[{"id":"first","type":"","subject":""}]')
    connection.getresponse().read()
    connection.close()
    if not line.wait_rows(1, READY_WITHIN_S)[0]:
        raise TimeoutError(f"the tutorial's agent stored nothing within {READY_WITHIN_S:g} s")


def start(folder: Path, name: str, *arguments: str, told: str = "") -> subprocess.Popen[bytes]:
    """One of the two programs; what it is ``told`` no list of processes shows."""
    with (folder / f"tutorial-{name}.log").open("wb") as log:
        program = subprocess.Popen(
            [sys.executable, "-m", f"benchmarks.baseline.{name}", *arguments],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
        )
    assert program.stdin is not None
    program.stdin.write(told.encode() + b"\n")
    program.stdin.close()
    return program


def wait_for_port(port: int, program: subprocess.Popen[bytes], folder: Path) -> None:
    """Until the door listens; raises ``RuntimeError`` when it ended instead."""
    pause = threading.Event()
    for _ in range(int(READY_WITHIN_S / 0.1)):
        if port_is_taken(port):
            return
        if program.poll() is not None:
            break
        pause.wait(0.1)
    raise RuntimeError((folder / "tutorial-door.log").read_text(errors="replace")[-500:])
