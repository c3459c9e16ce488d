"""``python -m benchmarks.queries``: usage as ten clients at once read it, over millions of events in one month.

The month is made inside the engine by INSERT … SELECT into the migrated tables, in blocks and in the order of time:
1,000 merchants of 50 customers, the first merchant with three events in ten, the others by a power law; and, as the
stream does it, one window for what a block holds of a minute, customer and meter. Asked are a customer's current
period, and a merchant's hundred largest customers of the month, on request while more events of the month are stored.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event, Thread
from typing import Annotated

import typer
from psutil import Process
from rich.console import Console
from rich.table import Table

from benchmarks.clickhouse_insert import cpu_s, running_front, wait_for_merges
from clickhouse.client import UsageStore
from clickhouse.migrate import migrate
from clickhouse.report import UsageQuestion, usage_by
from clickhouse.shared_usage import Owner, SharedUsage
from clickhouse.top import TopCustomers, TopQuestion
from core.clock import Clock, SystemClock

MERCHANTS, CUSTOMERS, METERS = 1_000, 50, 20
# What is loaded fills the month but for its last day, in which what is fed meanwhile occurs.
LOADED_S = 27 * 24 * 3600
CHUNK_EVENTS, FED_EVENTS = 500_000, 25_000
# Events are drawn by their numbers: those fed are others than those loaded.
FED_FROM = 1_000_000_000_000
IDLE_FOR_S = 3.0
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
        toDateTime64('2026-02-01 00:00:00', 6, 'UTC')
            + toIntervalMicrosecond({{begin_us:UInt64}} + (n - {{first:UInt64}}) * {{step_us:UInt64}}) AS at,
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
    SELECT merchant_id, customer_id, subject, meter_id, concat('meter_', toString(any(meter))), aggregation,
        toStartOfMinute(at) AS minute, max(at), 1, 0, {{first:UInt64}}, count(),
        if(aggregation = 'count', 0, sum(g % 1000)), if(aggregation = 'count', 0, min(g % 1000)),
        if(aggregation = 'count', 0, max(g % 1000)),
        if(aggregation = 'latest', max(at), toDateTime64(0, 6, 'UTC')),
        if(aggregation = 'latest', sipHash128(max(n)), toFixedString('', 16)),
        if(aggregation = 'latest', argMax(g % 1000, n), 0)
    FROM ({_DRAWN}) GROUP BY merchant_id, customer_id, subject, meter_id, aggregation, minute
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
Ask = Callable[[Drawn], int]


def main(
    *,
    millions: Annotated[int, typer.Option(help="Millions of events in the month.")] = 10,
    clients: Annotated[int, typer.Option(help="Who ask at once.")] = 10,
    asks: Annotated[int, typer.Option(help="Questions of each client, of each kind.")] = 20,
    pause_ms: Annotated[int, typer.Option(help="What a client waits between its questions.")] = 0,
    feed: Annotated[int, typer.Option(help="Events a second that are stored meanwhile.")] = 0,
    evidence: Annotated[bool, typer.Option(help="Store the events as well; no question here reads them.")] = True,
    only: Annotated[str, typer.Option(help="Some questions, by their names with commas between.")] = "",
) -> None:
    """Load, ask, print the middle and the slow end of the answers' times."""
    console, clock = Console(highlight=False), SystemClock()
    with TemporaryDirectory(prefix="millrace-bench-") as folder, running_front(Path(folder)) as (store, front):
        migrate(store)
        begun_s = clock.steady_s()
        load(store, millions * 1_000_000, evidence=evidence)
        wait_for_merges(store)
        found = store.query_frame(
            "SELECT toString(table) AS name, toUInt64(count()) AS parts, toUInt64(sum(rows)) AS rows FROM system.parts"
            " WHERE active AND database = currentDatabase() AND startsWith(table, 'usage_') GROUP BY name ORDER BY name"
        ).rows()
        console.print(f"{millions} million events in {clock.steady_s() - begun_s:.0f} s; parts and rows: {found}")
        table = Table(title=f"{clients} clients at once, {feed:,} events a second meanwhile, ms")
        for column in ("question", "merchant", "CPU each", "p50", "p95", "most"):
            table.add_column(column, justify="left" if column in {"question", "merchant"} else "right")
        with Feeder(store, clock, feed, evidence=evidence) as feeder:
            idle = idle_cores(clock, front) if feed else 0.0
            for name, question in chosen(questions(store), only).items():
                for whose, draw in (("any", draw_any), ("the hot one", draw_hot)):
                    begun_s, begun_cpu_s = clock.steady_s(), cpu_s(front)
                    took_ms = ask_all(clock, question, draw, clients=clients, asks=asks, pause_ms=pause_ms)
                    busy_s = cpu_s(front) - begun_cpu_s - idle * (clock.steady_s() - begun_s)
                    figures = (busy_s * 1_000 / len(took_ms), *(took_ms[int(len(took_ms) * at)] for at in (0.5, 0.95)))
                    cells = [f"{figure:.1f}" for figure in (*figures, took_ms[-1])]
                    table.add_row(name, whose, *cells)
                    # What breaks off later has said this much.
                    console.print(f"{name}, {whose}: {', '.join(cells)}", style="dim")
        console.print(table)
        console.print(f"{feeder.stored:,} events were stored meanwhile, at {idle:.2f} cores.")


def load(store: UsageStore, events: int, *, evidence: bool) -> None:
    """Fill the month in chunks, each as one part of each table."""
    store.command(_CUSTOMERS)
    step_us = LOADED_S * 1_000_000 // events
    for first in range(0, events, CHUNK_EVENTS):
        put_block(store, first, min(CHUNK_EVENTS, events - first), first * step_us, step_us, evidence=evidence)


def put_block(store: UsageStore, first: int, count: int, begin_us: int, step_us: int, *, evidence: bool) -> None:
    """Store some events, the first of them so long after the month's beginning, and their windows."""
    chunk = {"first": first, "count": count, "begin_us": begin_us, "step_us": step_us}
    for sql in (_EVENTS, _WINDOWS) if evidence else (_WINDOWS,):
        store.command(f"{sql} SETTINGS max_insert_block_size = {CHUNK_EVENTS}", chunk)


class Feeder:
    """Stores blocks at a steady rate, in a thread of its own."""

    def __init__(self, store: UsageStore, clock: Clock, rate: int, *, evidence: bool) -> None:
        self.stored = 0
        self._store, self._clock, self._rate, self._evidence = store, clock, rate, evidence
        self._ended = Event()
        self._thread = Thread(target=self._feed)

    def __enter__(self) -> Feeder:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._ended.set()
        self._thread.join()

    def _feed(self) -> None:
        begun_s = self._clock.steady_s()
        while self._rate and not self._ended.wait(
            max(0.0, begun_s + self.stored / self._rate - self._clock.steady_s())
        ):
            step_us = 1_000_000 // self._rate
            begin_us = LOADED_S * 1_000_000 + self.stored * step_us
            first = FED_FROM + self.stored
            put_block(self._store, first, FED_EVENTS, begin_us, step_us, evidence=self._evidence)
            self.stored += FED_EVENTS


def idle_cores(clock: Clock, front: Process) -> float:
    """What the engine uses for what is fed alone."""
    begun_s, begun_cpu_s = clock.steady_s(), cpu_s(front)
    Event().wait(IDLE_FOR_S)
    return (cpu_s(front) - begun_cpu_s) / (clock.steady_s() - begun_s)


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
        "subject": f"c-{customer:06d}",
        "meter": f"mtr_{merchant * METERS + meter:026d}",
        # Largest by a sum; others are counts, maxima and latest values.
        "code": f"meter_{meter // 5 * 5 + 1}",
    }


def month_of(drawn: Drawn) -> UsageQuestion:
    """A customer's month in the customer's zone."""
    return replace(MONTH, merchant_ids=(drawn["merchant"],), customer_ids=(drawn["customer"],))


def asking(store: UsageStore, sql: str) -> Ask:
    """A question to the views."""
    return lambda drawn: (
        store.query_frame(sql, {name: value for name, value in drawn.items() if f"{{{name}:" in sql}).height
    )


def questions(store: UsageStore) -> dict[str, Ask]:
    """By the product's own ways, as the API asks, and by the views."""
    shared, top = SharedUsage(store), TopCustomers(store)
    since, until = MONTH.since, MONTH.until
    return {
        "a customer's period": lambda drawn: len(
            shared.usage_by(MONTH, Owner(drawn["merchant"], drawn["customer"], drawn["subject"]))
        ),
        "the same, each alone": lambda drawn: usage_by(store, month_of(drawn)).height,
        "the same, by usage_month_at": asking(store, _PERIOD),
        "all customers' month": lambda drawn: usage_by(store, replace(MONTH, merchant_ids=(drawn["merchant"],))).height,
        "top 100 by events": lambda drawn: top.ask(TopQuestion(drawn["merchant"], None, since, until)).height,
        "top 100 of a meter": lambda drawn: top.ask(TopQuestion(drawn["merchant"], drawn["code"], since, until)).height,
        "the same, nothing kept": lambda drawn: (
            TopCustomers(store).ask(TopQuestion(drawn["merchant"], drawn["code"], since, until)).height
        ),
        "top 100, by usage_by_month": asking(store, _TOP),
        "top 100 of a meter, by usage_by_month": asking(store, _TOP_QUANTITY),
    }


def chosen(all_questions: dict[str, Ask], only: str) -> dict[str, Ask]:
    """Those that are named; raises ``BadParameter`` for a name that is none."""
    names = [name.strip() for name in only.split(",") if name.strip()] or list(all_questions)
    unknown = [name for name in names if name not in all_questions]
    if unknown:
        raise typer.BadParameter(f"no such question: {', '.join(unknown)}; there are: {'; '.join(all_questions)}")
    return {name: all_questions[name] for name in names}


def ask_all(clock: Clock, question: Ask, draw: Draw, *, clients: int, asks: int, pause_ms: int) -> list[float]:
    """Milliseconds of every answer, in order of length; a client asks its next question when it has an answer."""

    def ask(seed: int) -> list[float]:
        chance, took_ms, rows = random.Random(seed), [], 0
        for _ in range(asks):
            Event().wait(chance.uniform(0, 2 * pause_ms) / 1_000)
            drawn = draw(chance)
            begun_s = clock.steady_s()
            rows += question(drawn)
            took_ms.append((clock.steady_s() - begun_s) * 1_000)
        assert rows, "somebody has usage"
        return took_ms

    with ThreadPoolExecutor(clients) as threads:
        return sorted(ms for found in threads.map(ask, range(clients)) for ms in found)


if __name__ == "__main__":
    typer.run(main)
