"""How fast windows are made again: all of them dropped, then replayed from the stored events, and compared."""

from __future__ import annotations

import os
import subprocess
from typing import Any

import orjson

from benchmarks.bench import Bench
from benchmarks.result import Bar, Result, Table, number
from benchmarks.scene import Scene
from runtime.conservation.check import check_conservation
from runtime.embedded.part import module_argv, module_env

TABLES = ("usage_windows", "usage_uniques")


def measure(bench: Bench) -> Result:
    """Drop every window of what this run has streamed so far and make them again, by the command as it is called."""
    scene = bench.scene()
    parts = scene.parts
    for table in TABLES:
        parts.store.command(f"TRUNCATE TABLE {table}")
    scene.say("replaying")
    with scene.watching() as watch:
        found = replayed(scene)
    scene.say("comparing windows with events")
    conservation = check_conservation(parts.books, parts.store, parts.topic)
    live = bench.line()["events_per_second"]
    rate = found["events_per_second"]
    figures = {
        "events": found["events"],
        "blocks": found["blocks"],
        "seconds": found["seconds"],
        "events_per_second": round(rate),
        "over_live": round(rate / live, 2),
        "cpu_us": {name: round(spent / max(found["events"], 1) * 1e6, 3) for name, spent in watch.cpu_s.items()},
        "conservation": "ok" if conservation.ok else "; ".join(conservation.faults[:5]),
    }
    rows = [
        ("events", number(found["events"])),
        ("blocks", number(found["blocks"])),
        ("seconds", number(found["seconds"], 1)),
        ("events a second", number(rate)),
        ("live, events a second", number(live)),
        ("CPU-µs an event, all parts", number(sum(figures["cpu_us"].values()), 1)),
        ("windows agree with events afterwards", "yes" if conservation.ok else "**no**"),
    ]
    return Result(
        name="replay",
        title="Replay",
        figures=figures,
        tables=[Table("Windows made again from stored events", ("", ""), rows)],
        bars=[
            Bar("replay rate ÷ live rate", figures["over_live"], 1.5, "at least"),
            Bar("windows agree with events afterwards (1 is yes)", 1 if conservation.ok else 0, 1, "at least"),
        ],
        notes=[
            "All that this run streamed, as after TRUNCATE of both window tables.",
            "The rate is the command's own; CPU is all that its process takes, its start with it.",
        ],
    )


def replayed(scene: Scene) -> dict[str, Any]:
    """What ``millrace replay`` says; raises ``CalledProcessError`` when it fails."""
    found = scene.stack.endpoints
    env = {
        **os.environ,
        **module_env(),
        "MILLRACE_HOME": str(scene.home),
        "MILLRACE_KAFKA": found.kafka,
        "MILLRACE_CLICKHOUSE_URL": found.clickhouse_url,
        "MILLRACE_POSTGRES_URL": found.postgres_url,
        "MILLRACE_TOPIC": scene.parts.topic,
    }
    done = subprocess.run(module_argv("runtime", "replay", "--json"), env=env, stdout=subprocess.PIPE, check=True)
    said: dict[str, Any] = orjson.loads(done.stdout)
    return said
