"""How cost grows: the same piece of work beside ten and a hundred times more events, keys, subscriptions, merchants.

Each part is measured by itself, in processes of its own and without the line: what neighbours in one stack take from
each other is the line's business. A cost is of one event, key, charge line or merchant, so an exponent of 0 says that
it does not depend on how much there is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from benchmarks.bench import Bench
from benchmarks.dedupe_index import in_child as index_in_child
from benchmarks.dedupe_price import INDEX_KEYS, PROBE
from benchmarks.growth_child import in_child
from benchmarks.growth_merchants import CUSTOMERS, METERS
from benchmarks.result import Bar, Result, number
from benchmarks.slope import Axis, Growth, growths_of, shortened

# A hundred million rows would take ClickHouse a quarter of an hour; keys alone are made in seconds.
BLOCK_KEYS = (1_000_000, 10_000_000, 100_000_000)
STORE_EVENTS = (100_000, 1_000_000, 10_000_000)
BLOCK_SIZES = (125, 1_000, 10_000, 50_000)
LINES = (1_000, 100_000, 1_000_000)
MERCHANTS = (1, 1_000, 100_000)
# What a quick look leaves out of each size.
QUICK = 10
EXPONENT_MAX = 0.1

BLOCK = {"block_us": ("worker's block, by keys known", "CPU-µs an event")}
STORE = {
    "fill_us": ("ClickHouse, insert and merges", "CPU-µs an event"),
    "insert_us": ("ClickHouse, insert of a worker's block", "CPU-µs an event"),
    "bytes": ("ClickHouse, on disk", "bytes an event"),
}
SIZES = {
    "worker_us": ("worker, computing and sending", "CPU-µs an event"),
    "store_us": ("ClickHouse, inserts and merges", "CPU-µs an event"),
}
INDEX = {
    PROBE: ("probe of a block, 2 % repeats", "ns a key"),
    "add, CPU-ns a key, merging included": ("adding, merges included", "CPU-ns a key"),
    "most_bytes": ("memory at most, mapped files too", "bytes a key"),
}
RATING = {"rate_us": ("rating", "CPU-µs a line"), "rate_bytes": ("memory at most", "bytes a line")}
CATALOG = {
    "compile_us": ("worker: laying the catalog out", "CPU-µs a merchant"),
    "compiled_bytes": ("worker: the catalog laid out", "bytes a merchant"),
    "arrange_us": ("gateway: laying the catalog out", "CPU-µs a merchant"),
    "block_us": ("worker's block", "CPU-µs an event"),
}
KEYS = {
    "recall_us": ("key in the gateway's memory", "CPU-µs a look-up"),
    "asked_own_us": ("key asked for, gateway", "CPU-µs a look-up"),
    "asked_server_us": ("key asked for, Postgres", "CPU-µs a look-up"),
}


def measure(bench: Bench) -> Result:
    """One axis after the other."""
    axes = [measure_axis(bench) for measure_axis in (by_events, by_block, by_keys, by_lines, by_merchants, by_api_keys)]
    block = next(axis for axis in axes if axis.name == "block")
    worker_us, store_us = map(fixed_us, block.growths)
    return Result(
        name="growth",
        title="How cost grows",
        figures={axis.name: {growth.what: growth.to_json() for growth in axis.growths} for axis in axes},
        tables=[axis.table() for axis in axes],
        bars=bars_of(axes),
        plots=[axis.plot() for axis in axes],
        notes=[
            "Exponent: least-squares slope of log cost over log size; of a cost of one, 0 is no growth, 1 as the size.",
            "The last step is from the second largest to the largest size: a fixed cost, spread over more, hides none.",
            "Blocks beside more keys: keys in memory, in one run. ClickHouse: a stretch of inserts up to that size.",
            f"A block of any size costs the worker {number(worker_us)} CPU-µs and ClickHouse {number(store_us)}.",
            f"Merchants have {METERS} meters and {CUSTOMERS} customers each; blocks have as many events for all.",
        ],
    )


def bars_of(axes: Sequence[Axis]) -> list[Bar]:
    """The largest exponent of each axis' costs of CPU; where there is a fixed cost, of the last step."""
    wanted: dict[str, Callable[[Growth], float]] = {
        "events": lambda growth: growth.exponent,
        "block": lambda growth: growth.last_step,
        "keys": lambda growth: growth.exponent,
        "lines": lambda growth: growth.last_step,
        "merchants": lambda growth: growth.last_step,
        "api_keys": lambda growth: growth.exponent,
    }
    return [
        Bar(f"exponent of CPU by {axis.title}, the largest", round(max(map(of, costs)), 3), EXPONENT_MAX, "at most")
        for axis in axes
        for of in [wanted[axis.name]]
        for costs in [[growth for growth in axis.growths if "bytes" not in growth.unit]]
    ]


def sizes_of(bench: Bench, sizes: Sequence[int]) -> list[int]:
    """The sizes of this run."""
    return [max(1, size // QUICK) for size in sizes] if bench.options.quick else list(sizes)


def by_events(bench: Bench) -> Axis:
    """A partition's life: keys that the worker knows, rows that lie in ClickHouse."""
    bench.say("blocks beside ever more keys")
    growths = growths_of(each("blocks", sizes_of(bench, BLOCK_KEYS)), BLOCK)
    bench.say("ClickHouse's tables fill")
    growths += growths_of(in_child("store", sizes_of(bench, STORE_EVENTS)), STORE)
    return Axis("events", "events before", growths)


def by_block(bench: Bench) -> Axis:
    """Blocks of few events and of many."""
    bench.say("blocks of few events and of many")
    return Axis("block", "events of a block", growths_of(in_child("sizes", BLOCK_SIZES), SIZES))


def fixed_us(growth: Growth) -> float:
    """What one costs however small it is, by what the smallest costs more than so many events of the largest."""
    return growth.sizes[0] * (growth.costs[0] - growth.costs[-1])


def by_keys(bench: Bench) -> Axis:
    """The dedupe index with its files; as the section before has measured it, if it has."""
    known: dict[str, Any] = bench.found.get("dedupe", {}).get("index", {})
    rows = []
    for keys in sizes_of(bench, INDEX_KEYS):
        bench.say(f"an index of {shortened(keys)} keys")
        row = known.get(str(keys)) or index_in_child(f"index:{keys}")
        added_mb = max(1, row["both at most, MB"] - row["before the first key, MB"])
        rows.append({"size": keys} | row | {"most_bytes": added_mb * 2**20 / keys})
    return Axis("keys", "keys of a partition", growths_of(rows, INDEX))


def by_lines(bench: Bench) -> Axis:
    """A close's rating."""
    sizes = sizes_of(bench, LINES)
    bench.say(f"rating up to {number(sizes[-1])} lines")
    return Axis("lines", "charge lines", growths_of(each("rating", sizes), RATING))


def by_merchants(bench: Bench) -> Axis:
    """The catalog in worker and gateway, and blocks of many merchants' events."""
    sizes = sizes_of(bench, MERCHANTS)
    bench.say(f"catalogs of up to {number(sizes[-1])} merchants")
    return Axis("merchants", "merchants", growths_of(each("catalog", sizes), CATALOG))


def by_api_keys(bench: Bench) -> Axis:
    """Whose request it is."""
    bench.say("finding keys")
    return Axis("api_keys", "API keys", growths_of(in_child("keys", sizes_of(bench, MERCHANTS)), KEYS))


def each(kind: str, sizes: Sequence[int]) -> list[dict[str, float]]:
    """Every size in a process of its own."""
    return [row for size in sizes for row in in_child(kind, [size])]
