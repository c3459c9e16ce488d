"""``millrace demo``: the whole line in a minute, on real engines, checked to the last cent."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Annotated

import orjson
import typer
from rich.console import Console

from clickhouse.client import open_usage_store
from core.clock import SystemClock
from core.db import open_engine
from core.errors import Refused
from ingest.lane.trial import tried_lane
from runtime.demo.home import fresh_home, wipe
from runtime.demo.run import Outcome, Parts, run_demo
from runtime.demo.show import WIDTH, Bars, show_invoice, show_usage, show_verdict
from runtime.embedded.ports import free_ports
from runtime.settings import DEFAULT_TOPIC, LogKind, StackSettings, home_of, load_stack_settings
from runtime.stack import Stack, running_stack
from runtime.topic import open_admin
from runtime.traffic.ledger import SimulatorLedger
from runtime.traffic.plan import TrafficPlan, plan_for_last_month
from streams.warm_up import warm_up

PARTITIONS = 4
EXIT_DISAGREES = 1


def demo(
    *,
    events: Annotated[int, typer.Option(min=1_000, help="How many events to send; 2 % of them are repeats.")] = 500_000,
    seed: Annotated[int, typer.Option(help="The same seed sends the same events.")] = 1,
    merchants: Annotated[int, typer.Option(min=1, help="How many merchants.")] = 50,
    customers: Annotated[int, typer.Option(min=1, help="How many customers each of them has.")] = 40,
    log: Annotated[LogKind | None, typer.Option(help="The log to run on; MILLRACE_LOG by default.")] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Leave the demonstration's data where it is.")] = False,
) -> None:
    """Start a stack of its own, stream events into it, bill last month, and check every number.

    Nothing needs to run before, nothing runs afterwards, and no other stack is touched. The last line is JSON. Ends
    with exit code 0 only if every number agrees with the simulator's own account, invoice by invoice.
    """
    clock = SystemClock()
    start_s = clock.steady_s()
    home = home_of(os.environ) / "demo"
    try:
        plan = plan_for_last_month(clock.now(), seed=seed, events=events, merchants=merchants, customers=customers)
    except ValueError as error:
        raise Refused("plan_impossible", str(error)) from error
    fresh_home(home)
    console = Console(highlight=False, width=None if Console().is_terminal else WIDTH)
    with ended_by_signal():
        outcome = make_demo(plan, own_settings(home, log or load_stack_settings().log), clock, console)
    if outcome.ok and not keep:
        wipe(home)
    elif outcome.ok:
        console.print(f"kept in {home}; serve it with: MILLRACE_HOME={home} millrace up", soft_wrap=True)
    else:
        console.print(f"data and logs are left in {home}", soft_wrap=True)
    print(orjson.dumps(outcome.summary(clock.steady_s() - start_s)).decode())
    if not outcome.ok:
        raise typer.Exit(EXIT_DISAGREES)


def make_demo(plan: TrafficPlan, settings: StackSettings, clock: SystemClock, console: Console) -> Outcome:
    """The demonstration on a running stack, which is stopped at the end, whatever happens."""
    with Bars(plan.events) as bars:
        # Otherwise the first demonstration on a machine would show how fast a stream is beside a compiler.
        bars.step("compiling, the first time only")
        warm_up()
        tried_lane()
        bars.step("starting broker, ClickHouse, Postgres")
        with running_stack(settings) as stack, connected(stack) as parts:
            outcome = run_demo(parts, SimulatorLedger(plan, settings.home / "simulator.json"), clock, bars)
            bars.end_step()
            bars.progress.stop()
            show_usage(console, parts, plan.merchant_code(0))
            show_invoice(console, parts, outcome)
            show_verdict(console, outcome)
    return outcome


def own_settings(home: Path, log: LogKind) -> StackSettings:
    """A stack on free ports, with engines of its own, whatever the environment says about others."""
    gateway, kafka, clickhouse, postgres = free_ports(4)
    return StackSettings(
        home=home,
        gateway_port=gateway,
        kafka_port=kafka,
        clickhouse_port=clickhouse,
        postgres_port=postgres,
        kafka=None,
        clickhouse_url=None,
        postgres_url=None,
        topic=DEFAULT_TOPIC,
        partitions=PARTITIONS,
        log=log,
    )


@contextmanager
def connected(stack: Stack) -> Iterator[Parts]:
    """Clients of a running stack."""
    found = stack.endpoints
    assert found.gateway_url, "a running stack has a gateway"
    books, store = open_engine(found.postgres_url), open_usage_store(found.clickhouse_url)
    try:
        yield Parts(books, store, open_admin(found.kafka), found.gateway_url, stack.topic)
    finally:
        store.close()
        books.dispose()


@contextmanager
def ended_by_signal() -> Iterator[None]:
    """Let SIGTERM unwind like Ctrl-C does, so that the stack is stopped."""

    def on_signal(number: int, _frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    before = signal.signal(signal.SIGTERM, on_signal)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
