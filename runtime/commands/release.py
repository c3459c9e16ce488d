"""``millrace release`` and ``millrace releaser``: held events counted at last, once or on a schedule."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Annotated

import orjson
import typer

from core.clock import SystemClock
from core.logs import configure_logs
from runtime.release.schedule import release_for_ever
from runtime.release.send import LogSender
from runtime.release.turn import ReleaseParts, Turn, release_turn
from runtime.settings import Settings, load_settings, load_stack_settings
from runtime.stop_signals import stopping_event
from runtime.wiring import open_books, open_usage_store

EVERY_S = 60


def release(json: Annotated[bool, typer.Option("--json", help="Say it as one line of JSON.")] = False) -> None:
    """Count what waited and can be counted now: events of meters and customers that are known by now.

    Retractions and amendments whose event has come are sent again too, and backfills that are being closed or
    reverted go on. `millrace up` does all of this by itself. Safe to repeat.
    """
    with opened(load_settings()) as parts:
        sender = parts.open_sender()
        try:
            turn = release_turn(parts, sender)
        finally:
            sender.close()
    tell(turn, as_json=json)


def tell(turn: Turn, *, as_json: bool) -> None:
    """Say what was sent."""
    if as_json:
        said = {"events": turn.events, "corrections": turn.corrections, "backfilled": turn.backfilled}
        print(orjson.dumps(said | {"backfills_ended": turn.ended}).decode())
        return
    print(f"{turn.events:,} held events, {turn.corrections:,} held corrections, {turn.backfilled:,} of backfills")


def releaser(
    every_s: Annotated[int | None, typer.Option("--every", min=1, help="Seconds from one turn to the next.")] = None,
) -> None:
    """Release on a schedule until SIGTERM: soon after the catalog changed, and every minute."""
    configure_logs()
    stopping = stopping_event()
    with opened(load_settings()) as parts:
        release_for_ever(parts, every_s or load_stack_settings().release_every_s or EVERY_S, stopping)


@contextmanager
def opened(settings: Settings) -> Iterator[ReleaseParts]:
    """The stores and the log of the running stack."""
    with ExitStack() as stack:
        books, store = open_books(settings), open_usage_store(settings)
        stack.callback(books.dispose)
        stack.callback(store.close)
        yield ReleaseParts(
            books,
            store,
            settings.topic,
            SystemClock(),
            lambda: LogSender(settings.kafka, settings.topic, settings.partitions),
        )
