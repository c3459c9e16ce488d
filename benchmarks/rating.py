"""``python -m benchmarks.rating``: what it costs to rate a month, against a bare group-by and join of the same frames.

Both are done in turns in one process, from frames in memory, after a first round that is thrown away; each figure is
the middle of the others. The process keeps its memory as the product's do (``runtime.start``). CPU is that of the whole
process, all threads and the kernel's share. ``memory`` is what the process holds more at most than with the frames
alone. Each model's lines are then rated by themselves, and single lines as a preview has them. Seconds compare within
one run only: neighbours on the same cores make everything dearer.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from time import perf_counter, process_time
from typing import Annotated, Any

import orjson
import polars as pl
import typer
from rich.console import Console
from rich.table import Table

from benchmarks.kept_pages import with_pages_kept
from benchmarks.rating_rows import Month, seeded_month
from rating.charge import RATED_LINES
from rating.detail import LINE
from rating.engine import rate
from rating.models import MODELS

# A preview is asked for lines of every model in turn.
SINGLE_LINES = 12
RATIO_MOST, RATE_S_MOST = 2.5, 2.0
MIB = 1024


@dataclass(frozen=True, slots=True)
class Took:
    """Seconds on the clock and of the processor, and the most that was held beyond what was there before."""

    wall_s: float
    cpu_s: float
    memory_mib: int


def main(
    *,
    lines: Annotated[int, typer.Option(min=1_000, help="Subscription-meters in the month.")] = 1_000_000,
    rounds: Annotated[int, typer.Option(min=1, help="How often each is measured.")] = 3,
    seed: Annotated[int, typer.Option(help="Of the catalog and the usage.")] = 1,
    json: Annotated[bool, typer.Option("--json", help="One line of JSON instead of tables.")] = False,
) -> None:
    """Measure, and print figures for people or for programs."""
    month = seeded_month(lines, seed)
    begun_mib = held_mib("VmRSS")
    found = measured(month, rounds) | {"lines": lines, "frames_mib": begun_mib}
    found["models_us"] = {name: model_us(month, name) for name in MODELS}
    found["single_line_ms"] = single_lines_ms(month)
    if json:
        print(orjson.dumps(found).decode())
    else:
        show(found)


def measured(month: Month, rounds: int) -> dict[str, Any]:
    """The whole month, and the bare group-by and join, in turns."""
    asked: dict[str, Callable[[], pl.DataFrame]] = {
        "bare": lambda: bare(month),
        "rate": lambda: rate(month.usage, month.prices, month.detail),
    }
    took: dict[str, list[Took]] = {name: [] for name in asked}
    for place in range(rounds + 1):
        for name, ask in asked.items():
            one = timed(ask)
            if place:
                took[name].append(one)
    figures = {name: asdict(middle(rows)) for name, rows in took.items()}
    cpu_ratio = figures["rate"]["cpu_s"] / figures["bare"]["cpu_s"]
    wall_ratio = figures["rate"]["wall_s"] / figures["bare"]["wall_s"]
    return figures | {"cpu_ratio": round(cpu_ratio, 2), "wall_ratio": round(wall_ratio, 2)}


def bare(month: Month) -> pl.DataFrame:
    """Usage by subscription and price, joined to the prices: the least that any rating would do."""
    used = month.usage.lazy().group_by(LINE).agg(pl.sum("quantity"))
    return month.prices.lazy().join(used, on=LINE, how="left", maintain_order="left").collect()


def timed(ask: Callable[[], pl.DataFrame]) -> Took:
    """One call, with its answer let go of."""
    gc.collect()
    before_mib = held_mib("VmRSS")
    # From here on the most that is held is counted anew.
    Path("/proc/self/clear_refs").write_text("5")
    wall_s, cpu_s = perf_counter(), process_time()
    answer = ask()
    took = Took(perf_counter() - wall_s, process_time() - cpu_s, held_mib("VmHWM") - before_mib)
    assert answer.height, "something came of it"
    return took


def middle(rows: list[Took]) -> Took:
    """The middle of each figure."""
    return Took(
        round(median(row.wall_s for row in rows), 3),
        round(median(row.cpu_s for row in rows), 3),
        int(median(row.memory_mib for row in rows)),
    )


def held_mib(name: str) -> int:
    """The resident set of this process, now (VmRSS) or at most (VmHWM)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:")) // MIB


def model_us(month: Month, name: str) -> float:
    """CPU-microseconds a line of one model, rated by itself."""
    own = month.of_model(name)
    rate(own.usage, own.prices, own.detail)
    took = timed(lambda: rate(own.usage, own.prices, own.detail))
    return round(took.cpu_s * 1e6 / own.prices.height, 2)


def single_lines_ms(month: Month) -> dict[str, float]:
    """What one line costs by itself: CPU-milliseconds, the middle and the slow end over lines of all models."""
    took_ms = []
    for place in range(min(SINGLE_LINES * len(MODELS), month.prices.height)):
        prices, usage = month.prices[place : place + 1], month.usage[place : place + 1]
        detail = month.detail_of(prices)
        begun_s = process_time()
        rated = rate(usage, prices, detail)
        took_ms.append((process_time() - begun_s) * 1e3)
        assert rated.schema == RATED_LINES, "it is a whole line"
    took_ms.sort()
    return {"p50": round(took_ms[len(took_ms) // 2], 1), "p95": round(took_ms[int(len(took_ms) * 0.95)], 1)}


def show(found: dict[str, Any]) -> None:
    """Tables for people."""
    console = Console(highlight=False)
    console.print(f"{found['lines']:,} lines; with them the process holds {found['frames_mib']:,} MiB")
    whole = Table(title="All at once", caption=f"{os.cpu_count()} cores")
    for column in ("", "wall, s", "CPU, s", "memory at most, MiB"):
        whole.add_column(column, justify="right")
    for name in ("bare", "rate"):
        row = found[name]
        whole.add_row(name, f"{row['wall_s']:.2f}", f"{row['cpu_s']:.2f}", f"+{row['memory_mib']:,}")
    console.print(whole)
    console.print(f"rate over bare: {found['cpu_ratio']} of CPU, {found['wall_ratio']} on the clock")
    console.print(f"wanted: at most {RATIO_MOST}, and a million in less than {RATE_S_MOST} s on two cores")
    models = Table(title="Each model by itself")
    models.add_column("model")
    models.add_column("CPU, µs a line", justify="right")
    for name, took_us in found["models_us"].items():
        models.add_row(name, f"{took_us:.2f}")
    console.print(models)
    single = found["single_line_ms"]
    console.print(f"one line alone: {single['p50']} ms of CPU, one in twenty more than {single['p95']} ms")


if __name__ == "__main__":
    with_pages_kept("benchmarks.rating")
    typer.run(main)
