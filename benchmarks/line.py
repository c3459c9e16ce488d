"""The whole line on this machine: events a second end to end, and CPU-microseconds an event of each process.

Figures of one run compare with one another only: the ceiling (``orjson.loads`` of the same bytes) is measured in it.
"""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path

import orjson
import psutil

from core.clock import Clock, SystemClock
from runtime.commands.demo import connected, own_settings
from runtime.conservation.check import check_conservation
from runtime.conservation.drain import QUIET_S, wait_until_drained
from runtime.demo.run import Parts
from runtime.stack import Stack, running_stack
from runtime.traffic.ledger import SimulatorLedger
from runtime.traffic.plan import TrafficPlan, plan_for_last_month
from runtime.traffic.prepare import prepare_traffic
from runtime.traffic.requests import requests_of
from runtime.traffic.send import SendOptions, send_plan

WARM_UP_EVENTS = 50_000


@dataclass(frozen=True, slots=True)
class LineResult:
    """``cpu_us`` is user and system time an event, by process; ``ceiling_us`` that of ``orjson.loads`` alone."""

    events: int
    seconds: float
    events_per_second: float
    cpu_us: dict[str, float]
    ceiling_us: float
    line_over_ceiling: float
    rss_mb_max: dict[str, int]
    conservation: str


def measure_line(events: int, merchants: int, log: str = "embedded") -> LineResult:
    """Stream ``events`` through a fresh stack and account for all of them."""
    clock = SystemClock()
    with tempfile.TemporaryDirectory(prefix="millrace-bench-") as folder:
        settings = own_settings(Path(folder) / "home", log)  # type: ignore[arg-type]
        with running_stack(settings) as stack, connected(stack) as parts:
            stream(parts, plan_of(clock, WARM_UP_EVENTS, merchants, seed=99), clock)
            plan = plan_of(clock, events, merchants, seed=1)
            processes = processes_of(stack)
            with watching_memory(processes) as rss_mb_max:
                before = cpu_seconds(processes)
                seconds = stream(parts, plan, clock)
                after = cpu_seconds(processes)
            found = check_conservation(parts.books, parts.store, parts.topic)
    cpu_us = {name: round((after[name] - before[name]) / events * 1e6, 3) for name in after}
    ceiling_us = measure_ceiling(plan, clock)
    line_us = sum(value for name, value in cpu_us.items() if name != "generator")
    return LineResult(
        events=events,
        seconds=round(seconds, 3),
        events_per_second=round(events / seconds),
        cpu_us=cpu_us,
        ceiling_us=round(ceiling_us, 3),
        line_over_ceiling=round(line_us / ceiling_us, 2),
        rss_mb_max=rss_mb_max,
        conservation="ok" if found.ok else "; ".join(found.faults),
    )


def plan_of(clock: Clock, events: int, merchants: int, seed: int) -> TrafficPlan:
    """Seeded traffic: 236-byte CloudEvents, Zipf customers, a hot merchant, repeats, late and invalid ones."""
    return plan_for_last_month(clock.now(), seed=seed, events=events, merchants=merchants)


def stream(parts: Parts, plan: TrafficPlan, clock: Clock) -> float:
    """Send a plan and wait until every event is accounted for; seconds from the first byte to the last seal."""
    with_earlier = received_so_far(parts)
    keys = prepare_traffic(parts.books, parts.store, plan)
    ledger = SimulatorLedger(plan)
    start_s = clock.steady_s()
    send_plan(ledger, SendOptions(parts.gateway_url, keys), clock)
    wait_until_drained(parts.books, parts.admin, parts.topic, clock, acknowledged=with_earlier + ledger.accepted)
    # The wait ends only after the stream has stood still for a while, which is not the stream's own time.
    return clock.steady_s() - start_s - QUIET_S


def received_so_far(parts: Parts) -> int:
    """Events that earlier streams left in the ledger."""
    return check_conservation(parts.books, parts.store, parts.topic).totals.received


def processes_of(stack: Stack) -> dict[str, list[psutil.Process]]:
    """Every part with all that it started, and ourselves as the generator."""
    found = {status.name: family(status.pid) for status in stack.supervisor.status()}
    return found | {"generator": [psutil.Process()]}


def family(pid: int) -> list[psutil.Process]:
    """A process and its children."""
    parent = psutil.Process(pid)
    return [parent, *parent.children(recursive=True)]


def cpu_seconds(processes: dict[str, list[psutil.Process]]) -> dict[str, float]:
    """User and system time so far."""
    return {name: sum(sum(one.cpu_times()[:2]) for one in group) for name, group in processes.items()}


@contextmanager
def watching_memory(processes: dict[str, list[psutil.Process]]) -> Iterator[dict[str, int]]:
    """The largest resident memory of each part while the block runs, in MB."""
    largest = dict.fromkeys(processes, 0)
    done = threading.Event()

    def watch() -> None:
        while not done.wait(0.25):
            for name, group in processes.items():
                now = sum(one.memory_info().rss for one in group) // 1_000_000
                largest[name] = max(largest[name], now)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield largest
    finally:
        done.set()
        thread.join()


def measure_ceiling(plan: TrafficPlan, clock: Clock) -> float:
    """CPU-microseconds an event of ``orjson.loads`` on the first chunks of the same bodies."""
    requests = [request for chunk in islice(requests_of(plan), 2) for request in chunk]
    events = sum(len(request.ordinals) for request in requests)
    best_s = float("inf")
    for _ in range(5):
        start_s = clock.steady_s()
        for request in requests:
            orjson.loads(request.body)
        best_s = min(best_s, clock.steady_s() - start_s)
    return best_s / events * 1e6


def as_json(result: LineResult) -> dict[str, object]:
    """A line of the results file."""
    return {"benchmark": "line", **asdict(result)}
