"""The whole line in closed loop: events a second end to end, and CPU-microseconds an event of each process.

From the first byte sent until the last event shows in the views; then every event is accounted for, by merchant.
The generator has a process of its own, and the catalog is there before.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import text

from benchmarks.bench import Bench
from benchmarks.ceiling_json import json_ceiling_us
from benchmarks.load.schedule import RunSpec
from benchmarks.processes import Watch
from benchmarks.result import Bar, Plot, Result, Series, Table, number
from benchmarks.scene import GENERATOR, OBSERVER, Load, Scene
from core.db import transaction
from runtime.conservation.check import check_conservation

REQUEST_EVENTS = 500
CONNECTIONS = 16
TIMELINE_S = 0.5
BLOCKS = text("""
    SELECT count(*), coalesce(percentile_cont(0.5) WITHIN GROUP (ORDER BY received), 0)::bigint,
        coalesce(max(received), 0)
    FROM stream_blocks WHERE topic = :topic AND state = 'sealed' AND sealed_at > :since
""")


def measure(bench: Bench) -> Result:
    """Warm up, run, wait until everything is in, account for it."""
    scene = bench.scene()
    with scene.load(request_events=REQUEST_EVENTS) as load:
        load.run(RunSpec(seconds=bench.options.seconds(5, 2), connections=CONNECTIONS))
        load.drained()
        figures, watch, run = stream(scene, load, bench.options.seconds(60, 14))
        scene.say("accounting for every event")
        verdict = load.verify()
        conservation = check_conservation(scene.parts.books, scene.parts.store, scene.parts.topic)
    figures["orjson_us"] = json_ceiling_us(load.plan)
    figures["line_over_orjson"] = round(figures["line_us"] / figures["orjson_us"], 2)
    figures["accounted"] = str(verdict)
    figures["conservation"] = "ok" if conservation.ok else "; ".join(conservation.faults[:5])
    whole = verdict.ok and conservation.ok
    return Result(
        name="line",
        title="The whole line",
        figures=figures,
        tables=[cost_table(figures), rate_table(figures)],
        bars=[
            Bar("events a second, end to end", figures["events_per_second"], 200_000, "at least"),
            Bar("CPU of the line ÷ orjson.loads of the same bytes", figures["line_over_orjson"], 5, "at most"),
            Bar("events accounted for (1 is all)", 1 if whole else 0, 1, "at least"),
        ],
        plots=[cost_plot(figures), rate_plot(run, watch)],
        notes=[
            f"{REQUEST_EVENTS} events of one merchant a request, {CONNECTIONS} connections, closed loop.",
            "Events occur when they are sent, but for the late ones.",
            "CPU is user and system time of each part and its children; generator and catalog preparation stand apart.",
            str(verdict),
        ],
    )


def stream(scene: Scene, load: Load, seconds: float) -> tuple[dict[str, Any], Watch, dict[str, Any]]:
    """The measured run."""
    scene.say(f"streaming for {seconds:g} s")
    since = scene.clock.now()
    with scene.watching() as watch:
        run = load.run(RunSpec(seconds=seconds, connections=CONNECTIONS), watch.note_accepted)
        watch.note_accepted(run["accepted"])
        scene.say("waiting for the last event")
        ended_s = load.drained()
    with transaction(scene.parts.books) as connection:
        blocks, middle, largest = connection.execute(BLOCKS, {"topic": scene.parts.topic, "since": since}).one()
    cpu_us = {name: round(spent_s / run["accepted"] * 1e6, 3) for name, spent_s in watch.cpu_s.items()}
    figures = {
        "events": run["accepted"],
        "sending_s": round(run["ended_s"] - run["begun_s"], 3),
        "seconds": round(ended_s - run["begun_s"], 3),
        "accepted_per_second": round(run["accepted"] / (run["ended_s"] - run["begun_s"])),
        "events_per_second": round(run["accepted"] / (ended_s - run["begun_s"])),
        "cpu_us": cpu_us,
        "line_us": round(sum(us for name, us in cpu_us.items() if name not in {GENERATOR, OBSERVER}), 3),
        "memory_mb_max": watch.memory_max(),
        "blocks": blocks,
        "block_events_median": middle,
        "block_events_max": largest,
        "lag_events_max": max(sample.accepted - sealed_by(watch, sample.sealed) for sample in watch.samples),
        "answer_ms": run["latency_ms"],
    }
    return figures, watch, run


def sealed_by(watch: Watch, sealed: int) -> int:
    """Events sealed since the watch began."""
    return sealed - watch.samples[0].sealed


def cost_table(figures: dict[str, Any]) -> Table:
    """CPU and memory by part."""
    rows = [
        (name, number(us, 3), number(figures["memory_mb_max"].get(name, 0))) for name, us in figures["cpu_us"].items()
    ]
    rows += [
        ("the line, without generator and observer", number(figures["line_us"], 3), ""),
        ("orjson.loads of the same bytes", number(figures["orjson_us"], 3), ""),
    ]
    return Table("CPU and memory by part", ("part", "CPU-µs an event", "memory at most, MB"), rows)


def rate_table(figures: dict[str, Any]) -> Table:
    """Rates, blocks and lag."""
    names = {
        "events": "events accepted",
        "events_per_second": "events a second, first byte to last event visible",
        "accepted_per_second": "events a second, durable answers",
        "blocks": "blocks",
        "block_events_median": "events a block, median",
        "block_events_max": "events a block, at most",
        "lag_events_max": "accepted and not yet visible, at most",
    }
    return Table("Rate, blocks, lag", ("", ""), [(said, number(figures[name])) for name, said in names.items()])


def cost_plot(figures: dict[str, Any]) -> Plot:
    """CPU by part as bars."""
    parts = {name: us for name, us in figures["cpu_us"].items() if name != OBSERVER}
    parts["orjson.loads"] = figures["orjson_us"]
    series = Series("CPU-µs an event", list(map(float, range(len(parts)))), list(parts.values()))
    return Plot("cpu", "CPU-µs an event, by part", "bars", "", "CPU-µs an event", [series], labels=list(parts))


def rate_plot(run: dict[str, Any], watch: Watch) -> Plot:
    """Accepted rate and lag over time."""
    counts = run["timeline"]
    times = [(place + 1) * TIMELINE_S for place in range(len(counts))]
    lag = [float(sample.accepted - sealed_by(watch, sample.sealed)) for sample in watch.samples]
    return Plot(
        "rate",
        "Events accepted a second, and how far the view is behind",
        "lines",
        "seconds",
        "events a second",
        [
            Series("accepted a second", times, [count / TIMELINE_S for count in counts]),
            Series("not yet visible", [sample.at_s for sample in watch.samples], lag, axis=1),
        ],
        y_right="events",
    )
