"""``millrace dead-letters``: what the stream could not count, and what becomes of it."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Annotated, Any

import orjson
import typer
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text
from sqlalchemy import Engine

from core.clock import SystemClock
from core.db import transaction
from core.errors import Refused
from runtime.dead_letters.decide import discard as discard_letters
from runtime.dead_letters.letters import Filter, Letter, State, count_letters, find_letters, list_letters
from runtime.dead_letters.requeue import requeue as requeue_letters
from runtime.settings import Settings, load_settings
from runtime.wiring import open_books

# The door refused some letters; all others went out.
EXIT_REFUSED_SOME = 3
SHOWN_BYTES_MAX = 400

AsJson = Annotated[bool, typer.Option("--json", help="Say it as JSON.")]
Ids = Annotated[list[str], typer.Argument(metavar="ID...", help="As 'dead-letters list' shows them: dlt_…")]

dead_letters_app = typer.Typer(no_args_is_help=True)


@contextmanager
def books_of(settings: Settings) -> Iterator[Engine]:
    """The books, until the block ends."""
    books = open_books(settings, pool_size=2)
    try:
        yield books
    finally:
        books.dispose()


@dead_letters_app.command("list")
def list_all(
    *,
    merchant: Annotated[str | None, typer.Option(help="Only this merchant's, by its code.")] = None,
    code: Annotated[str | None, typer.Option(help="Only of this code, such as value_not_numeric.")] = None,
    state: Annotated[State, typer.Option(help="Only in this state.")] = "waiting",
    any_state: Annotated[bool, typer.Option("--all", help="In whatever state.")] = False,
    limit: Annotated[int, typer.Option(min=1, help="How many to list at most.")] = 50,
    json: AsJson = False,
) -> None:
    """List dead letters, the youngest first: why they lie there, where they came from and whose they are."""
    wanted = Filter(merchant, code, None if any_state else state)
    with books_of(load_settings()) as books, transaction(books) as connection:
        found, total = list_letters(connection, wanted, limit), count_letters(connection, wanted)
    if json:
        print(orjson.dumps([as_json(letter, whole=False) for letter in found]).decode())
        return
    table = Table("id", "age", "state", "code", "reason", "merchant", "event", "place", box=box.SIMPLE)
    now = SystemClock().now()
    for letter in found:
        table.add_row(*map(Text, row_of(letter, now)))
    console = Console(highlight=False)
    console.print(table if found else "No dead letters.")
    if total > len(found):
        console.print(f"{len(found):,} of {total:,}; --limit lists more")


@dead_letters_app.command()
def show(dead_letter_id: Annotated[str, typer.Argument(metavar="ID")], json: AsJson = False) -> None:
    """Show a letter with all that came: the event, or the bytes in which nobody could find one."""
    with books_of(load_settings()) as books, transaction(books) as connection:
        (letter,) = find_letters(connection, [dead_letter_id])
    if json:
        print(orjson.dumps(as_json(letter, whole=True)).decode())
        return
    console = Console(highlight=False, soft_wrap=True)
    for name, value in as_json(letter, whole=False).items():
        console.print(Text.assemble((f"{name:<15}", "dim"), str(value)))
    if letter.payload is not None:
        console.print(Text(orjson.dumps(letter.payload, option=orjson.OPT_INDENT_2).decode()))
    if letter.raw is not None:
        console.print(Text(f"{len(letter.raw):,} bytes: {letter.raw[:SHOWN_BYTES_MAX]!r}"))


@dead_letters_app.command()
def requeue(
    ids: Ids,
    *,
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="PROPERTY=VALUE", help="Mend a property of each event.")
    ] = None,
    gateway: Annotated[str | None, typer.Option(help="The gateway's address; that of the running stack.")] = None,
    json: AsJson = False,
) -> None:
    """Send events again through the gateway, under the ids they had, and mark them once it has answered.

    Safe to repeat: an event that went out twice is stored once. Ends with exit code 3 when the gateway refused some.
    """
    settings = load_settings()
    with books_of(settings) as books:
        url = (gateway or settings.gateway_url).rstrip("/")
        done = requeue_letters(books, url, SystemClock(), ids, read_changes(set_ or []))
    if json:
        refused = [{"id": one, "code": code, "message": said} for one, (code, said) in done.refused.items()]
        said = {"requeued": done.accepted, "refused": refused, "requeued_before": done.before}
        print(orjson.dumps(said).decode())
    else:
        console = Console(highlight=False, soft_wrap=True)
        before = f", {len(done.before):,} had been before" if done.before else ""
        console.print(f"[bold]{len(done.accepted):,} sent again[/]{before}")
        for one, (code, message) in done.refused.items():
            console.print(Text(f"  {one}: {message} ({code})"))
    if done.refused:
        raise typer.Exit(EXIT_REFUSED_SOME)


@dead_letters_app.command()
def discard(
    ids: Ids, *, reason: Annotated[str, typer.Option(help="Why; it stays in the books.")], json: AsJson = False
) -> None:
    """Give letters up, for a reason that is kept. The letters themselves stay."""
    with books_of(load_settings()) as books, transaction(books) as connection:
        count = discard_letters(connection, ids, reason)
    if json:
        print(orjson.dumps({"discarded": count}).decode())
    else:
        print(f"{count:,} discarded")


def read_changes(texts: list[str]) -> dict[str, str]:
    """``property=value`` texts by property; raises ``Refused`` for anything else."""
    changes: dict[str, str] = {}
    for text in texts:
        name, sign, value = text.partition("=")
        if not sign or not name:
            raise Refused("set_invalid", f"--set takes PROPERTY=VALUE, not {text!r}")
        changes[name] = value
    return changes


def row_of(letter: Letter, now: datetime) -> tuple[str, ...]:
    """A letter as a table shows it."""
    event_id = letter.event_id if letter.payload is not None else "(unreadable)"
    age = short_age(now - letter.created_at)
    place = place_of(letter)
    return letter.dead_letter_id, age, letter.state, letter.code, letter.message, letter.merchant, event_id, place


def place_of(letter: Letter) -> str:
    """Where a letter came from: partition, offset, and the event's place in its message."""
    within = f"#{letter.position}" if letter.position >= 0 else ""
    return f"{letter.partition}@{letter.kafka_offset}{within}"


def short_age(age: timedelta) -> str:
    """An age in its largest unit."""
    seconds = max(0, int(age.total_seconds()))
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"


def as_json(letter: Letter, *, whole: bool) -> dict[str, Any]:
    """A letter for programs; the whole one has its event or its bytes in base64."""
    said = {
        "id": letter.dead_letter_id,
        "state": letter.state,
        "code": letter.code,
        "reason": letter.message,
        "merchant": letter.merchant,
        "event_id": letter.event_id,
        "topic": letter.topic,
        "incarnation": letter.incarnation,
        "partition": letter.partition,
        "offset": letter.kafka_offset,
        "position": letter.position,
        "created_at": letter.created_at.isoformat(),
        "decided_at": letter.decided_at.isoformat() if letter.decided_at else None,
        "set": letter.changes,
        "discarded_because": letter.reason,
    }
    if not whole:
        return said
    raw = base64.b64encode(letter.raw).decode() if letter.raw is not None else None
    return {**said, "event": letter.payload, "raw_base64": raw}
