"""``python -m benchmarks.rating_stores``: a month from ClickHouse to charge lines in Postgres, on the embedded engines.

Each subscription-meter has one window in ClickHouse. Timed are the questions for all quantities and for what was stored
twice, rating, parking, and copying the charge lines in the transaction that ends their run. The catalog is not read,
and events, groups and buckets come from memory; what reading those costs is not in here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter, process_time
from typing import Annotated, Final, TypeVar

import orjson
import polars as pl
import psutil
import typer
from rich.console import Console
from rich.table import Table
from sqlalchemy import Engine, insert

from benchmarks.kept_pages import with_pages_kept
from benchmarks.rating_rows import START, Month, seeded_month
from catalog.tables import merchants
from clickhouse.client import UsageStore, open_usage_store
from clickhouse.exact import find_doubles
from clickhouse.migrate import migrate
from clickhouse.schema import USAGE_WINDOWS
from core.db import open_engine, transaction
from core.frames import Schema, checked
from migrations.apply import upgrade
from rating.engine import rate
from rating.freeze import Freeze
from rating.load_usage import load_usage
from rating.park import park_subscriptions
from rating.record import record_claims, record_lines, stamped
from rating.recount import span_of
from runtime.embedded.ports import EmbeddedPorts
from runtime.embedded.stack import embedded_parts, endpoints
from runtime.embedded.supervisor import Supervisor

PERIOD: Final = "2026-01"
STORED_AT, CUTOFF = datetime(2026, 2, 1, 12, tzinfo=UTC), datetime(2026, 2, 2, tzinfo=UTC)
WINDOWS_A_PART: Final = 100_000
LINES_WANTED, WALL_S_MOST = 1_000_000, 20
Found = TypeVar("Found")


@dataclass(frozen=True, slots=True)
class Took:
    """Seconds on the clock, of this process's CPU and of that of the engines below it."""

    wall_s: float
    cpu_s: float
    engines_cpu_s: float


def main(
    *,
    lines: Annotated[int, typer.Option(min=1_000, help="Subscription-meters in the month.")] = LINES_WANTED,
    json: Annotated[bool, typer.Option("--json", help="One line of JSON instead of a table.")] = False,
) -> None:
    """Fill the stores, then time each step once."""
    month = seeded_month(lines)
    with stores() as (books, store):
        fill(store, month)
        took = timed_steps(books, store, month)
    wall_s = sum(step.wall_s for step in took.values())
    if json:
        steps = {name: asdict(step) for name, step in took.items()}
        print(orjson.dumps({"lines": lines, "wall_s": round(wall_s, 2), "steps": steps}).decode())
        return
    table = Table(title=f"{lines:,} lines: {wall_s:.1f} s (a million in less than {WALL_S_MOST} s is wanted)")
    for column in ("step", "wall, s", "own CPU, s", "engines' CPU, s"):
        table.add_column(column, justify="left" if column == "step" else "right")
    for name, step in took.items():
        table.add_row(name, f"{step.wall_s:.2f}", f"{step.cpu_s:.2f}", f"{step.engines_cpu_s:.2f}")
    Console(highlight=False).print(table)


@contextmanager
def stores() -> Iterator[tuple[Engine, UsageStore]]:
    """Fresh and migrated."""
    with TemporaryDirectory(prefix="millrace-bench-") as folder:
        home, ports = Path(folder), EmbeddedPorts.free()
        with Supervisor(home) as supervisor:
            supervisor.start(embedded_parts(home, ports, frozenset({"kafka"})))
            places = endpoints(home, ports, kafka="-")
            books, store = open_engine(places.postgres_url), open_usage_store(places.clickhouse_url)
            upgrade(books)
            migrate(store)
            yield books, store
            store.close()
            books.dispose()


def fill(store: UsageStore, month: Month) -> None:
    """One window a line, with all that was used."""
    said: Schema = {name: kind for name, kind in USAGE_WINDOWS.items() if name not in month.prices.columns}
    zeros = {name: pl.lit(0).cast(kind) for name, kind in said.items() if kind.is_numeric()}
    windows = month.prices.hstack(month.usage.select("quantity")).with_columns(
        **zeros
        | {
            "window_start": pl.lit(START).cast(USAGE_WINDOWS["window_start"]),
            "stored_at": pl.lit(STORED_AT).cast(USAGE_WINDOWS["stored_at"]),
            "last_at": pl.lit(START).cast(USAGE_WINDOWS["last_at"]),
            "group_key": pl.lit(""),
            "last_key": pl.lit(bytes(16)),
            "sum": pl.col("quantity"),
            "events": pl.lit(1, dtype=pl.UInt64),
            "incarnation": pl.lit(1, dtype=pl.UInt32),
        }
    )
    for place, part in enumerate(checked(windows, USAGE_WINDOWS).iter_slices(WINDOWS_A_PART)):
        store.insert_frame("usage_windows", part, token=f"bench:{place}")


def timed_steps(books: Engine, store: UsageStore, month: Month) -> dict[str, Took]:
    """What each step took, in their order."""
    freeze, merchant_id = Freeze(CUTOFF, CUTOFF, 1), str(month.prices["merchant_id"][0])
    runs = {merchant_id: "run_1"}
    with transaction(books) as connection:
        connection.execute(
            insert(merchants), {"merchant_id": merchant_id, "code": "bench", "name": "Bench", "created_at": START}
        )
        record_claims(connection, PERIOD, freeze, runs)
    took: dict[str, Took] = {}

    def timed(name: str, ask: Callable[[], Found]) -> Found:
        engines_s, wall_s, cpu_s = engines_cpu_s(), perf_counter(), process_time()
        found = ask()
        spent = (perf_counter() - wall_s, process_time() - cpu_s, engines_cpu_s() - engines_s)
        took[name] = Took(*(round(figure, 2) for figure in spent))
        return found

    def record(lines: pl.DataFrame) -> None:
        with transaction(books) as connection:
            record_lines(connection, PERIOD, lines, runs)

    usage = timed("quantities from ClickHouse", lambda: load_usage(store, month.prices, CUTOFF))
    assert usage["quantity"].sum() == month.usage["quantity"].sum(), "all that was used is found"
    doubles = timed("what was stored twice", lambda: find_doubles(store, span_of(month.prices, CUTOFF)))
    assert doubles.none, "nothing was"
    rated = timed("rate", lambda: rate(usage, month.prices, month.detail))
    lines = timed("park, stamp", lambda: stamped(park_subscriptions(rated), PERIOD, freeze, runs))
    timed("charge lines to Postgres", lambda: record(lines))
    return took


def engines_cpu_s() -> float:
    """What all processes that this one started have spent."""
    times = [process.cpu_times() for process in psutil.Process().children(recursive=True)]
    return sum(time.user + time.system for time in times)


if __name__ == "__main__":
    with_pages_kept("benchmarks.rating_stores")
    typer.run(main)
