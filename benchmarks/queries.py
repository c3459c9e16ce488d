"""``python -m benchmarks.queries``: usage as ten clients at once read it, over millions of events in one month.

The month is made inside the engine by INSERT … SELECT into the migrated tables: 1,000 merchants of 50 customers, the
first merchant with three events in ten, the others by a power law; a window for every event, which is the most there
can be. Asked are a customer's current period, and a merchant's hundred largest customers of the month.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from benchmarks.clickhouse_insert import cpu_s, running_front
from clickhouse.client import UsageStore
from clickhouse.migrate import migrate
from clickhouse.report import UsageQuestion, usage_by
from core.clock import Clock, SystemClock

MERCHANTS, CUSTOMERS, METERS, MONTH_S = 1_000, 50, 20, 28 * 24 * 3600
CHUNK_EVENTS = 500_000
AT = "2026-02-14 12:00:00"
# The month of AT in Berlin, where all customers are.
MONTH = UsageQuestion(
    grain="total",
    zone="Europe/Berlin",
    since=datetime(2026, 1, 31, 23, tzinfo=UTC),
    until=datetime(2026, 2, 28, 23, tzinfo=UTC),
    distinct=False,
)

# h: a number without pattern for each event; merchant 0 is the hot one.
_DRAWN = f"""
    SELECT number AS n, sipHash64(number, 1) AS h, sipHash64(number, 2) AS g,
        if(h % 10 < 3, 0, toUInt32({MERCHANTS} * pow((h % 1000003) / 1000003., 3))) AS m,
        toUInt32({CUSTOMERS} * pow((g % 999983) / 999983., 3)) AS c, toUInt32(g % {METERS}) AS meter,
        concat('mer_', leftPad(toString(m), 26, '0')) AS merchant_id,
        concat('cus_', leftPad(toString(m * {CUSTOMERS} + c), 26, '0')) AS customer_id,
        concat('c-', leftPad(toString(c), 6, '0')) AS subject,
        concat('mtr_', leftPad(toString(m * {METERS} + meter), 26, '0')) AS meter_id,
        toDateTime64('2026-02-01 00:00:00', 6, 'UTC') + toIntervalMicrosecond(n * {{step_us:UInt64}}) AS at,
        ['count', 'sum', 'sum', 'max', 'latest'][meter % 5 + 1] AS aggregation
    FROM numbers({{first:UInt64}}, {{count:UInt64}})
"""
_EVENTS = f"""
    INSERT INTO usage_events (merchant_id, event_id, type, subject, customer_id, occurred_at, received_at, stored_at,
        properties, fate, key, body_hash, incarnation, partition, block_first, kafka_offset, position)
    SELECT merchant_id, concat('00000001-', leftPad(toString(n), 12, '0')), concat('type.', toString(meter)), subject,
        customer_id, at, at, at, map('model', 'medium-1', 'region', 'eu', 'value', toString(g % 1000)), 'stored',
        sipHash128(n), h, 1, 0, {{first:UInt64}}, n, 0
    FROM ({_DRAWN})
"""
_WINDOWS = f"""
    INSERT INTO usage_windows (merchant_id, customer_id, subject, meter_id, meter, aggregation, window_start, stored_at,
        incarnation, partition, block_first, events, sum, min, max, last_at, last_key, last)
    SELECT merchant_id, customer_id, subject, meter_id, concat('meter_', toString(meter)), aggregation,
        toStartOfMinute(at), at, 1, 0, {{first:UInt64}}, 1, g % 1000, g % 1000, g % 1000,
        if(aggregation = 'latest', at, toDateTime64(0, 6, 'UTC')),
        if(aggregation = 'latest', sipHash128(n), toFixedString('', 16)), if(aggregation = 'latest', g % 1000, 0)
    FROM ({_DRAWN})
"""
_CUSTOMERS = f"""
    INSERT INTO customers SELECT concat('mer_', leftPad(toString(intDiv(number, {CUSTOMERS})), 26, '0')),
        concat('cus_', leftPad(toString(number), 26, '0')),
        concat('c-', leftPad(toString(number % {CUSTOMERS}), 6, '0')), 'A customer', 'Europe/Berlin', 'EUR', 1
    FROM numbers({MERCHANTS * CUSTOMERS})
"""
_PERIOD = f"""
    SELECT meter, events, quantity FROM usage_month_at(at = '{AT}')
    WHERE merchant_id = {{merchant:String}} AND customer_id = {{customer:String}}
"""
_TOP = """
    SELECT customer_id, sum(events) AS n FROM usage_by_month
    WHERE merchant_id = {merchant:String} AND month = '2026-02-01' GROUP BY customer_id ORDER BY n DESC LIMIT 100
"""
_TOP_QUANTITY = """
    SELECT customer_id, quantity FROM usage_by_month
    WHERE merchant_id = {merchant:String} AND meter_id = {meter:String} AND month = '2026-02-01'
    ORDER BY quantity DESC LIMIT 100
"""

Drawn = dict[str, str]
Draw = Callable[[random.Random], Drawn]
Ask = Callable[[UsageStore, Drawn], int]


def main(
    *,
    millions: Annotated[int, typer.Option(help="Millions of events in the month.")] = 10,
    clients: Annotated[int, typer.Option(help="Who ask at once.")] = 10,
    asks: Annotated[int, typer.Option(help="Questions of each client, of each kind.")] = 20,
) -> None:
    """Load, ask, print the middle and the slow end of the answers' times."""
    console, clock = Console(highlight=False), SystemClock()
    with TemporaryDirectory(prefix="millrace-bench-") as folder, running_front(Path(folder)) as (store, front):
        migrate(store)
        begun_s = clock.steady_s()
        load(store, millions * 1_000_000)
        parts = store.query_frame(
            "SELECT toString(table) AS name, toUInt64(count()) AS parts FROM system.parts"
            " WHERE active AND database = currentDatabase() AND startsWith(table, 'usage_') GROUP BY name ORDER BY name"
        ).rows()
        console.print(f"{millions} million events in {clock.steady_s() - begun_s:.0f} s; parts: {dict(parts)}")
        table = Table(title=f"{clients} clients at once, ms")
        for column in ("question", "merchant", "CPU each", "p50", "p95", "most"):
            table.add_column(column, justify="left" if column in {"question", "merchant"} else "right")
        for name, question in QUESTIONS.items():
            for whose, draw in (("any", draw_any), ("the hot one", draw_hot)):
                begun_cpu_s = cpu_s(front)
                took_ms = ask_all(store, clock, question, draw, clients=clients, asks=asks)
                cpu_ms = (cpu_s(front) - begun_cpu_s) * 1_000 / len(took_ms)
                figures = (cpu_ms, took_ms[len(took_ms) // 2], took_ms[int(len(took_ms) * 0.95)], took_ms[-1])
                table.add_row(name, whose, *(f"{figure:.1f}" for figure in figures))
    console.print(table)


def load(store: UsageStore, events: int) -> None:
    """Fill the month in chunks, each as one part of each table."""
    store.command(_CUSTOMERS)
    step_us = MONTH_S * 1_000_000 // events
    for first in range(0, events, CHUNK_EVENTS):
        chunk = {"first": first, "count": min(CHUNK_EVENTS, events - first), "step_us": step_us}
        for sql in (_EVENTS, _WINDOWS):
            store.command(f"{sql} SETTINGS max_insert_block_size = {CHUNK_EVENTS}", chunk)


def draw_any(chance: random.Random) -> Drawn:
    """A merchant and customer, each as likely as any other."""
    return drawn(chance.randrange(MERCHANTS), chance)


def draw_hot(chance: random.Random) -> Drawn:
    """A customer of the largest merchant."""
    return drawn(0, chance)


def drawn(merchant: int, chance: random.Random) -> Drawn:
    """Ids as the rows have them."""
    customer, meter = chance.randrange(CUSTOMERS), chance.randrange(METERS)
    return {
        "merchant": f"mer_{merchant:026d}",
        "customer": f"cus_{merchant * CUSTOMERS + customer:026d}",
        "meter": f"mtr_{merchant * METERS + meter:026d}",
    }


def ask_period(store: UsageStore, drawn: Drawn) -> int:
    """A customer's month in the customer's zone, as the API asks for it."""
    return usage_by(store, replace(MONTH, merchant_ids=(drawn["merchant"],), customer_ids=(drawn["customer"],))).height


def ask_month(store: UsageStore, drawn: Drawn) -> int:
    """The month of all of a merchant's customers, as the API asks for it."""
    return usage_by(store, replace(MONTH, merchant_ids=(drawn["merchant"],))).height


def asking(sql: str) -> Ask:
    """A question to the views."""
    return lambda store, drawn: (
        store.query_frame(sql, {name: value for name, value in drawn.items() if f"{{{name}:" in sql}).height
    )


# By the product's own questions, and by the views.
QUESTIONS: dict[str, Ask] = {
    "a customer's period": ask_period,
    "the same, by usage_month_at": asking(_PERIOD),
    "all customers' month": ask_month,
    "top 100, by usage_by_month": asking(_TOP),
    "top 100 of a meter, by usage_by_month": asking(_TOP_QUANTITY),
}


def ask_all(store: UsageStore, clock: Clock, question: Ask, draw: Draw, *, clients: int, asks: int) -> list[float]:
    """Milliseconds of every answer, in order of length; each client asks its next question when it has an answer."""

    def ask(seed: int) -> list[float]:
        chance, took_ms = random.Random(seed), []
        for _ in range(asks):
            drawn = draw(chance)
            begun_s = clock.steady_s()
            rows = question(store, drawn)
            took_ms.append((clock.steady_s() - begun_s) * 1_000)
            assert rows, "every customer has usage"
        return took_ms

    with ThreadPoolExecutor(clients) as threads:
        return sorted(ms for found in threads.map(ask, range(clients)) for ms in found)


if __name__ == "__main__":
    typer.run(main)
