"""``python -m benchmarks.preview``: what one customer's current bill takes beside ten million windows.

A merchant sells plans of four meters by every model that goes by a quantity; each customer has one, and its windows lie
evenly over the month. Asked is, as ``GET /v1/bill`` is answered but for HTTP itself, for customers at random, one after
the other. The engines are the embedded ones; their CPU includes the merges that go on meanwhile.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from random import Random
from time import perf_counter, process_time
from typing import Annotated, Any, Final

import numpy as np
import orjson
import polars as pl
import typer
from rich.console import Console
from sqlalchemy import Engine

from api.current_bill import CurrentBills
from api.freshness import Freshness
from benchmarks.clickhouse_insert import wait_for_merges
from benchmarks.rating_rows import METERS_A_PLAN, price_of
from benchmarks.rating_stores import engines_cpu_s, stores
from catalog.apply import apply_text
from catalog.pricing import load_priced_subscriptions
from catalog.version import current_version
from clickhouse.client import UsageStore
from clickhouse.schema import USAGE_WINDOWS
from core.clock import ManualClock
from core.db import transaction
from core.frames import Schema, checked

START: Final = datetime(2026, 1, 1, tzinfo=UTC)
NOW: Final = datetime(2026, 1, 29, tzinfo=UTC)
MINUTES: Final = 27 * 24 * 60
CODE: Final = "bench"
MODELS: Final = ("per_unit", "graduated", "volume", "package", "graduated_percentage", "stair_step", "flat", "dynamic")
PLANS: Final = 16
WINDOWS_A_PART: Final = 500_000
P95_MS_MOST: Final = 50


def main(
    *,
    windows: Annotated[int, typer.Option(min=1_000, help="Windows of the month, of all customers.")] = 10_000_000,
    customers: Annotated[int, typer.Option(min=1, help="Customers, each with one subscription.")] = 5_000,
    asked: Annotated[int, typer.Option(min=20, help="How many bills are asked for.")] = 300,
    seed: Annotated[int, typer.Option(help="Of the catalog, the usage and the order.")] = 1,
    json: Annotated[bool, typer.Option("--json", help="One line of JSON instead of text.")] = False,
) -> None:
    """Fill the stores, ask, and print figures for people or for programs."""
    with stores() as (books, store):
        apply_text(books, catalog_yaml(customers, Random(seed)))
        fill(books, store, windows, seed)
        found = measured(books, store, customers, asked, seed)
    said = {"windows": windows, "customers": customers, "asked": asked} | found
    if json:
        print(orjson.dumps(said).decode())
        return
    console = Console(highlight=False)
    console.print(f"{windows:,} windows of {customers:,} customers; {asked} bills of {METERS_A_PLAN} lines")
    console.print(f"on the clock: p50 {found['p50_ms']} ms, p95 {found['p95_ms']} ms, most {found['most_ms']} ms")
    console.print(f"CPU a bill: own {found['cpu_ms']} ms, engines' {found['engines_cpu_ms']} ms")
    console.print(f"wanted: p95 under {P95_MS_MOST} ms")


def catalog_yaml(customers: int, rng: Random) -> str:
    """The catalog file; YAML reads JSON."""
    meters = [
        {"code": f"meter_{number}", "event_type": f"type.{number}", "aggregation": "sum", "value": "value"}
        for number in range(METERS_A_PLAN)
    ]
    plans = [
        {
            "code": f"plan-{plan}",
            "name": f"Plan {plan}",
            "currency": "USD",
            "prices": [
                {"meter": f"meter_{place}"}
                | price_of(MODELS[(plan * METERS_A_PLAN + place) % len(MODELS)], plan % 3, rng)
                for place in range(METERS_A_PLAN)
            ],
        }
        for plan in range(PLANS)
    ]
    keys = [key_of(number) for number in range(customers)]
    said = {
        "merchant": {"code": CODE, "name": "Bench"},
        "meters": meters,
        "plans": plans,
        "customers": [{"key": key, "name": key, "zone": "UTC", "currency": "USD"} for key in keys],
        "subscriptions": [
            {"customer": key, "plan": f"plan-{number % PLANS}", "start": "2026-01-01"}
            for number, key in enumerate(keys)
        ],
    }
    return orjson.dumps(said).decode()


def key_of(number: int) -> str:
    """The merchant's own key of a customer."""
    return f"c-{number:06d}"


def fill(books: Engine, store: UsageStore, windows: int, seed: int) -> None:
    """As many windows of every subscription-meter, at random minutes before now, of a block each part."""
    with transaction(books) as connection:
        priced = load_priced_subscriptions(connection, current_version(connection))
    numbers = np.random.default_rng(seed)
    own = priced.select("merchant_id", "customer_id", "subject", "meter_id", "meter", "aggregation")
    for block, first in enumerate(range(0, windows, WINDOWS_A_PART)):
        count = min(WINDOWS_A_PART, windows - first)
        picked = own[numbers.integers(0, own.height, count)]
        minutes = pl.Series("minute", numbers.integers(0, MINUTES, count)).cast(pl.Int64)
        store.insert_frame("usage_windows", windows_of(picked, minutes, block), token=f"bench:{block}")
    wait_for_merges(store)


def windows_of(picked: pl.DataFrame, minutes: pl.Series, block: int) -> pl.DataFrame:
    """USAGE_WINDOWS of one block: three units in each window."""
    start = pl.lit(START).cast(USAGE_WINDOWS["window_start"]) + pl.duration(minutes=pl.lit(minutes))
    rest: Schema = {name: kind for name, kind in USAGE_WINDOWS.items() if name not in picked.columns}
    zeros = {name: pl.lit(0).cast(kind) for name, kind in rest.items() if kind.is_numeric()}
    rows = picked.with_columns(
        **zeros
        | {
            "window_start": start,
            "last_at": start,
            "stored_at": pl.lit(NOW - timedelta(days=1)).cast(USAGE_WINDOWS["stored_at"]),
            "group_key": pl.lit(""),
            "last_key": pl.lit(bytes(16)),
            "sum": pl.lit(3).cast(USAGE_WINDOWS["sum"]),
            "events": pl.lit(1, dtype=pl.UInt64),
            "incarnation": pl.lit(1, dtype=pl.UInt32),
            "block_first": pl.lit(block, dtype=pl.UInt64),
        }
    )
    return checked(rows, USAGE_WINDOWS).sort("merchant_id", "customer_id", "meter_id", "window_start")


def measured(books: Engine, store: UsageStore, customers: int, asked: int, seed: int) -> dict[str, Any]:
    """What single answers take, after some that are thrown away."""
    clock = ManualClock(NOW)
    bills = CurrentBills(books, store, Freshness(books, "bench", lambda: None, clock), clock)
    with transaction(books) as connection:
        merchant_id = connection.exec_driver_sql("SELECT merchant_id FROM merchants").scalar_one()
    rng = Random(seed)
    for _ in range(asked // 10):
        bills.ask(merchant_id, key_of(rng.randrange(customers)))
    took_ms, cpu_s, engines_s = [], process_time(), engines_cpu_s()
    for _ in range(asked):
        begun_s = perf_counter()
        answer = bills.ask(merchant_id, key_of(rng.randrange(customers)))
        took_ms.append((perf_counter() - begun_s) * 1e3)
        (bill,) = answer["bills"]
        assert len(bill["lines"]) == METERS_A_PLAN and "total" in bill, "it is a whole bill"
    took_ms.sort()
    return {
        "p50_ms": round(took_ms[asked // 2], 1),
        "p95_ms": round(took_ms[int(asked * 0.95)], 1),
        "most_ms": round(took_ms[-1], 1),
        "cpu_ms": round((process_time() - cpu_s) * 1e3 / asked, 1),
        "engines_cpu_ms": round((engines_cpu_s() - engines_s) * 1e3 / asked, 1),
    }


if __name__ == "__main__":
    typer.run(main)
