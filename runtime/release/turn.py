"""One turn of releasing: what can be counted now is sent, and seen to be stored before the next turn looks again.

    1. moving backfills   events of closing ones are released, of reverting ones taken back; then they are ended
    2. held events        whose meter and customer are there by now
    3. held corrections   whose event has come by now

Killed anywhere, the next turn finds what is left. Sending something twice does no harm: the second is a duplicate.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import pyarrow as pa
from sqlalchemy import Engine, text

from clickhouse.client import UsageStore
from core.clock import Clock
from core.db import transaction
from core.errors import Conflict, Transient
from core.ids import new_id
from ingest.backfill import MOVING, Backfill, end, find_backfill, list_backfills
from runtime.release.find import EPOCH, find_held, find_met
from runtime.release.find_backfilled import to_release, to_retract
from runtime.release.send import LogSender, Sent, wait_until_sealed

ROWS_AT_ONCE = 40_000
ROWS_MAX = 1_000_000
PASSES_MAX = 1_000
# Sent but not seen to be stored, at most: what a crash would send a second time.
UNSEALED_MAX = 50_000
# An event that was on its way when its backfill was decided may come a little later.
STRAGGLERS = timedelta(hours=1)
TRY_LOCK = text("SELECT pg_try_advisory_xact_lock(hashtextextended(:name, 0))")

OnMoved = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class ReleaseParts:
    """The stores, the log to send to, and how much one turn may send."""

    books: Engine
    store: UsageStore
    topic: str
    clock: Clock
    open_sender: Callable[[], LogSender]
    rows_at_once: int = ROWS_AT_ONCE
    rows_max: int = ROWS_MAX


@dataclass(slots=True)
class Turn:
    """What a turn sent: held events, held corrections, and events of backfills. ``ended`` names backfills."""

    events: int = 0
    corrections: int = 0
    backfilled: int = 0
    ended: list[str] = field(default_factory=list)

    @property
    def sent(self) -> int:
        """All of it."""
        return self.events + self.corrections + self.backfilled


def release_turn(parts: ReleaseParts, sender: LogSender, since: datetime = EPOCH) -> Turn:
    """One turn, over the events that were held ``since``.

    Raises ``Conflict`` when another one is under way, and ``Transient``.
    """
    turn = Turn()
    with sole_turn(parts):
        with transaction(parts.books) as connection:
            moving = list_backfills(connection, states=MOVING)
            ended = list_backfills(connection, states=("closed", "reverted"))
        recent = parts.clock.now() - STRAGGLERS
        for backfill in (*moving, *(one for one in ended if one.ended_at and one.ended_at > recent)):
            turn.backfilled += move(parts, sender, backfill)
            if finish(parts, backfill):
                turn.ended.append(backfill.backfill_id)
        closed = [one.backfill_id for one in ended if one.state == "closed"]
        batches = find_held(
            parts.books,
            parts.store,
            parts.topic,
            closed=[*closed, *turn.ended],
            release_id=new_id("rel"),
            rows=parts.rows_at_once,
            since=since,
        )
        turn.events = send_all(parts, sender, batches)
        turn.corrections = send_all(parts, sender, find_met(parts.store))
    return turn


def move_backfill(parts: ReleaseParts, sender: LogSender, backfill: Backfill, on_moved: OnMoved) -> Backfill:
    """Move all events of one closing or reverting backfill and end it; returns it as it is then.

    Raises ``Conflict`` when a turn is under way that does the same, and ``Transient``.
    """
    with sole_turn(parts):
        move(parts, sender, backfill, on_moved)
        finish(parts, backfill)
    with transaction(parts.books) as connection:
        return find_backfill(connection, backfill.merchant_id, backfill.backfill_id)


def move(parts: ReleaseParts, sender: LogSender, backfill: Backfill, on_moved: OnMoved = lambda _count: None) -> int:
    """Send what is left of a backfill to be moved, until nothing is; returns how many events that were."""
    find = to_release if backfill.state in {"closing", "closed"} else to_retract
    moved = 0
    for _ in range(PASSES_MAX):
        count = send_all(parts, sender, find(parts.store, backfill, parts.rows_at_once), on_moved)
        moved += count
        # Once more after they are stored: events may have come while others were being moved.
        if not count:
            return moved
    raise Transient(f"backfill {backfill.backfill_id} goes on receiving events, or they do not move")


def finish(parts: ReleaseParts, backfill: Backfill) -> bool:
    """Note that nothing is left to be moved; says whether it was this that ended the backfill."""
    if backfill.state not in MOVING:
        return False
    with transaction(parts.books) as connection:
        return end(connection, backfill)


def send_all(
    parts: ReleaseParts,
    sender: LogSender,
    batches: Iterable[pa.RecordBatch],
    on_moved: OnMoved = lambda _count: None,
) -> int:
    """Send batches and wait until they are stored; returns how many rows that were, ``rows_max`` or a few more."""
    total, unsealed, unsealed_rows = 0, list[Sent](), 0
    for batch in batches:
        unsealed += sender.send_by_key(batch)
        total += batch.num_rows
        unsealed_rows += batch.num_rows
        if unsealed_rows >= UNSEALED_MAX:
            unsealed_rows = settle(parts, sender, unsealed, unsealed_rows, on_moved)
        if total >= parts.rows_max:
            break
    if unsealed_rows:
        settle(parts, sender, unsealed, unsealed_rows, on_moved)
    return total


def settle(parts: ReleaseParts, sender: LogSender, unsealed: list[Sent], rows: int, on_moved: OnMoved) -> int:
    """Wait until messages are stored, and forget them."""
    sender.flush()
    wait_until_sealed(parts.books, parts.topic, unsealed, parts.clock)
    unsealed.clear()
    on_moved(rows)
    return 0


@contextmanager
def sole_turn(parts: ReleaseParts) -> Iterator[None]:
    """Hold the only turn on this topic for the length of a block; raises ``Conflict`` when another one runs."""
    with transaction(parts.books) as connection:
        if not connection.execute(TRY_LOCK, {"name": f"millrace release {parts.topic}"}).scalar_one():
            raise Conflict("release_running", "events are being released already; ask again in a moment")
        yield
