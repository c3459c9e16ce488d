"""``millrace replay``: windows made again from the stored events, into the same bytes."""

from __future__ import annotations

import sys
from datetime import datetime
from typing import Annotated, Any

import orjson
import typer
from rich.console import Console
from rich.text import Text
from sqlalchemy import Engine

from core.clock import SystemClock
from core.db import transaction
from core.errors import Refused
from runtime.commands.audit import opened
from runtime.commands.bars import counting_bar
from runtime.commands.usage import merchant_codes, merchant_id, read_instant
from runtime.keep_memory import keep_memory
from runtime.replay.choose import Wanted
from runtime.replay.run import Replayed, replay
from runtime.watcher import Watcher

EXIT_DIFFERS = 1
SHOWN_MAX = 10


def replay_command(
    *,
    since: Annotated[str | None, typer.Option("--from", help="Events of this day or instant, and later.")] = None,
    until: Annotated[str | None, typer.Option("--to", help="Events before this day or instant.")] = None,
    merchant: Annotated[str | None, typer.Option(help="Only blocks with events of this merchant (code or id).")] = None,
    topic: Annotated[str | None, typer.Option(help="Another topic than the one in the settings.")] = None,
    partition: Annotated[int | None, typer.Option(min=0, help="Only this partition.")] = None,
    check: Annotated[bool, typer.Option("--check", help="Only compare; change nothing.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Say it as one line of JSON.")] = False,
) -> None:
    """Make windows again from the stored events, block by block, and put right those that differ.

    Without a span: all of them, as after TRUNCATE usage_windows. What is written has the digest that was sealed. Ends
    with exit code 1 when --check finds differences, or when a block's events are damaged.
    """
    keep_memory()
    clock = SystemClock()
    span = [None if text is None else read_instant(text, "UTC") for text in (since, until)]
    if span[0] and span[1] and span[0] >= span[1]:
        raise Refused("span_empty", "--from must lie before --to")
    began_s = clock.steady_s()
    with opened() as parts, counting_bar(quiet=json) as bar:
        wanted = Wanted(topic or parts.topic, span[0], span[1], id_of(parts.books, merchant), partition)
        task = bar.add_task("checking" if check else "replaying", total=None)
        watcher = Watcher(
            total=lambda events: bar.update(task, total=events), done=lambda events: bar.update(task, advance=events)
        )
        done = replay(parts, wanted, write=not check, watcher=watcher)
    said = summary(done, wanted, check=check, seconds=clock.steady_s() - began_s)
    if json:
        sys.stdout.write(orjson.dumps(said).decode() + "\n")
    else:
        show(said, done)
    if not said["ok"]:
        raise typer.Exit(EXIT_DIFFERS)


def id_of(books: Engine, merchant: str | None) -> str | None:
    """The id of a merchant named by code or id; raises ``Refused`` when there is none."""
    if merchant is None:
        return None
    with transaction(books) as connection:
        return merchant_id(connection, merchant, merchant_codes(connection))


def summary(done: Replayed, wanted: Wanted, *, check: bool, seconds: float) -> dict[str, Any]:
    """What came of it, for programs."""
    return {
        "ok": not done.damaged and not (check and done.stale),
        "check": check,
        "topic": wanted.topic,
        "partition": wanted.partition,
        "merchant_id": wanted.merchant_id,
        "from": instant(wanted.since),
        "to": instant(wanted.until),
        "blocks": done.blocks,
        "events": done.events,
        "equal": done.equal,
        "differing": len(done.stale),
        "replaced": 0 if check else len(done.stale),
        "damaged": [block.place for block in done.damaged],
        "seconds": round(seconds, 1),
        "events_per_second": round(done.events / max(seconds, 0.001)),
    }


def instant(at: datetime | None) -> str | None:
    """An instant for programs."""
    return None if at is None else at.isoformat()


def show(said: dict[str, Any], done: Replayed) -> None:
    """The same for people, and what to do next."""
    console = Console(highlight=False, soft_wrap=True)
    what = "differ" if said["check"] else "replaced"
    console.print(
        f"{said['blocks']:,} blocks looked at with {said['events']:,} events: {said['equal']:,} equal, "
        f"{said['differing']:,} {what}, {len(done.damaged):,} damaged; "
        f"{said['seconds']} s, {said['events_per_second']:,} events a second"
    )
    if said["check"] and done.stale:
        console.print("  write them again: millrace replay, with the same options and without --check")
    for block in done.damaged[:SHOWN_MAX]:
        console.print(Text(f"  {block}: its events are not those that were sealed; left as it is"))
    if done.damaged:
        console.print("  mend the events first: millrace audit --repair")
