"""``millrace backfill``: old usage as one piece of work, which is closed or reverted as a whole."""

from __future__ import annotations

import threading
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any, Literal

import orjson
import typer
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from api.backfills import backfill_json, effect_json
from clickhouse.backfilled import count_backfilled
from core.clock import SystemClock
from core.db import transaction
from core.errors import Conflict
from core.quantity import plain_text
from ingest.backfill import MOVING, Backfill, decide, find_backfill, list_backfills, open_backfill
from rating.preview_change import preview_backfill
from runtime.commands.bars import counting_bar
from runtime.commands.corrections import EXIT_REFUSED_SOME, read_events
from runtime.commands.release import opened
from runtime.commands.usage import merchant_codes, merchant_id, read_instant
from runtime.corrections.backfill import send_events
from runtime.corrections.send import events_of
from runtime.release.turn import ReleaseParts, move_backfill
from runtime.settings import load_settings

REFUSED_SHOWN_MAX = 20
POLL_S = 0.25

AsJson = Annotated[bool, typer.Option("--json", help="Say it as one line of JSON.")]
Id = Annotated[str, typer.Argument(metavar="ID", help="As 'backfill open' said it: bfl_…")]

backfill_app = typer.Typer(no_args_is_help=True)


@backfill_app.command("open")
def open_one(
    *,
    merchant: Annotated[str, typer.Option(help="Whose usage it is: the merchant's code or id.")],
    from_: Annotated[str, typer.Option("--from", help="The first day or instant, such as 2023-01-01.")],
    to: Annotated[str, typer.Option("--to", help="The day or instant before which it ends.")],
    note: Annotated[str, typer.Option(help="What it is for.")] = "",
    json: AsJson = False,
) -> None:
    """Open a backfill for a span of time. Its events wait, and count nothing, until it is closed."""
    with opened(load_settings()) as parts, transaction(parts.books) as connection:
        owner = merchant_id(connection, merchant, merchant_codes(connection))
        made = open_backfill(connection, owner, read_instant(from_, "UTC"), read_instant(to, "UTC"), note)
    if json:
        print(orjson.dumps(backfill_json(made)).decode())
        return
    print(made.backfill_id)


@backfill_app.command()
def send(
    backfill_id: Id,
    file: Annotated[Path, typer.Argument(help="Its events: a JSON array or NDJSON; - reads stdin.")],
    *,
    gateway: Annotated[str | None, typer.Option(help="The gateway's address; that of the running stack.")] = None,
    json: AsJson = False,
) -> None:
    """Send events into an open backfill. Sending the same file again adds nothing."""
    events = events_of(read_events(file))
    settings, clock = load_settings(), SystemClock()
    with opened(settings) as parts:
        found, code = named(parts, backfill_id)
        url = (gateway or settings.gateway_url).rstrip("/")
        with counting_bar(quiet=json) as bar:
            task = bar.add_task("sending", total=len(events))
            done = send_events(
                parts.books,
                url,
                code,
                found.backfill_id,
                events=events,
                clock=clock,
                on_progress=lambda count: bar.advance(task, count),
            )
    if json:
        refused = [{"index": at, "code": code, "message": said} for at, (code, said) in done.examples.items()]
        print(orjson.dumps({"accepted": done.accepted, "refused": done.refused, "rejected": refused}).decode())
    else:
        print(f"{done.accepted:,} accepted, {done.refused:,} refused")
        for at, (code, said) in list(done.examples.items())[:REFUSED_SHOWN_MAX]:
            print(f"  event {at + 1}: {said} ({code})")
    if done.refused:
        raise typer.Exit(EXIT_REFUSED_SOME)


@backfill_app.command("list")
def list_all(
    *,
    merchant: Annotated[str | None, typer.Option(help="Only this merchant's.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many at most.")] = 50,
    json: AsJson = False,
) -> None:
    """List backfills, the youngest first."""
    with opened(load_settings()) as parts, transaction(parts.books) as connection:
        codes = merchant_codes(connection)
        owner = merchant_id(connection, merchant, codes) if merchant else None
        found = list_backfills(connection, owner, limit=limit)
    if json:
        print(orjson.dumps([backfill_json(one) for one in found]).decode())
        return
    table = Table("id", "merchant", "state", "from", "to", "note", box=box.SIMPLE)
    for one in found:
        code = codes.get(one.merchant_id, one.merchant_id)
        table.add_row(
            one.backfill_id, code, one.state, f"{one.starts_at:%F %R}", f"{one.ends_at:%F %R}", Text(one.note)
        )
    Console(highlight=False).print(table if found else "No backfills.")


@backfill_app.command()
def show(backfill_id: Id, *, json: AsJson = False) -> None:
    """Show a backfill: its state, and what became of its events."""
    with opened(load_settings()) as parts:
        found, _code = named(parts, backfill_id)
        tell(parts, found, as_one_line=json)


@backfill_app.command()
def preview(backfill_id: Id, *, json: AsJson = False) -> None:
    """Show what closing it would change: quantities and amounts by customer, meter and period. Writes nothing."""
    with opened(load_settings()) as parts:
        found, _code = named(parts, backfill_id)
        effect = preview_backfill(parts.books, parts.store, found.merchant_id, found.backfill_id, SystemClock().now())
        counts = count_backfilled(parts.store, found.merchant_id, found.backfill_id)
    rows = effect.rows(named=True)
    if json:
        print(orjson.dumps({**backfill_json(found), **counts, "effect": [effect_json(row) for row in rows]}).decode())
        return
    console = Console(highlight=False, width=None if Console().is_terminal else 160)
    console.print(f"[bold]{counts['events']:,} events[/] of {found.backfill_id} ({found.state})")
    table = Table("period", "customer", "meter", "now", "then", "amount", "goes to", box=box.SIMPLE)
    for row in rows:
        amount = row["problem"] or f"{signed(row['amount'])} {row['currency']}"
        quantities = plain_text(row["old_quantity"]), plain_text(row["new_quantity"])
        table.add_row(row["period"], Text(row["subject"]), row["meter"], *quantities, Text(amount), row["outcome"])
    console.print(table if rows else "No priced meter counts any of them.")


@backfill_app.command()
def close(backfill_id: Id, *, json: AsJson = False) -> None:
    """Let all of its events count. Safe to repeat: a close that was cut short goes on."""
    finish(backfill_id, "closing", as_one_line=json)


@backfill_app.command()
def revert(backfill_id: Id, *, json: AsJson = False) -> None:
    """Take all of its events back, whether they count already or not. Safe to repeat."""
    finish(backfill_id, "reverting", as_one_line=json)


def finish(backfill_id: str, to: Literal["closing", "reverting"], *, as_one_line: bool) -> None:
    """Decide, then move all of its events, or wait while the releaser does."""
    with ExitStack() as stack:
        parts = stack.enter_context(opened(load_settings()))
        with transaction(parts.books) as connection:
            found = decide(connection, None, backfill_id, to)
        total = count_backfilled(parts.store, found.merchant_id, found.backfill_id)["events"]
        bar = stack.enter_context(counting_bar(quiet=as_one_line))
        task = bar.add_task(found.state, total=total)
        sender = parts.open_sender()
        stack.callback(sender.close)
        while found.state in MOVING:
            try:
                found = move_backfill(parts, sender, found, lambda count: bar.advance(task, count))
            except Conflict:
                # The releaser is at it.
                threading.Event().wait(POLL_S)
                with transaction(parts.books) as connection:
                    found = find_backfill(connection, None, backfill_id)
        bar.update(task, completed=total, description=found.state)
        tell(parts, found, as_one_line=as_one_line)


def named(parts: ReleaseParts, backfill_id: str) -> tuple[Backfill, str]:
    """A backfill, and its merchant's code."""
    with transaction(parts.books) as connection:
        found = find_backfill(connection, None, backfill_id)
        return found, merchant_codes(connection)[found.merchant_id]


def tell(parts: ReleaseParts, found: Backfill, *, as_one_line: bool) -> None:
    """Say what a backfill is, and what became of its events."""
    counts = count_backfilled(parts.store, found.merchant_id, found.backfill_id)
    if as_one_line:
        print(orjson.dumps({**backfill_json(found), **counts}).decode())
        return
    console = Console(highlight=False, soft_wrap=True)
    span = f"{found.starts_at:%F %R} to {found.ends_at:%F %R} UTC"
    console.print(Text.assemble((found.backfill_id, "bold"), f" {found.state}, {span} {found.note}".rstrip()))
    console.print("  " + ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in counts.items()))


def signed(amount: Any) -> str:
    """An amount with its sign."""
    return "?" if amount is None else ("+" if amount > 0 else "") + plain_text(amount)
