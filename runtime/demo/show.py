"""What the demonstration shows while it runs and when it is done."""

from __future__ import annotations

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from catalog.merchants import find_merchant
from clickhouse.client import UsageStore
from clickhouse.report import UsageQuestion, usage_by
from core.db import transaction
from core.quantity import plain_text
from invoicing.find import find_invoice
from runtime.commands.invoice import load_windows, show_explanation, show_header, show_lines
from runtime.conservation.drain import Backlog
from runtime.demo.run import Outcome, Parts

STEPS = {
    "catalog": "applying a catalog",
    "send": "sending events through the gateway",
    "store": "waiting until all are in",
    "close": "closing the month",
    "check": "checking every number",
}
USAGE_ROWS = 8
LINES_EXPLAINED = 3
WINDOWS_LISTED = 2
WIDTH = 120


class Bars:
    """A line for each step, with bars for what is sent and what is stored; on the error stream."""

    def __init__(self, events: int) -> None:
        columns = (TextColumn("{task.description:<36}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        self.progress = Progress(*columns, console=Console(stderr=True))
        self.events = events
        self.send: TaskID | None = None
        self.current: TaskID | None = None

    def __enter__(self) -> Bars:
        self.progress.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self.end_step()
        self.progress.stop()

    def step(self, name: str) -> None:
        """A step begins; the one before it is done."""
        self.end_step()
        total = self.events if name in {"send", "store"} else 1
        self.current = self.progress.add_task(STEPS.get(name, name), total=total)
        if name == "send":
            self.send = self.current

    def sent(self, events: int) -> None:
        """So many more events were answered."""
        if self.send is not None:
            self.progress.advance(self.send, events)

    def stored(self, backlog: Backlog) -> None:
        """So far the stream has come."""
        if self.current is not None:
            self.progress.update(self.current, completed=backlog.received)

    def end_step(self) -> None:
        """Fill the bar of the present step."""
        if self.current is not None:
            task = next(task for task in self.progress.tasks if task.id == self.current)
            self.progress.update(self.current, completed=task.total)
            self.progress.stop_task(self.current)
            self.current = None


def show_usage(console: Console, parts: Parts, merchant: str) -> None:
    """A few rows of one merchant's usage."""
    with transaction(parts.books) as connection:
        merchant_id = find_merchant(connection, merchant)
    rows = first_rows(parts.store, merchant_id)
    table = Table(title=f"Usage of {merchant}, by day")
    for name in ("customer", "meter", "aggregation", "day"):
        table.add_column(name)
    for name in ("events", "quantity"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    console.print(table)
    console.print(f"  the first {len(rows)} rows; 'millrace usage' shows all\n")


def first_rows(store: UsageStore, merchant_id: str) -> list[tuple[str, ...]]:
    """The first rows as texts."""
    found = usage_by(store, UsageQuestion(grain="day", merchant_ids=(merchant_id,), limit=USAGE_ROWS))
    return [
        (
            row["subject"],
            row["meter"],
            row["aggregation"],
            f"{row['starts_at']:%Y-%m-%d}",
            f"{row['events']:,}",
            plain_text(row["quantity"]),
        )
        for row in found.iter_rows(named=True)
    ]


def show_invoice(console: Console, parts: Parts, outcome: Outcome) -> None:
    """The first invoice, its lines, and how some of them came about."""
    if not outcome.invoices:
        return
    chosen = outcome.invoices[0]
    with transaction(parts.books) as connection:
        found = find_invoice(connection, chosen.number, chosen.merchant)
    show_header(console, found)
    show_lines(console, found)
    # Lines with several tiers have the most to explain.
    for line in sorted(found.lines, key=lambda line: (-len(line.tiers), line.position))[:LINES_EXPLAINED]:
        show_explanation(console, found, line, load_windows(parts.store, found, line), WINDOWS_LISTED)


def show_verdict(console: Console, outcome: Outcome) -> None:
    """How the events fared, and everything that does not agree."""
    account, totals = outcome.account, outcome.conservation.totals
    console.print(f"[bold]{account.sent:,} events sent[/], {account.refused:,} of them refused at the door")
    console.print(
        f"  {totals.received:,} received = {totals.stored:,} stored + {totals.duplicates:,} duplicates"
        f" + {totals.conflicts:,} conflicts + {totals.held:,} held + {totals.rejected:,} rejected"
    )
    console.print(f"  {outcome.billed_events:,} of the stored fall into {outcome.period} and are on invoices")
    console.print(f"  {totals.blocks:,} blocks, {totals.redelivered:,} events delivered again and passed over")
    for fault in (*outcome.conservation.faults, *outcome.differences):
        console.print(f"  [bold red]does not agree:[/] {fault}", soft_wrap=True)
