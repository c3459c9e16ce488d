"""``millrace simulate``: seeded, realistic traffic for those without data of their own."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer
from rich.console import Console

from core.clock import Clock, SystemClock
from core.errors import Refused
from runtime.commands.bars import counting_bar
from runtime.settings import load_settings
from runtime.traffic.account import account_of
from runtime.traffic.ledger import SimulatorLedger
from runtime.traffic.plan import TrafficPlan, plan_for_last_month, plan_until
from runtime.traffic.prepare import prepare_traffic
from runtime.traffic.send import SendOptions, SendReport, send_plan
from runtime.traffic.usage import month_of
from runtime.wiring import open_books, open_usage_store


def simulate(
    *,
    events: Annotated[int, typer.Option(min=1, help="How many events to send, repeats included.")] = 100_000,
    merchants: Annotated[int, typer.Option(min=1, help="How many merchants; the first sends most.")] = 20,
    customers: Annotated[int, typer.Option(min=1, help="How many customers each of them has.")] = 50,
    meters: Annotated[int, typer.Option(min=1, max=20, help="How many meters each of them has.")] = 20,
    seed: Annotated[int | None, typer.Option(help="The same seed sends the same events.")] = None,
    until: Annotated[str | None, typer.Option(help="When the last event occurs: an instant, or 'now'.")] = None,
    rate: Annotated[float, typer.Option(min=0, help="Events a second; 0 is as fast as they are taken.")] = 0,
    connections: Annotated[int, typer.Option(min=1, help="Requests in flight.")] = 8,
    batch: Annotated[int, typer.Option(min=1, max=10_000, help="Events a request, at most.")] = 500,
    gateway: Annotated[str | None, typer.Option(help="The gateway's address; that of the running stack.")] = None,
    ledger: Annotated[Path | None, typer.Option(help="Where the simulator keeps its own account.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Say it as one line of JSON.")] = False,
) -> None:
    """Make merchants with meters, prices and customers, and send events of theirs through the gateway's door.

    Unless --until is given, events occur in the last three days of last month, which can then be closed; sending the
    same seed again adds nothing. 2 % of the events are repeats, some late, a few invalid, unknown or in conflict.
    """
    clock = SystemClock()
    plan = make_plan(
        clock, until, seed, events=events, merchants=merchants, customers=customers, meters=meters, request_events=batch
    )
    settings = load_settings()
    path = ledger or settings.home / "simulations" / f"{plan.source}-{plan.events}.json"
    with ExitStack() as opened:
        books, store = open_books(settings), open_usage_store(settings)
        opened.callback(books.dispose)
        opened.callback(store.close)
        keys = prepare_traffic(books, store, plan)
    account = SimulatorLedger(plan, path)
    options = SendOptions((gateway or settings.gateway_url).rstrip("/"), keys, connections=connections, rate=rate)
    with counting_bar(quiet=json) as bar:
        task = bar.add_task("sending", total=plan.events)
        report = send_plan(account, options, clock, lambda count: bar.advance(task, count))
    tell(account, report, path, as_one_line=json)


def make_plan(clock: Clock, until: str | None, seed: int | None, **fields: Any) -> TrafficPlan:
    """The plan that the options ask for; raises ``Refused`` when its events could not be told apart.

    Traffic up to now gets a seed of its own each time: the same ids at other times would be conflicts.
    """
    now = clock.now()
    try:
        if until is None:
            return plan_for_last_month(now, seed=1 if seed is None else seed, **fields)
        end = now if until == "now" else datetime.fromisoformat(until)
        if end.tzinfo is None:
            raise Refused("time_unclear", "give --until with its zone, such as 2026-03-01T12:00:00Z")
        return plan_until(end, seed=int(now.timestamp()) if seed is None else seed, **fields)
    except ValueError as error:
        raise Refused("plan_impossible", str(error)) from error


def tell(account: SimulatorLedger, report: SendReport, path: Path, *, as_one_line: bool) -> None:
    """Say what was sent, what the gateway answered, and what a correct engine makes of it."""
    expected, _stored = account_of(account)
    plan = account.plan
    facts = {
        "seed": plan.seed,
        "month": month_of(plan).isoformat()[:7],
        **asdict(expected),
        "refused_by_code": dict(account.refused_by_code),
        "requests": account.requests,
        "retries": account.retries,
        "seconds": round(report.seconds, 3),
        "events_per_second": round(report.events_per_second),
        "ledger": str(path),
    }
    if as_one_line:
        print(orjson.dumps(facts).decode())
        return
    console = Console(highlight=False, soft_wrap=True)
    console.print(
        f"[bold]{report.events:,} events[/] in {report.seconds:.1f} s, {report.events_per_second:,.0f} a second"
    )
    console.print(f"  {expected.accepted:>12,} accepted: {expected.stored:,} to be stored,")
    console.print(
        f"  {'':>12} {expected.duplicates:,} duplicates, {expected.conflicts:,} conflicts, {expected.held:,} held"
    )
    console.print(f"  {expected.refused:>12,} refused {dict(account.refused_by_code)}")
    if account.retries:
        console.print(f"  {account.retries:>12,} requests sent again, {account.maybe_repeated:,} events maybe twice")
    console.print(f"  merchants {plan.merchant_code(0)} to {plan.merchant_code(plan.merchants - 1)}, seed {plan.seed}")
    console.print(f"  its own account: {path}", soft_wrap=True)
    console.print(f"next: millrace usage --merchant {plan.merchant_code(0)}")
