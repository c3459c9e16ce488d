"""``millrace event``: what became of one event."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Annotated

import orjson
import typer
from rich.console import Console
from rich.text import Text
from sqlalchemy import Engine

from api.event_fate import EventFate, event_fate, fate_json
from api.find_copies import owners_of
from clickhouse.client import UsageStore
from core.db import transaction
from core.errors import Refused
from core.quantity import plain_text
from runtime.commands.usage import merchant_codes, merchant_id
from runtime.settings import load_settings
from runtime.wiring import open_books, open_usage_store


def event(
    event_id: Annotated[str, typer.Argument(metavar="ID", help="The event's id, as its sender gave it.")],
    *,
    merchant: Annotated[
        str | None, typer.Option(help="The merchant's code or id, where several have such an event.")
    ] = None,
    source: Annotated[str | None, typer.Option(help="The event's source, where several have such an event.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Say it as one line of JSON.")] = False,
) -> None:
    """Tell what became of an event: where it lies, its block, its windows, its invoice lines, or why not."""
    settings = load_settings()
    with ExitStack() as opened:
        books, store = open_books(settings), open_usage_store(settings)
        opened.callback(books.dispose)
        opened.callback(store.close)
        owner, code = owner_of(books, store, event_id, merchant)
        found = event_fate(books, store, settings.topic, merchant_id=owner, event_id=event_id, source=source)
    if json:
        print(orjson.dumps({"merchant": code, **fate_json(found)}).decode())
        return
    show(Console(highlight=False, soft_wrap=True), code, found)


def owner_of(books: Engine, store: UsageStore, event_id: str, merchant: str | None) -> tuple[str, str]:
    """The id and code of the merchant meant: the one named, or the only one that has such an event."""
    with transaction(books) as connection:
        codes = merchant_codes(connection)
        if merchant is not None:
            owner = merchant_id(connection, merchant, codes)
            return owner, codes[owner]
    owners = owners_of(store, event_id)
    if not owners:
        raise Refused("event_unknown", f"no event {event_id!r} was stored", status=404)
    if len(owners) > 1:
        named = ", ".join(sorted(codes.get(owner, owner) for owner in owners)[:10])
        raise Refused("merchant_needed", f"{len(owners)} merchants have an event {event_id!r}: name one of {named}")
    return owners[0], codes.get(owners[0], owners[0])


def show(console: Console, code: str, found: EventFate) -> None:
    """The answer for people."""
    first = found.first
    source = f" from {first.source}" if first.source else ""
    console.print(
        Text.assemble(("event ", "bold"), (first.event_id, "bold"), f"{source} of {code}: ", (found.fate, "bold"))
    )
    console.print(Text(f"  {found.explanation}"))
    console.print(Text(f"  {first.type} of {first.subject}, occurred at {first.occurred_at.isoformat()}"))
    for copy in found.copies:
        place, block = copy.place, copy.block
        console.print(
            Text(
                f"  copy: {copy.fate}{f' ({copy.reason})' if copy.reason else ''}, received at "
                f"{copy.received_at.isoformat()}; incarnation {place.incarnation}, partition {place.partition}, "
                f"offset {place.offset}, position {place.position}; block {block.first} to {block.last}, {block.state}"
                + (f" at {block.sealed_at.isoformat()}" if block.sealed_at else "")
            )
        )
    for window in found.windows:
        brought = window.value if window.quantity is None else plain_text(window.quantity)
        group = f" {window.group}" if window.group else ""
        console.print(
            Text(f"  window: {window.meter} ({window.aggregation}) {window.minute:%Y-%m-%d %H:%M}{group}: {brought}")
        )
    for bill in found.bills:
        amount = "" if bill.line is None else f" ({plain_text(bill.line.quantity)} for {bill.line.amount} in all)"
        console.print(Text(f"  {bill.meter}: {bill.outcome}, {bill.why}{amount}"))
