"""``millrace prices``: subscriptions get another version of a price, and before that its effect in money."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from typing import Annotated, Any

import orjson
import typer
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from api.price_migration import AMOUNTS, effect_json, read_wish
from core.clock import SystemClock
from core.db import transaction
from rating.migrate_prices import migrate_prices, preview_migration
from runtime.commands.usage import merchant_codes, merchant_id
from runtime.settings import load_settings
from runtime.wiring import open_books, open_usage_store

SHOWN_MAX = 50

prices_app = typer.Typer(no_args_is_help=True)


# With a callback Typer keeps the one command's name.
@prices_app.callback()
def prices() -> None:
    """Give subscriptions another version of a price."""


@prices_app.command()
def migrate(
    *,
    merchant: Annotated[str, typer.Option(help="Whose plan it is: the merchant's code or id.")],
    plan: Annotated[str, typer.Option(help="The plan's code.")],
    meter: Annotated[str, typer.Option(help="The meter's or SKU's code.")],
    from_: Annotated[str, typer.Option("--from", help="Periods that begin on this day or later change.")],
    to: Annotated[str | None, typer.Option(help="The version's own 'from' day; without it the first version.")] = None,
    preview: Annotated[bool, typer.Option("--preview", help="Only show what it would change.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Say it as one line of JSON.")] = False,
) -> None:
    """Give all subscriptions of a plan another version of the price of a meter.

    --preview rates the last ended period of each with its real usage at both prices. Periods that were billed keep
    their price: a day that would change one is refused.
    """
    settings = load_settings()
    with ExitStack() as opened:
        books = open_books(settings)
        opened.callback(books.dispose)
        with transaction(books) as connection:
            owner = merchant_id(connection, merchant, merchant_codes(connection))
        wish, _ = read_wish(owner, {"plan": plan, "meter": meter, "to": to, "from": from_})
        if preview:
            store = open_usage_store(settings)
            opened.callback(store.close)
            told = effect_json(preview_migration(books, store, wish, SystemClock().now()))
        else:
            count, version = migrate_prices(books, wish)
            told = {"migrated": count, "catalog_version": version}
    if json:
        sys.stdout.write(orjson.dumps(told).decode() + "\n")
    elif preview:
        show(told)
    else:
        sys.stdout.write(f"catalog version {told['catalog_version']}: {told['migrated']} subscriptions migrated\n")


def show(told: dict[str, Any]) -> None:
    """The effect as a table."""
    console = Console()
    table = Table(box=box.SIMPLE)
    for name in ("customer", "period", "now", "then", "difference"):
        table.add_column(name)
    for row in told["subscriptions"][:SHOWN_MAX]:
        period = row["period_start"][:10] if row["period_start"] else "none has ended"
        old, new, more = (row[name] or "" for name in AMOUNTS)
        difference = row["problem"] or (f"{more} {row['currency']}" if more else "")
        table.add_row(*map(Text, (row["subject"], period, old, new, difference)))
    console.print(table)
    if (left := len(told["subscriptions"]) - SHOWN_MAX) > 0:
        console.print(f"{left:,} more: --json has all of them")
    for code, total in told["totals"].items():
        console.print(f"{code}: {total['old_amount']} -> {total['new_amount']}, difference {total['amount']}")
