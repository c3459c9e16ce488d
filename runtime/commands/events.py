"""``millrace events``: a merchant's events, the newest first."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from typing import Annotated

import orjson
import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from api.list_events import EventsPage, EventsQuestion, Fate, list_events
from core.db import transaction
from runtime.commands.usage import merchant_codes, merchant_id, read_instant
from runtime.settings import load_settings
from runtime.wiring import open_books, open_usage_store

PIPED_WIDTH = 200


def events(
    *,
    merchant: Annotated[str, typer.Option(help="The merchant's code or id.")],
    subject: Annotated[str | None, typer.Option(help="Only of this customer, by the merchant's own key.")] = None,
    type_: Annotated[str | None, typer.Option("--type", help="Only of this type.")] = None,
    fate: Annotated[Fate | None, typer.Option(help="Only of this fate.")] = None,
    from_: Annotated[
        str | None, typer.Option("--from", help="Occurred on this day or later (UTC), or an instant.")
    ] = None,
    to: Annotated[str | None, typer.Option("--to", help="Occurred before this day or instant.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1_000, help="Events a page.")] = 50,
    cursor: Annotated[str | None, typer.Option(help="Go on where a page ended.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Say it as one line of JSON.")] = False,
) -> None:
    """List events and every copy of them, with what became of each."""
    question = EventsQuestion(
        subject=subject,
        type=type_,
        fate=fate,
        since=read_instant(from_, "UTC") if from_ else None,
        before=read_instant(to, "UTC") if to else None,
    )
    settings = load_settings()
    with ExitStack() as opened:
        books, store = open_books(settings), open_usage_store(settings)
        opened.callback(books.dispose)
        opened.callback(store.close)
        with transaction(books) as connection:
            owner = merchant_id(connection, merchant, merchant_codes(connection))
        page = list_events(
            books, store, settings.topic, merchant_id=owner, question=question, limit=limit, cursor=cursor
        )
    if json:
        said = {"until": page.until, "events": page.events, "next_cursor": page.next_cursor}
        print(orjson.dumps(said).decode())
        return
    show(page)


def show(page: EventsPage) -> None:
    """A page for people."""
    console = Console(width=None if sys.stdout.isatty() else PIPED_WIDTH, highlight=False)
    if not page.events:
        console.print("No events.")
        return
    table = Table(title=f"Events, as stored until {page.until:%Y-%m-%d %H:%M:%S} UTC")
    for name in ("stored", "id", "type", "customer", "occurred", "fate", "reason"):
        table.add_column(name, overflow="fold")
    for event in page.events:
        cells = (
            event["stored_at"][:19],
            event["id"],
            event["type"],
            event["subject"],
            event["occurred_at"][:19],
            event["fate"],
            event["reason"] or "",
        )
        # Names come from outside: as Text they are shown, not read as markup.
        table.add_row(*map(Text, cells))
    console.print(table)
    if page.next_cursor:
        console.print(f"more: --cursor {page.next_cursor}", soft_wrap=True)
