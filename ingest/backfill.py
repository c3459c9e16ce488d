"""Backfills in the books: opened for a span of time, filled with events that wait, then closed or reverted.

    open ── close ──> closing ── all of its events have their fate ──> closed
      └──── revert ─> reverting ── all of them are taken back ───────> reverted
                          ^── revert ── closed, closing

Whoever moves the events (``runtime/release``) ends ``closing`` and ``reverting``; it can be killed and goes on.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal, get_args

from sqlalchemy import Connection, Row, func, insert, select, update

from core.errors import Conflict, Refused
from core.ids import new_id
from core.limits import BACKFILL_YEARS_MAX, REASON_BYTES_MAX
from ingest.tables import backfills

State = Literal["open", "closing", "closed", "reverting", "reverted"]
STATES: tuple[State, ...] = get_args(State)
# While it is in one of these its events are on the move, and no period that it touches is closed.
MOVING: tuple[State, ...] = ("closing", "reverting")
AFTER: dict[State, State] = {"closing": "closed", "reverting": "reverted"}
NOW = func.clock_timestamp()
SPAN_MAX = timedelta(days=BACKFILL_YEARS_MAX * 366)


@dataclass(frozen=True, slots=True)
class Backfill:
    """One backfill. Its events lie in [``starts_at``, ``ends_at``) and carry its id as their correction's."""

    backfill_id: str
    merchant_id: str
    state: State
    starts_at: datetime
    ends_at: datetime
    note: str
    opened_at: datetime
    decided_at: datetime | None
    ended_at: datetime | None


def open_backfill(
    connection: Connection, merchant_id: str, starts_at: datetime, ends_at: datetime, note: str = ""
) -> Backfill:
    """Open a backfill; raises ``Refused`` for a span or note that cannot be."""
    if starts_at.tzinfo is None or ends_at.tzinfo is None:
        raise Refused("span_invalid", "a backfill's span has instants with their zone")
    if not timedelta(0) < ends_at - starts_at <= SPAN_MAX:
        raise Refused("span_invalid", f"a backfill's span begins before it ends, within {BACKFILL_YEARS_MAX} years")
    if len(note.encode()) > REASON_BYTES_MAX or "\0" in note:
        raise Refused("note_invalid", f"a note may take {REASON_BYTES_MAX} bytes")
    values = {
        "backfill_id": new_id("bfl"),
        "merchant_id": merchant_id,
        "state": "open",
        "starts_at": starts_at,
        "ends_at": ends_at,
        "note": note,
    }
    return as_backfill(connection.execute(insert(backfills).values(values).returning(backfills)).one())


def find_backfill(connection: Connection, merchant_id: str | None, backfill_id: str) -> Backfill:
    """A merchant's backfill, or anybody's without a merchant; raises ``Refused`` 404."""
    row = connection.execute(select(backfills).where(*of(merchant_id, backfill_id))).one_or_none()
    if row is None:
        raise Refused("backfill_unknown", f"there is no backfill {backfill_id!r}", status=404)
    return as_backfill(row)


def list_backfills(
    connection: Connection,
    merchant_id: str | None = None,
    states: tuple[State, ...] = STATES,
    limit: int = 1_000,
) -> tuple[Backfill, ...]:
    """Backfills in some states, the youngest first."""
    found = select(backfills).where(backfills.c.state.in_(states))
    if merchant_id is not None:
        found = found.where(backfills.c.merchant_id == merchant_id)
    found = found.order_by(backfills.c.opened_at.desc(), backfills.c.backfill_id.desc()).limit(limit)
    return tuple(map(as_backfill, connection.execute(found)))


def decide(
    connection: Connection, merchant_id: str | None, backfill_id: str, to: Literal["closing", "reverting"]
) -> Backfill:
    """Close or revert a backfill; deciding the same twice changes nothing.

    Raises ``Refused`` 404 when it is unknown, and ``Conflict`` when it was reverted and is to be closed.
    """
    row = connection.execute(select(backfills).where(*of(merchant_id, backfill_id)).with_for_update()).one_or_none()
    if row is None:
        raise Refused("backfill_unknown", f"there is no backfill {backfill_id!r}", status=404)
    if row.state in {to, AFTER[to]}:
        return as_backfill(row)
    if to == "closing" and row.state != "open":
        raise Conflict("backfill_reverted", f"backfill {backfill_id} was reverted: open another one")
    changed = (
        update(backfills)
        .where(backfills.c.backfill_id == backfill_id)
        .values(state=to, decided_at=NOW, ended_at=None)
        .returning(backfills)
    )
    return as_backfill(connection.execute(changed).one())


def end(connection: Connection, backfill: Backfill) -> bool:
    """Note that all of its events have moved, unless somebody decided otherwise meanwhile."""
    done = (
        update(backfills)
        .where(backfills.c.backfill_id == backfill.backfill_id, backfills.c.state == backfill.state)
        .values(state=AFTER[backfill.state], ended_at=NOW)
    )
    return connection.execute(done).rowcount == 1


def of(merchant_id: str | None, backfill_id: str) -> tuple[Any, ...]:
    """The condition that a row is this backfill and, if a merchant is named, that merchant's."""
    same = (backfills.c.backfill_id == backfill_id,)
    return same if merchant_id is None else (*same, backfills.c.merchant_id == merchant_id)


def as_backfill(row: Row[Any]) -> Backfill:
    """A row of ``backfills``."""
    return Backfill(
        backfill_id=row.backfill_id,
        merchant_id=row.merchant_id,
        state=row.state,
        starts_at=row.starts_at,
        ends_at=row.ends_at,
        note=row.note,
        opened_at=row.opened_at,
        decided_at=row.decided_at,
        ended_at=row.ended_at,
    )
