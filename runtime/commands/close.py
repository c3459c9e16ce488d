"""``millrace close``: rate a month that has ended and write its invoices."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from typing import Annotated, Any

import orjson
import polars as pl
import typer
from rich import box
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from core.clock import SystemClock
from core.db import transaction
from core.money import Money
from invoicing.find import Filter, Total, total_invoices
from runtime.close import Closed, close_books
from runtime.settings import load_settings
from runtime.wiring import open_books, open_usage_store

# Some subscriptions could not be billed; everything else was.
EXIT_PARKED = 3
STEPS = {
    "freeze": "fixing the cut-off",
    "prices": "loading what is due",
    "claim": "claiming the run",
    "rate": "loading usage and rating",
    "record": "writing charge lines and drafts",
    "finalize": "numbering invoices",
}
SHOWN_MAX = 20


def close(
    period: Annotated[str, typer.Option(help="The month in which the periods to close begin, such as 2023-11.")],
    merchant: Annotated[str | None, typer.Option(help="Only this merchant, by its code.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Work everything out and write nothing.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Say it as one line of JSON.")] = False,
) -> None:
    """Rate every subscription whose monthly period began in PERIOD and has ended, and write its invoice.

    Safe to run twice, and to run again after it was killed: nothing is billed a second time. Ends with exit code 3
    when subscriptions were parked; they are listed, and billed by the next close once their reason is gone.
    """
    settings = load_settings()
    with ExitStack() as opened:
        books = open_books(settings)
        opened.callback(books.dispose)
        store = opened.enter_context(closing(open_usage_store(settings)))
        on_step = opened.enter_context(progress(quiet=json))
        clock = SystemClock()
        closed = close_books(books, store, clock, period, merchant=merchant, commit=not dry_run, on_step=on_step)
        with transaction(books) as connection:
            totals = total_invoices(connection, Filter(merchant, period))
    if json:
        print(orjson.dumps(as_json(period, closed, totals, dry_run)).decode())
    else:
        show(period, closed, totals, dry_run)
    if parked_rows(closed):
        raise typer.Exit(EXIT_PARKED)


@contextmanager
def progress(*, quiet: bool) -> Iterator[Any]:
    """A bar on the terminal's error stream that moves on with every step."""
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True, disable=quiet) as bar:
        task = bar.add_task("closing", total=len(STEPS))

        def on_step(step: str) -> None:
            bar.update(task, description=STEPS[step], completed=list(STEPS).index(step))

        yield on_step


def parked_rows(closed: Closed) -> list[dict[str, str]]:
    """The subscriptions that could not be billed, each once with its first reason."""
    parked = closed.closing.lines.filter(pl.col("parked_reason").is_not_null())
    # The line at fault comes before those that are only held back with it.
    first = parked.sort(pl.col("parked_reason").str.starts_with("held back"), maintain_order=True)
    columns = ("merchant_id", "subscription_id", "subject", "meter", "parked_reason")
    return first.unique("subscription_id", keep="first", maintain_order=True).select(columns).to_dicts()


def new_totals(closed: Closed) -> list[Total]:
    """What the invoices of this close add up to, by state and currency."""
    grouped = closed.drafts.invoices.group_by("state", "currency").agg(
        pl.len(), pl.col("total_minor").cast(pl.Int128).sum()
    )
    rows = grouped.sort("state", "currency").iter_rows()
    return [Total(state, count, Money(int(minor), currency)) for state, currency, count, minor in rows]


def as_json(period: str, closed: Closed, totals: list[Total], dry_run: bool) -> dict[str, object]:
    """The outcome for programs: what this close did, and what the period holds now."""
    made = new_totals(closed)
    return {
        "period": period,
        "dry_run": dry_run,
        "cutoff": closed.closing.cutoff.isoformat(),
        "already_closed": closed.closing.rated_before,
        "not_ended": closed.closing.not_ended,
        "drafted": sum(total.count for total in made if total.state == "draft"),
        "skipped": sum(total.count for total in made if total.state == "skipped"),
        "finalized": closed.finalized,
        "parked": parked_rows(closed),
        "new": [total_json(total) for total in made],
        "invoices": [total_json(total) for total in totals],
    }


def total_json(total: Total) -> dict[str, object]:
    """One total for programs."""
    return {
        "state": total.state,
        "count": total.count,
        "currency": total.amount.currency,
        "total": str(total.amount.decimal()),
    }


def show(period: str, closed: Closed, totals: list[Total], dry_run: bool) -> None:
    """The outcome for people."""
    console = Console(highlight=False)
    done = closed.drafts.invoices.height + closed.finalized
    if dry_run:
        console.print(f"[bold]{period}, dry run:[/] nothing was written")
        show_drafts(console, closed.drafts.invoices)
    elif done == 0 and parked_rows(closed):
        console.print(f"[bold]{period}[/]: no invoice was written, for all that is left is parked")
    elif done == 0 and closed.closing.rated_before:
        console.print(f"[bold]{period} is already closed[/]: nothing is due, nothing was written")
    elif done == 0:
        console.print(f"[bold]{period}[/]: nothing is due")
    else:
        console.print(f"[bold]{period} closed[/] at the cut-off {closed.closing.cutoff.isoformat()}")
    for total in new_totals(closed) if dry_run else totals:
        console.print(f"  {total.count:>9,} {total.state:<10} {total.amount}")
    if closed.closing.not_ended:
        console.print(f"  {closed.closing.not_ended:>9,} subscriptions whose period has not ended yet")
    show_parked(console, parked_rows(closed))


def show_drafts(console: Console, drafts: pl.DataFrame) -> None:
    """What the first invoices would be."""
    table = Table(box=box.SIMPLE_HEAD)
    for name in ("customer", "plan", "state"):
        table.add_column(name)
    table.add_column("total", justify="right")
    columns = ("subject", "plan", "state", "total_minor", "currency")
    for subject, plan, state, minor, currency in drafts.select(columns).head(SHOWN_MAX).iter_rows():
        table.add_row(Text(subject), Text(plan), state, str(Money(minor, currency)))
    console.print(table)
    if drafts.height > SHOWN_MAX:
        console.print(f"  … and {drafts.height - SHOWN_MAX:,} more")


def show_parked(console: Console, parked: list[dict[str, str]]) -> None:
    """Who could not be billed, and why."""
    if not parked:
        return
    console.print(f"\n[bold red]{len(parked):,} parked[/]: not billed; mend the reason and close again")
    for row in parked[:SHOWN_MAX]:
        console.print(Text(f"  {row['subject']} ({row['subscription_id']}), {row['meter']}: {row['parked_reason']}"))
    if len(parked) > SHOWN_MAX:
        console.print(f"  … and {len(parked) - SHOWN_MAX:,} more; --json lists all")
