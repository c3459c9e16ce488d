"""``python -m benchmarks.growth_child KIND SIZE[,SIZE…]``: one measurement of growth in a process of its own.

What one size leaves in memory is then no other's; only tables that fill up take all their sizes in one process.
"""

from __future__ import annotations

import os
import sys

# As the worker's command sets it; it is read at the first import. A close rates with all cores.
if "rating" not in sys.argv:
    os.environ.setdefault("POLARS_MAX_THREADS", "1")

import subprocess
from collections.abc import Callable, Sequence
from typing import Any

import orjson
import typer

from benchmarks.growth_blocks import measure_sizes
from benchmarks.growth_merchants import measure_catalog, measure_keys
from benchmarks.growth_rating import measure_rating
from benchmarks.growth_stream import measure_blocks, measure_store

Rows = list[dict[str, float]]
KINDS: dict[str, Callable[[Sequence[int]], Rows]] = {
    "blocks": measure_blocks,
    "store": measure_store,
    "sizes": measure_sizes,
    "rating": measure_rating,
    "catalog": measure_catalog,
    "keys": measure_keys,
}


def main(kind: str, sizes: str) -> None:
    """Measure and print the rows as JSON."""
    print(orjson.dumps(KINDS[kind]([int(size) for size in sizes.split(",")])).decode())


def in_child(kind: str, sizes: Sequence[int]) -> Rows:
    """Measure in a fresh process; raises ``CalledProcessError`` when it fails."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.growth_child", kind, ",".join(map(str, sizes))],
        stdout=subprocess.PIPE,
        check=True,
    )
    found: Any = orjson.loads(done.stdout.splitlines()[-1])
    return list(found)


if __name__ == "__main__":
    typer.run(main)
