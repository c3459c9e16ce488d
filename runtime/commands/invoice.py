"""``millrace invoice``: show one invoice, and on request how each of its cents came about."""

from __future__ import annotations

from contextlib import closing
from typing import Annotated, Any

import orjson
import polars as pl
import typer
from rich import box
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from clickhouse.client import UsageStore
from clickhouse.usage import windows_behind
from core.db import transaction
from core.money import Money
from core.quantity import plain_text
from invoicing.explain import Explanation, explain, inputs_agree
from invoicing.find import find_invoice
from invoicing.invoice import Invoice, InvoiceLine, invoice_json
from runtime.settings import Settings, load_settings
from runtime.wiring import open_books, open_usage_store


def invoice(
    reference: Annotated[str, typer.Argument(metavar="INVOICE", help="An invoice's number or id.")],
    merchant: Annotated[str | None, typer.Option(help="The merchant's code, where a number is not unique.")] = None,
    explain_lines: Annotated[bool, typer.Option("--explain", help="Show the arithmetic and its evidence.")] = False,
    windows: Annotated[int, typer.Option(min=0, help="How many windows to list for each line.")] = 5,
    json: Annotated[bool, typer.Option("--json", help="Say it as JSON; with --explain every window.")] = False,
) -> None:
    """Show an invoice with its lines and totals.

    With --explain each line shows its tiers with exact numbers, the price and catalog version, the cut-off, the hash
    of its inputs, and the minute windows that its quantity was added up from.
    """
    settings = load_settings()
    found = load_invoice(settings, reference, merchant)
    behind: dict[int, pl.DataFrame] = {}
    if explain_lines:
        with closing(open_usage_store(settings)) as store:
            behind = {line.position: load_windows(store, found, line) for line in found.lines}
    if json:
        print(orjson.dumps(as_json(found, behind)).decode())
        return
    console = Console(highlight=False)
    show_header(console, found)
    show_lines(console, found)
    for line in found.lines if explain_lines else ():
        show_explanation(console, found, line, behind[line.position], windows)


def load_invoice(settings: Settings, reference: str, merchant: str | None) -> Invoice:
    """The invoice, from the books."""
    books = open_books(settings)
    try:
        with transaction(books) as connection:
            return find_invoice(connection, reference, merchant)
    finally:
        books.dispose()


def load_windows(store: UsageStore, found: Invoice, line: InvoiceLine) -> pl.DataFrame:
    """The windows that a line's quantity was added up from, as they were at its cut-off."""
    start, end = found.period_of(line)
    return windows_behind(
        store,
        merchant_id=found.merchant_id,
        customer_id=found.customer_id,
        meter_id=line.meter_id,
        start=start,
        end=end,
        cutoff=found.cutoff,
    )


def as_json(found: Invoice, behind: dict[int, pl.DataFrame]) -> dict[str, Any]:
    """The invoice for programs; with windows, each line carries its explanation."""
    said = invoice_json(found)
    for line, of_line in zip(found.lines, said["lines"], strict=True):
        if line.position in behind:
            worked = explain(line)
            of_line["explanation"] = {
                "steps": [step.sum() for step in worked.steps],
                "unrounded": plain_text(worked.unrounded),
                "rounded": str(worked.rounded.decimal()),
                "agrees": worked.agrees,
                "input_hash_agrees": inputs_agree(found, line),
                "windows": [window_json(row) for row in behind[line.position].iter_rows(named=True)],
            }
    return said


def window_json(row: dict[str, Any]) -> dict[str, object]:
    """One window for programs."""
    return {
        "window_start": row["window_start"].isoformat(),
        "group_key": row["group_key"],
        "events": row["events"],
        "quantity": plain_text(row["quantity"]),
        "last_stored_at": row["last_stored_at"].isoformat(),
    }


def show_header(console: Console, found: Invoice) -> None:
    """Who owes whom, for when."""
    number = found.number or f"{found.state}, without a number"
    console.print(Text.assemble(("Invoice ", "bold"), (number, "bold"), f"  {found.invoice_id}"))
    issued = f", issued {found.issued_at.isoformat(timespec='seconds')}" if found.issued_at else ""
    console.print(Text(f"  {found.merchant} to {found.subject}, plan {found.plan}, {found.state}{issued}"))
    start, end = (moment.isoformat(timespec="seconds") for moment in (found.period_start, found.period_end))
    console.print(Text(f"  period {found.period}: from {start} to {end} (not included)"))


def show_lines(console: Console, found: Invoice) -> None:
    """Lines and totals."""
    table = Table(box=box.SIMPLE_HEAD, show_footer=True)
    table.add_column("#", justify="right")
    table.add_column("line", footer="total")
    table.add_column("model")
    table.add_column("quantity", justify="right", no_wrap=True)
    table.add_column("amount", justify="right", no_wrap=True, footer=str(found.total))
    for line in found.lines:
        quantity = with_thousands(plain_text(line.quantity))
        table.add_row(str(line.position), Text(line.description), line.model, quantity, str(line.amount))
    console.print(table)
    if found.credit.minor > 0:
        console.print(f"  The lines add up to {found.subtotal}: {found.credit} is credit for the next invoices.\n")
    elif found.credit.minor < 0:
        paid = Money(-found.credit.minor, found.credit.currency)
        console.print(f"  The lines add up to {found.subtotal}, of which earlier credit pays {paid}.\n")


def show_explanation(
    console: Console, found: Invoice, line: InvoiceLine, behind: pl.DataFrame, windows_listed: int
) -> None:
    """How one line came about."""
    worked = explain(line)
    console.print(Text.assemble((f"{line.position}. {line.description}", "bold"), f"  {line.model}"))
    show_steps(console, worked)
    if line.adjusts is not None:
        show_adjustment(console, line, worked)
    price_of = "as it was billed" if line.adjusts is not None else f"catalog version {found.catalog_version}"
    same_hash = inputs_agree(found, line)
    facts = {
        "unrounded": f"{plain_text(line.unrounded)} {found.total.currency}",
        "rounded": f"{line.amount}, half away from zero ({verdict(worked.agrees)})",
        "price": f"{line.price_id}, {price_of}",
        "cut-off": f"{found.cutoff.isoformat()} (run {found.run_id})",
        "inputs": f"sha256 {line.input_hash} ({verdict(same_hash)})",
        "usage": f"{line.events:,} events in {behind.height:,} windows of meter {line.meter} ({line.aggregation})",
    }
    for name, fact in facts.items():
        console.print(Text.assemble("   ", (f"{name:<10}", "dim"), fact), soft_wrap=True)
    show_windows(console, behind, windows_listed)
    console.print()


def show_adjustment(console: Console, line: InvoiceLine, worked: Explanation) -> None:
    """How an adjustment follows from what its period comes to now, and from what had been billed for it."""
    assert line.adjusts is not None, "only adjustments adjust"
    said = line.adjusts
    before, whole, rest = map(plain_text, (line.billed_before, worked.whole, worked.unrounded))
    facts = {
        "period": f"{line.for_period}: from {said['for_start']} to {said['for_end']} (not included)",
        "was billed": f"{before} for {said['old_quantity']}, stored until {said['billed_cutoff']}",
        "comes to": f"{whole} for {said['new_quantity']}, stored until {said['cutoff']}",
        "difference": f"{whole} - {before} = {rest}" if line.billed_before >= 0 else rest,
    }
    for name, fact in facts.items():
        console.print(Text.assemble("   ", (f"{name:<10}", "dim"), " ", fact), soft_wrap=True)


def verdict(agrees: bool) -> str:
    """What a second working out has shown."""
    return "worked out again: agrees" if agrees else "worked out again: DOES NOT AGREE"


def show_steps(console: Console, worked: Explanation) -> None:
    """The arithmetic, tier by tier."""
    if len(worked.steps) == 1:
        console.print(Text(f"   {worked.steps[0].sum()}"), soft_wrap=True)
        return
    table = Table(box=None, padding=(0, 2, 0, 0))
    for name in ("tier", "units", "quantity × unit price + flat price = amount"):
        table.add_column(name, style="" if name.startswith("quantity") else "dim")
    for step in worked.steps:
        table.add_row(str(step.tier), step.span(), step.sum())
    total = " + ".join(plain_text(step.amount) for step in worked.steps)
    console.print(Padding(table, (0, 0, 0, 3)))
    console.print(Text(f"   {total} = {plain_text(worked.whole)}"), soft_wrap=True)


def show_windows(console: Console, behind: pl.DataFrame, listed: int) -> None:
    """The first windows behind a line."""
    for row in behind.head(listed).iter_rows(named=True):
        start = row["window_start"].strftime("%Y-%m-%d %H:%M")
        quantity = with_thousands(plain_text(row["quantity"]))
        console.print(Text(f"             {start}  {row['events']:>6,} events  {quantity:>16}  {row['group_key']}"))
    if behind.height > listed:
        console.print(f"             … {behind.height - listed:,} more; --windows lists more, --json all", style="dim")


def with_thousands(digits: str) -> str:
    """A plain number with commas before its point."""
    whole, point, fraction = digits.partition(".")
    return f"{int(whole):,}{point}{fraction}" if whole.lstrip("-") != "0" else digits
