"""Dead letters as they lie in the books, each with what was decided about it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import ColumnElement, Connection, Row, Select, func, select

from catalog.merchants import find_merchant
from catalog.tables import merchants
from core.errors import Problem, Refused
from streams.tables import dead_letter_decisions, dead_letters

State = Literal["waiting", "sending", "requeued", "discarded"]


@dataclass(frozen=True, slots=True)
class Letter:
    """One dead letter. ``position`` is -1, ``raw`` has the bytes and nobody owns it when no message could be read.

    ``sending`` says that a requeue was begun, and that nobody knows whether the event went out.
    """

    dead_letter_id: str
    merchant: str
    merchant_id: str
    event_id: str
    code: str
    message: str
    topic: str
    incarnation: int
    partition: int
    kafka_offset: int
    position: int
    created_at: datetime
    payload: dict[str, Any] | None
    raw: bytes | None
    state: State
    changes: dict[str, str]
    reason: str
    decided_at: datetime | None


@dataclass(frozen=True, slots=True)
class Filter:
    """Which letters to list: of a merchant (by code), of a code, in a state; None is all."""

    merchant: str | None = None
    code: str | None = None
    state: State | None = "waiting"


STATE = func.coalesce(dead_letter_decisions.c.state, "waiting")


def list_letters(connection: Connection, wanted: Filter, limit: int) -> tuple[Letter, ...]:
    """The youngest letters first; raises ``Refused`` for a merchant that does not exist."""
    found = all_letters().order_by(dead_letters.c.created_at.desc(), dead_letters.c.dead_letter_id.desc())
    rows = connection.execute(found.where(*conditions(connection, wanted)).limit(limit))
    return tuple(map(as_letter, rows))


def count_letters(connection: Connection, wanted: Filter) -> int:
    """How many letters there are."""
    chosen = all_letters().where(*conditions(connection, wanted)).subquery()
    count: int = connection.execute(select(func.count()).select_from(chosen)).scalar_one()
    return count


def find_letters(connection: Connection, ids: Sequence[str]) -> tuple[Letter, ...]:
    """Letters by id, in the order asked for; raises ``Refused`` (``letter_unknown``) that names those missing."""
    rows = connection.execute(all_letters().where(dead_letters.c.dead_letter_id.in_(ids)))
    found = {letter.dead_letter_id: letter for letter in map(as_letter, rows)}
    missing = [one for one in ids if one not in found]
    if missing:
        problems = tuple(Problem("letter_unknown", "there is no such letter", one) for one in missing)
        raise Refused("letter_unknown", f"no dead letter is called {', '.join(missing)}", 404, problems)
    return tuple(found[one] for one in dict.fromkeys(ids))


def all_letters() -> Select[Any]:
    """Every letter with its merchant's code and its decision."""
    return (
        select(
            dead_letters,
            func.coalesce(merchants.c.code, "").label("merchant"),
            STATE.label("state"),
            dead_letter_decisions.c.changes,
            dead_letter_decisions.c.reason,
            dead_letter_decisions.c.decided_at,
        )
        .join(merchants, merchants.c.merchant_id == dead_letters.c.merchant_id, isouter=True)
        .join(
            dead_letter_decisions,
            dead_letter_decisions.c.dead_letter_id == dead_letters.c.dead_letter_id,
            isouter=True,
        )
    )


def conditions(connection: Connection, wanted: Filter) -> list[ColumnElement[bool]]:
    """A filter as SQL."""
    found: list[ColumnElement[bool]] = []
    if wanted.merchant is not None:
        found.append(dead_letters.c.merchant_id == find_merchant(connection, wanted.merchant))
    if wanted.code is not None:
        found.append(dead_letters.c.code == wanted.code)
    if wanted.state is not None:
        found.append(STATE.in_([wanted.state]))
    return found


def as_letter(row: Row[Any]) -> Letter:
    """A row of ``all_letters``."""
    return Letter(
        dead_letter_id=row.dead_letter_id,
        merchant=row.merchant,
        merchant_id=row.merchant_id,
        event_id=row.event_id,
        code=row.code,
        message=row.message,
        topic=row.topic,
        incarnation=row.incarnation,
        partition=row.partition,
        kafka_offset=row.kafka_offset,
        position=row.position,
        created_at=row.created_at,
        payload=row.payload,
        raw=None if row.raw is None else bytes(row.raw),
        state=row.state,
        changes=row.changes or {},
        reason=row.reason or "",
        decided_at=row.decided_at,
    )
