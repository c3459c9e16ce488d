"""What events in company save: the same line at 1 to 1,000 events a request, in closed loop."""

from __future__ import annotations

from typing import Any

from benchmarks.bench import Bench
from benchmarks.load.schedule import RunSpec
from benchmarks.result import Bar, Plot, Result, Series, Table, number
from benchmarks.scene import GENERATOR, OBSERVER, Scene

SIZES = (1, 10, 100, 500, 1_000)
# Each is a load of its own, whose beginning and end take longer than a short run.
SIZES_QUICK = (1, 100, 500)
# Small requests need more of them under way to keep the gateway busy.
CONNECTIONS = {1: 64, 10: 64, 100: 32, 500: 16, 1_000: 16}


def measure(bench: Bench) -> Result:
    """One short run a size."""
    scene, seconds = bench.scene(), bench.options.seconds(10, 2)
    sizes = SIZES_QUICK if bench.options.quick else SIZES
    found = {size: measure_size(scene, size, seconds) for size in sizes}
    rates = {size: one["events_per_second"] for size, one in found.items()}
    rows = [
        (
            number(size),
            number(one["events_per_second"]),
            number(one["line_us"], 2),
            number(one["gateway_us"], 2),
            number(one["generator_us"], 2),
            number(one["p50_ms"], 1),
            "all" if one["accounted"] else "**no**",
        )
        for size, one in found.items()
    ]
    columns = ("events a request", "events a second", "line, CPU-µs", "gateway", "generator", "answer p50, ms", "found")
    xs = list(map(float, range(len(sizes))))
    return Result(
        name="envelopes",
        title="Events a request",
        figures={str(size): one for size, one in found.items()},
        tables=[Table("By size of the request, end to end", columns, rows)],
        bars=[Bar("500 events a request ÷ 1", round(rates[500] / rates[1], 1), 30, "at least")],
        plots=[
            Plot(
                "envelopes",
                "Events a second end to end, by events a request",
                "bars",
                "events a request",
                "events a second",
                [Series("events a second", xs, [float(rates[size]) for size in sizes])],
                labels=[str(size) for size in sizes],
                log=True,
            )
        ],
        notes=["Every merchant sends requests of this size; the hot merchant and Zipf decide whose turn it is."],
    )


def measure_size(scene: Scene, size: int, seconds: float) -> dict[str, Any]:
    """Rate and cost at one size."""
    with scene.load(request_events=size) as load:
        scene.say(f"{size:,} events a request")
        with scene.watching() as watch:
            run = load.run(RunSpec(seconds=seconds, connections=CONNECTIONS[size]))
            ended_s = load.drained()
        verdict = load.verify()
    us = {name: spent_s / run["accepted"] * 1e6 for name, spent_s in watch.cpu_s.items()}
    return {
        "events": run["accepted"],
        "events_per_second": round(run["accepted"] / (ended_s - run["begun_s"])),
        "line_us": round(sum(spent for name, spent in us.items() if name not in {GENERATOR, OBSERVER}), 3),
        "gateway_us": round(us["gateway"], 3),
        "generator_us": round(us[GENERATOR], 3),
        "cpu_us": {name: round(spent, 3) for name, spent in us.items()},
        "p50_ms": run["latency_ms"]["p50"],
        "accounted": verdict.ok,
        "faults": verdict.faults,
    }
