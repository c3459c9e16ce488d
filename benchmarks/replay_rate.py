"""How fast windows are made again: all of them dropped, then replayed from the stored events, and compared."""

from __future__ import annotations

from benchmarks.bench import Bench
from benchmarks.result import Bar, Result, Table, number
from runtime.audit.log import LogReader
from runtime.audit.run import AuditParts
from runtime.conservation.check import check_conservation
from runtime.replay.choose import Wanted
from runtime.replay.run import Watcher, replay

TABLES = ("usage_windows", "usage_uniques")


def measure(bench: Bench) -> Result:
    """Drop every window of what this run has streamed so far and make them again."""
    scene = bench.scene()
    parts, clock = scene.parts, scene.clock
    for table in TABLES:
        parts.store.command(f"TRUNCATE TABLE {table}")
    reader = LogReader(scene.stack.endpoints.kafka, parts.admin, parts.topic, clock)
    audit = AuditParts(parts.books, parts.store, reader, parts.topic, clock)
    done_events = 0

    def note(events: int) -> None:
        nonlocal done_events
        done_events += events
        scene.say(f"replayed {done_events:,} events")

    with scene.watching() as watch:
        begun_s = clock.steady_s()
        found = replay(audit, Wanted(parts.topic), write=True, watcher=Watcher(done=note))
        took_s = clock.steady_s() - begun_s
    scene.say("comparing windows with events")
    conservation = check_conservation(parts.books, parts.store, parts.topic)
    live = bench.line()["events_per_second"]
    rate = found.events / took_s
    figures = {
        "events": found.events,
        "blocks": found.blocks,
        "seconds": round(took_s, 2),
        "events_per_second": round(rate),
        "over_live": round(rate / live, 2),
        "cpu_us": {name: round(spent / max(found.events, 1) * 1e6, 3) for name, spent in watch.cpu_s.items()},
        "conservation": "ok" if conservation.ok else "; ".join(conservation.faults[:5]),
    }
    rows = [
        ("events", number(found.events)),
        ("blocks", number(found.blocks)),
        ("seconds", number(took_s, 1)),
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
        notes=["All that this run streamed, as after TRUNCATE of both window tables."],
    )
