"""``millrace retract`` and ``millrace amend``: corrections through the public door, followed to their fate."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import orjson
import typer
from rich.console import Console
from rich.text import Text

from api.find_copies import owners_of
from clickhouse.client import UsageStore
from core.clock import SystemClock
from core.db import transaction
from core.errors import Refused
from core.ids import new_id
from runtime.commands.usage import merchant_codes, merchant_id
from runtime.corrections.fates import Outcome, await_fates
from runtime.corrections.send import Item, amendments, retractions, send_items, sources_of
from runtime.settings import load_settings
from runtime.wiring import open_books, open_usage_store

# The door refused some; all others went out.
EXIT_REFUSED_SOME = 3
FILE_BYTES_MAX = 64 * 1024 * 1024

Merchant = Annotated[str | None, typer.Option(help="The merchant's code or id, where several have such an event.")]
Gateway = Annotated[str | None, typer.Option(help="The gateway's address; that of the running stack.")]
NoWait = Annotated[bool, typer.Option("--no-wait", help="Do not wait until it is stored.")]
WaitS = Annotated[float, typer.Option("--wait", min=0, help="Seconds to wait until it is stored.")]
AsJson = Annotated[bool, typer.Option("--json", help="Say it as one line of JSON.")]

# Which corrections of a merchant (by its id) to send under an id.
Make = Callable[[UsageStore, str, str], list[Item]]


def retract(
    ids: Annotated[list[str], typer.Argument(metavar="ID...", help="The events' ids, as their sender gave them.")],
    *,
    source: Annotated[str | None, typer.Option(help="Their source, where several have such an event.")] = None,
    merchant: Merchant = None,
    reason: Annotated[str, typer.Option(help="Why; it is kept in the log.")] = "",
    gateway: Gateway = None,
    no_wait: NoWait = False,
    wait: WaitS = 30,
    json: AsJson = False,
) -> None:
    """Take events back: they count no more, in no window and on no invoice that is still to come.

    Safe to repeat. An event that was not sent yet is retracted as soon as it comes. Ends with exit code 3 when the
    gateway refused some.
    """

    def make(store: UsageStore, owner: str, correction_id: str) -> list[Item]:
        return retractions(sources_of(store, owner, ids, source), correction_id, reason)

    correct(ids, make, merchant, gateway, 0 if no_wait else wait, as_json=json)


def amend(
    *,
    file: Annotated[Path, typer.Option(help="The events as they should have been: JSON or NDJSON; - reads stdin.")],
    merchant: Merchant = None,
    gateway: Gateway = None,
    no_wait: NoWait = False,
    wait: WaitS = 30,
    json: AsJson = False,
) -> None:
    """Replace what events say, under the ids that they have: the old content counts no more, the new one does.

    Safe to repeat. Ends with exit code 3 when the gateway refused some.
    """
    text = read_events(file)
    ids = [item.event_id for item in amendments(text, "")]

    def make(_store: UsageStore, _owner: str, correction_id: str) -> list[Item]:
        return amendments(text, correction_id)

    correct(ids, make, merchant, gateway, 0 if no_wait else wait, as_json=json)


def correct(
    ids: Sequence[str], make: Make, merchant: str | None, gateway: str | None, wait_s: float, *, as_json: bool
) -> None:
    """Send corrections, wait for their fates, and say what became of them."""
    settings, clock = load_settings(), SystemClock()
    correction_id = new_id("cor")
    with ExitStack() as opened:
        books, store = open_books(settings, pool_size=2), open_usage_store(settings)
        opened.callback(books.dispose)
        opened.callback(store.close)
        with transaction(books) as connection:
            codes = merchant_codes(connection)
            owner = merchant_id(connection, merchant, codes) if merchant else owner_of_all(store, ids, codes)
        items = make(store, owner, correction_id)
        url = (gateway or settings.gateway_url).rstrip("/")
        refused = send_items(books, url, codes[owner], items, clock)
        accepted = [item for place, item in enumerate(items) if place not in refused]
        outcomes = await_fates(
            books,
            store,
            settings.topic,
            clock,
            merchant_id=owner,
            correction_id=correction_id,
            items=accepted,
            wait_s=wait_s,
        )
    tell(codes[owner], correction_id, outcomes, {items[place].event_id: why for place, why in refused.items()}, as_json)
    if refused:
        raise typer.Exit(EXIT_REFUSED_SOME)


def owner_of_all(store: UsageStore, ids: Sequence[str], codes: dict[str, str]) -> str:
    """The only merchant that has these events; raises ``Refused`` when that is not clear."""
    owners = {owner for event_id in ids[:100] for owner in owners_of(store, event_id)}
    if len(owners) == 1:
        return owners.pop()
    if not owners:
        raise Refused("merchant_needed", "no such event was stored: give --merchant", status=404)
    named = ", ".join(sorted(codes.get(owner, owner) for owner in owners)[:10])
    raise Refused("merchant_needed", f"several merchants have such events: give --merchant, one of {named}")


def read_events(file: Path) -> bytes:
    """The bytes of a file of events, or of standard input."""
    try:
        with sys.stdin.buffer if str(file) == "-" else file.open("rb") as source:
            text: bytes = source.read(FILE_BYTES_MAX + 1)
    except OSError as error:
        raise Refused("file_unreadable", f"cannot read {file}: {error.strerror}") from error
    if len(text) > FILE_BYTES_MAX:
        raise Refused("file_too_large", f"a file of events may take {FILE_BYTES_MAX} bytes: split it")
    return text


def tell(
    merchant: str, correction_id: str, outcomes: Sequence[Outcome], refused: dict[str, tuple[str, str]], as_json: bool
) -> None:
    """Say what became of each."""
    if as_json:
        said = {
            "merchant": merchant,
            "correction_id": correction_id,
            "corrections": [
                {
                    "id": one.event_id,
                    "source": one.source,
                    "action": one.action,
                    "fate": one.fate or None,
                    "reason": one.reason or None,
                    "said": one.said,
                }
                for one in outcomes
            ],
            "refused": [{"id": one, "code": code, "message": words} for one, (code, words) in refused.items()],
        }
        print(orjson.dumps(said).decode())
        return
    console = Console(highlight=False, soft_wrap=True)
    for one in outcomes:
        source = f" from {one.source}" if one.source else ""
        console.print(Text.assemble((one.event_id, "bold"), f"{source} of {merchant}: {one.said}"))
    for event_id, (code, words) in refused.items():
        console.print(Text(f"{event_id}: refused, {words} ({code})"))
    if any(not one.fate for one in outcomes):
        console.print(f"[dim]ask later: millrace event ID --merchant {merchant}[/]")
