"""``make bench``: measure this machine, print a table, append one line of JSON to ``benchmarks/results/``."""

from __future__ import annotations

import platform
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import orjson
import psutil
import typer
from rich.console import Console
from rich.table import Table

from benchmarks.line import LineResult, as_json, measure_line
from core.clock import SystemClock

RESULTS = Path(__file__).with_name("results") / "runs.jsonl"
ROOT = Path(__file__).parents[1]
PACKAGES = ("chdb", "confluent-kafka", "faust-streaming", "msgspec", "orjson", "polars", "pyarrow", "uvicorn")


def bench(
    *,
    quick: Annotated[bool, typer.Option("--quick", help="A fifth of the events.")] = False,
    merchants: Annotated[int, typer.Option(help="How many merchants send.")] = 1_000,
) -> None:
    """Stream seeded events through a fresh stack on this machine and say what each process cost."""
    console = Console(highlight=False)
    events = 400_000 if quick else 2_000_000
    with console.status(f"streaming {events:,} events through the whole line"):
        result = measure_line(events, merchants)
    show(console, result)
    append(result)


def show(console: Console, result: LineResult) -> None:
    """The table that people read."""
    table = Table(title=f"{result.events:,} events end to end: {result.events_per_second:,} a second")
    table.add_column("process")
    table.add_column("CPU-µs an event", justify="right")
    table.add_column("memory, MB at most", justify="right")
    for name, cost in result.cpu_us.items():
        table.add_row(name, f"{cost:.2f}", f"{result.rss_mb_max[name]:,}")
    console.print(table)
    console.print(f"orjson.loads of the same bytes: {result.ceiling_us:.2f} µs an event")
    console.print(f"the whole line without the generator: {result.line_over_ceiling:.1f} times that")
    console.print(f"conservation: {result.conservation}")


def append(result: LineResult) -> None:
    """Keep the run, with what it ran on."""
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    about = {
        "at": SystemClock().now().isoformat(timespec="seconds"),
        "commit": commit.stdout.strip(),
        "python": platform.python_version(),
        "machine": platform.machine(),
        "cores": psutil.cpu_count(),
        "versions": {name: version(name) for name in PACKAGES},
    }
    RESULTS.parent.mkdir(exist_ok=True)
    with RESULTS.open("ab") as file:
        file.write(orjson.dumps(about | as_json(result)) + b"\n")


if __name__ == "__main__":
    typer.run(bench)
