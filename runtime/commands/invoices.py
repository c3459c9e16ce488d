"""``millrace invoices``: list invoices."""

from __future__ import annotations

from typing import Annotated

import orjson
import typer
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from core.db import transaction
from invoicing.find import Filter, Total, list_invoices, total_invoices
from invoicing.invoice import Invoice, header_json
from runtime.settings import load_settings
from runtime.wiring import open_books


def invoices(
    merchant: Annotated[str | None, typer.Option(help="Only this merchant's, by its code.")] = None,
    period: Annotated[str | None, typer.Option(help="Only of periods that began in this month.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="The most to list.")] = 100,
    json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """List invoices with their numbers and totals."""
    wanted = Filter(merchant, period)
    books = open_books(load_settings())
    try:
        with transaction(books) as connection:
            found = list_invoices(connection, wanted, limit)
            totals = total_invoices(connection, wanted)
    finally:
        books.dispose()
    if json:
        for invoice in found:
            print(orjson.dumps(header_json(invoice)).decode())
        return
    show(found, totals)


def show(found: list[Invoice], totals: list[Total]) -> None:
    """The list for people."""
    console = Console(highlight=False)
    table = Table(box=box.SIMPLE_HEAD)
    for name in ("number", "merchant", "customer", "plan", "period", "state"):
        table.add_column(name, no_wrap=name in {"number", "period", "state"})
    table.add_column("total", justify="right", no_wrap=True)
    for invoice in found:
        number = Text(invoice.number) if invoice.number else Text(invoice.invoice_id, style="dim", overflow="fold")
        names = (Text(name) for name in (invoice.merchant, invoice.subject, invoice.plan))
        table.add_row(number, *names, invoice.period, invoice.state, str(invoice.total))
    console.print(table)
    for total in totals:
        console.print(f"  {total.count:>9,} {total.state:<10} {total.amount}")
    if sum(total.count for total in totals) > len(found):
        console.print(f"  the first {len(found):,} are listed; --limit lists more")
