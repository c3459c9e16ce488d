"""At half of what the line can take: durable answers, freshness, and small merchants beside the hot one.

Then single events at 2,000 requests a second.
"""

from __future__ import annotations

from typing import Any

from benchmarks.bench import Bench
from benchmarks.clickhouse_insert import wait_for_merges
from benchmarks.line import REQUEST_EVENTS
from benchmarks.load.ledger import percentiles_ms
from benchmarks.load.schedule import RunSpec
from benchmarks.probe import probing
from benchmarks.result import Bar, Plot, Result, Series, Table, number
from benchmarks.scene import Load, Scene

CONNECTIONS = 64
SINGLE_RATE = 2_000.0
POINTS = ("p50", "p90", "p99", "p99.9", "p100")


def measure(bench: Bench) -> Result:
    """With the hot merchant and probes, without it, and with single events."""
    scene, seconds = bench.scene(), bench.options.seconds(30, 6)
    rate = bench.line()["events_per_second"] / 2
    scene.say("waiting for the merges of what was streamed before")
    wait_for_merges(scene.parts.store)
    with scene.load(request_events=REQUEST_EVENTS) as load:
        with_hot: list[dict[str, Any]] = []
        without: list[dict[str, Any]] = []
        freshness: list[float] = []
        # Side by side in time, so that a neighbour's noise meets both.
        for _ in range(2):
            hot, fresh = run_half(scene, load, rate, seconds / 2, hot=True)
            freshness += fresh
            with_hot.append(hot)
            without.append(run_half(scene, load, rate * (1 - load.plan.hot_share), seconds / 2, hot=False)[0])
        verdict = load.verify()
    single = measure_single(scene, bench.options.seconds(20, 4))
    small_on, small_off = (min(run["small_ms"]["p99"] for run in runs) for runs in (with_hot, without))
    fresh_ms = percentiles_ms(freshness)
    figures = {
        "rate": round(rate),
        "answer_ms": with_hot[0]["latency_ms"],
        "fresh_ms": fresh_ms,
        "small_p99_ms_hot_on": [run["small_ms"]["p99"] for run in with_hot],
        "small_p99_ms_hot_off": [run["small_ms"]["p99"] for run in without],
        "single": single,
        "accounted": str(verdict),
    }
    latencies = {
        f"answer, {REQUEST_EVENTS} events a request": with_hot[0]["latency_ms"],
        "answer, single events at 2,000 a second": single["latency_ms"],
        "occurred to visible": fresh_ms,
    }
    rows = [(name, *(number(found[point], 1) for point in POINTS)) for name, found in latencies.items()]
    return Result(
        name="half_load",
        title="At half load",
        figures=figures,
        tables=[Table(f"Milliseconds, at {rate:,.0f} events a second", ("", *POINTS), rows)],
        bars=[
            Bar("occurred to visible, p99, seconds", round(fresh_ms["p99"] / 1000, 3), 2, "at most"),
            Bar("small merchants' p99, the hot one on ÷ off", round(small_on / small_off, 2), 2, "at most"),
            Bar("acknowledged events accounted for (1 is all)", 1 if verdict.ok and single["ok"] else 0, 1, "at least"),
        ],
        plots=[latency_plot(latencies)],
        notes=[
            "Latency counts from when a request was due on a fixed schedule, not from when it could be sent.",
            (
                f"Freshness is that of {len(freshness)} single events of a merchant of its own, looked for in their "
                "customer's usage, as the API reads it, every 100 ms."
            ),
            "Small merchants are all but the hot one; of two runs each, taken in turn, the better one counts.",
        ],
    )


def run_half(scene: Scene, load: Load, rate: float, seconds: float, *, hot: bool) -> tuple[dict[str, Any], list[float]]:
    """One run on a schedule, and how long its probes took to show."""
    spec = RunSpec(mode="open", seconds=seconds, rate=rate, connections=CONNECTIONS, hot=hot)
    scene.say(f"{rate:,.0f} events a second, the hot merchant {'on' if hot else 'off'}")
    with probing(scene) as probe:
        run = load.run(spec)
    # The probes are sealed too, and are nobody's load.
    load.sealed_before += probe.sent
    load.drained()
    return run, probe.waits_s


def measure_single(scene: Scene, seconds: float) -> dict[str, Any]:
    """Single events at a fixed rate: what a durable answer takes when nobody has company."""
    with scene.load(request_events=1) as load:
        scene.say("single events")
        run = load.run(RunSpec(mode="open", seconds=seconds, rate=SINGLE_RATE, connections=CONNECTIONS))
        load.drained()
        verdict = load.verify()
    return {
        "rate": SINGLE_RATE,
        "latency_ms": run["latency_ms"],
        "statuses": run["statuses"],
        "unsent_requests": run["unsent_requests"],
        "ok": verdict.ok,
        "accounted": str(verdict),
    }


def latency_plot(latencies: dict[str, dict[str, float]]) -> Plot:
    """Percentiles side by side."""
    xs = list(map(float, range(len(POINTS))))
    series = [Series(name, xs, [found[point] for point in POINTS]) for name, found in latencies.items()]
    return Plot("latency", "Latency by percentile", "bars", "", "milliseconds", series, labels=list(POINTS), log=True)
