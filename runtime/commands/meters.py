"""``millrace meters``: a new or changed meter counts the events that are there already."""

from __future__ import annotations

from typing import Annotated

import orjson
import typer
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from core.db import transaction
from core.quantity import plain_text
from runtime.commands.bars import counting_bar
from runtime.commands.release import opened
from runtime.commands.usage import merchant_codes, merchant_id, read_instant
from runtime.fill.run import Filled, find_meter
from runtime.fill.run import fill as fill_meter
from runtime.fill.spans import EARLIEST, LATEST
from runtime.settings import load_settings

SHOWN_MAX = 50

meters_app = typer.Typer(no_args_is_help=True)


# With a callback Typer keeps the one command's name.
@meters_app.callback()
def meters() -> None:
    """Let a new or changed meter count the events that are there."""


@meters_app.command()
def fill(
    meter: Annotated[str, typer.Argument(metavar="METER", help="The meter's code.")],
    *,
    merchant: Annotated[str, typer.Option(help="Whose meter it is: the merchant's code or id.")],
    from_: Annotated[str | None, typer.Option("--from", help="The first day or instant; all stored events.")] = None,
    to: Annotated[str | None, typer.Option("--to", help="The day or instant before which to stop.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Say it as one line of JSON.")] = False,
) -> None:
    """Count all stored events of a span anew, as the meter is defined now, in the place of what it counted before.

    For a meter that was added or edited after its events. Safe to repeat. Periods that are billed are not changed:
    what differs goes on later invoices by the merchant's policy.
    """
    since = read_instant(from_, "UTC") if from_ else EARLIEST
    until = read_instant(to, "UTC") if to else LATEST
    with opened(load_settings()) as parts, counting_bar(quiet=json) as bar:
        with transaction(parts.books) as connection:
            owner = merchant_id(connection, merchant, merchant_codes(connection))
        found, types = find_meter(parts.books, owner, meter)
        task = bar.add_task("filling")
        sender = parts.open_sender()
        try:
            done = fill_meter(
                parts,
                sender,
                found,
                types,
                (since, until),
                on_spans=lambda count: bar.update(task, total=count),
                on_done=lambda count: bar.advance(task, count),
            )
        finally:
            sender.close()
    tell(done, as_json=json)


def tell(done: Filled, *, as_json: bool) -> None:
    """Say what changed."""
    if as_json:
        changed = [
            {
                "customer": one.subject,
                "events_before": one.events_before,
                "events": one.events,
                "quantity_before": plain_text(one.quantity_before),
                "quantity": plain_text(one.quantity),
            }
            for one in done.changed
        ]
        said = {"fill_id": done.fill_id, "meter": done.meter.code, "spans": done.spans, "changed": changed}
        print(orjson.dumps(said).decode())
        return
    console = Console(highlight=False)
    console.print(f"{done.meter.code}: {done.spans:,} spans filled, usage of {len(done.changed):,} customers changed")
    if not done.changed:
        return
    table = Table("customer", "events before", "events", "quantity before", "quantity", box=box.SIMPLE)
    for one in done.changed[:SHOWN_MAX]:
        numbers = (str(one.events_before), str(one.events), plain_text(one.quantity_before), plain_text(one.quantity))
        table.add_row(Text(one.subject), *numbers)
    console.print(table)
    if len(done.changed) > SHOWN_MAX:
        console.print(f"and {len(done.changed) - SHOWN_MAX:,} more; --json lists all")
