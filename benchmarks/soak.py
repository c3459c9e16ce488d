"""A longer run at half load: do latency or memory drift?"""

from __future__ import annotations

from statistics import median

from benchmarks.bench import Bench
from benchmarks.line import REQUEST_EVENTS
from benchmarks.load.schedule import RunSpec
from benchmarks.processes import Watch
from benchmarks.result import Bar, Plot, Result, Series, Table, number

CONNECTIONS = 64
PARTS = 6
DRIFTING = ("gateway", "worker", "clickhouse", "kafka", "postgres")


def measure(bench: Bench) -> Result:
    """Runs of equal length behind each other: latency and memory of the last against those of the first."""
    scene, seconds = bench.scene(), bench.options.seconds(180, 24) / PARTS
    rate = bench.line()["events_per_second"] / 2
    runs = []
    with scene.load(request_events=REQUEST_EVENTS) as load, scene.watching() as watch:
        for part in range(PARTS):
            scene.say(f"part {part + 1} of {PARTS}, {seconds:g} s each")
            runs.append(load.run(RunSpec(mode="open", seconds=seconds, rate=rate, connections=CONNECTIONS)))
        load.drained()
        verdict = load.verify()
    p99_ms = [run["latency_ms"]["p99"] for run in runs]
    memory = {name: drift(watch, name) for name in DRIFTING}
    rows = [
        (name, number(first), number(last), number(last / max(first, 1), 2)) for name, (first, last) in memory.items()
    ]
    rows.append(("p99 of answers, ms", number(p99_ms[0], 1), number(p99_ms[-1], 1), number(p99_ms[-1] / p99_ms[0], 2)))
    return Result(
        name="soak",
        title="A longer run",
        figures={"p99_ms": p99_ms, "memory_mb": memory, "rate": round(rate), "accounted": str(verdict)},
        tables=[
            Table(f"Memory in MB, {seconds * PARTS:g} s at half load", ("", "first", "last", "last ÷ first"), rows)
        ],
        bars=[
            Bar("p99 of the last part ÷ of the first", round(p99_ms[-1] / p99_ms[0], 2), 1.2, "at most"),
            Bar("acknowledged events accounted for (1 is all)", 1 if verdict.ok else 0, 1, "at least"),
        ],
        plots=[memory_plot(watch)],
        notes=["The log of the embedded broker lives in memory and grows with what it is given."],
    )


def drift(watch: Watch, name: str) -> tuple[int, int]:
    """Median memory of the first and of the last part of the samples."""
    values = [sample.memory_mb[name] for sample in watch.samples]
    some = max(1, len(values) // PARTS)
    return int(median(values[:some])), int(median(values[-some:]))


def memory_plot(watch: Watch) -> Plot:
    """Memory over time."""
    times = [sample.at_s for sample in watch.samples]
    series = [Series(name, times, [float(one.memory_mb[name]) for one in watch.samples]) for name in DRIFTING]
    return Plot("memory", "Resident memory at half load", "lines", "seconds", "MB", series)
