"""What exact dedupe costs the worker: the same blocks with the index and without, at several shares of repeats."""

from __future__ import annotations

from statistics import median
from typing import Any

from benchmarks.bench import Bench
from benchmarks.blocks import NoIndex, load_catalog, passed
from benchmarks.dedupe_index import in_child
from benchmarks.line import CONNECTIONS, REQUEST_EVENTS
from benchmarks.load.schedule import RunSpec
from benchmarks.log_messages import Read, read_back, sealed_ends
from benchmarks.result import Bar, Result, Table, number
from benchmarks.scene import Scene
from streams.compiled import Compiled
from streams.key_index import KeyIndex

SHARES = (0.0, 0.02, 0.5)
PAIRS = 5
PARTITION = 0
INDEX_KEYS = (1_000_000, 10_000_000, 50_000_000)
PROBE = "probe with 2 % repeats, ns a key"


def measure(bench: Bench) -> Result:
    """By share of repeats; in a full run the probe by size of the index as well."""
    scene = bench.scene()
    catalog = load_catalog(scene)
    seconds = bench.options.seconds(6, 2)
    shares = (0.02,) if bench.options.quick else SHARES
    found = {share: compare(messages_with(scene, share, seconds), catalog, scene) for share in shares}
    rows = [
        (
            f"{share:.0%}",
            number(one["with_us"], 3),
            number(one["without_us"], 3),
            number(one["ratio"], 3),
            one["spread"],
        )
        for share, one in found.items()
    ]
    columns = ("repeats", "with, CPU-µs an event", "without", "rate with ÷ without, median of pairs", "from to")
    tables = [Table("The worker's computing, with the dedupe index and without", columns, rows)]
    bars = [Bar("rate with dedupe ÷ without, 2 % repeats", found[0.02]["ratio"], 0.85, "at least")]
    figures: dict[str, Any] = {f"{share:g}": one for share, one in found.items()}
    if not bench.options.quick:
        sizes = {keys: measured_index(scene, keys) for keys in INDEX_KEYS}
        ratio = round(sizes[INDEX_KEYS[-1]][PROBE] / sizes[INDEX_KEYS[0]][PROBE], 2)
        names = [name for name in sizes[INDEX_KEYS[0]] if name != "keys"]
        heads = ("", *(f"{keys // 1_000_000} M keys" for keys in INDEX_KEYS))
        cells = [(name, *(number(one[name], 1) for one in sizes.values())) for name in names]
        tables.append(Table("The index by its size, one partition", heads, cells))
        bars.append(Bar("probe at 50 M keys ÷ at 1 M", ratio, 1.5, "at most"))
        figures["index"] = {str(keys): one for keys, one in sizes.items()}
    return Result(
        name="dedupe",
        title="What exact dedupe costs",
        figures=figures,
        tables=tables,
        bars=bars,
        notes=[
            "Messages that the gateway wrote, read back from the log and computed into blocks in one process.",
            f"{PAIRS} pairs in turn; without means an index that knows of no key, in the benchmark alone.",
        ],
    )


def measured_index(scene: Scene, keys: int) -> dict[str, Any]:
    """One size, in a process of its own."""
    scene.say(f"an index of {keys // 1_000_000} million keys")
    return in_child(f"index:{keys}")


def messages_with(scene: Scene, share: float, seconds: float) -> list[Read]:
    """One partition's messages of a load with such a share of repeats."""
    before = sealed_ends(scene).get(PARTITION, 0)
    with scene.load(request_events=REQUEST_EVENTS, repeat_share=share) as load:
        scene.say(f"{share:.0%} repeats")
        load.run(RunSpec(seconds=seconds, connections=CONNECTIONS))
        load.drained()
    return read_back(scene, PARTITION, before, sealed_ends(scene)[PARTITION])


def compare(messages: list[Read], catalog: Compiled, scene: Scene) -> dict[str, Any]:
    """Pairs of passes, with and without, in turn."""
    scene.say("computing blocks with the index and without")
    passed(messages, catalog, KeyIndex())
    pairs = [(passed(messages, catalog, KeyIndex()), passed(messages, catalog, NoIndex())) for _ in range(PAIRS)]
    ratios = sorted(without.us / with_.us for with_, without in pairs)
    with_us, without_us = (median(pair[side].us for pair in pairs) for side in (0, 1))
    return {
        "events": pairs[0][0].events,
        "duplicates": pairs[0][0].duplicates,
        "with_us": round(with_us, 3),
        "without_us": round(without_us, 3),
        "ratio": round(median(ratios), 3),
        "spread": f"{ratios[0]:.3f} to {ratios[-1]:.3f}",
    }
