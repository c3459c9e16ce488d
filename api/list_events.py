"""A merchant's events, the newest first, page by page. Every copy and correction is listed, with its fate."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Literal

import orjson
from sqlalchemy import Connection, Engine, text

from api.cursor import Cursor, read_cursor, write_cursor
from api.find_copies import EVENT_COLUMNS, as_texts
from clickhouse.client import UsageStore
from core.db import transaction

Fate = Literal["stored", "duplicate", "conflict", "held", "rejected", "retraction"]

PAGE_EVENTS_MAX = 1_000

# Blocks that are not sealed are left out whole: they may become visible after a page that should have shown them.
# A block's time is fixed a moment before others can see it, hence the half second.
UNTIL = text("""
    SELECT least(clock_timestamp() - interval '500 milliseconds', min(intended_at) - interval '1 microsecond')
    FROM stream_blocks WHERE topic = :topic AND state = 'intent'
""")
PLACE = "stored_at, incarnation, partition, kafka_offset, position"
AFTER = """
    (e.stored_at, e.incarnation, e.partition, e.kafka_offset, e.position) < (
        {after_at:DateTime64(6, 'UTC')}, {after_incarnation:UInt32}, {after_partition:UInt16},
        {after_offset:UInt64}, {after_position:UInt32})
"""
CONDITIONS = {
    "event_id": "e.event_id = {event_id:String}",
    "source": "e.source = {source:String}",
    "subject": "e.subject = {subject:String}",
    "type": "e.type = {type:String}",
    "fate": "e.fate = {fate:String}",
    "since": "e.occurred_at >= {since:DateTime64(6, 'UTC')}",
    "before": "e.occurred_at < {before:DateTime64(6, 'UTC')}",
}


@dataclass(frozen=True, slots=True)
class EventsQuestion:
    """Which events; None means all. ``since`` and ``before`` are half-open and about when events occurred."""

    event_id: str | None = None
    source: str | None = None
    subject: str | None = None
    type: str | None = None
    fate: Fate | None = None
    since: datetime | None = None
    before: datetime | None = None

    def given(self) -> dict[str, Any]:
        """The conditions that were set."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    def as_text(self) -> str:
        """The question as text, for the cursor."""
        return orjson.dumps(self.given(), option=orjson.OPT_SORT_KEYS).decode()


@dataclass(frozen=True, slots=True)
class EventsPage:
    """One page; ``next_cursor`` is None on the last. All pages of a listing show what was there when it began."""

    events: list[dict[str, Any]]
    next_cursor: str | None
    until: datetime


def list_events(
    books: Engine,
    store: UsageStore,
    topic: str,
    *,
    merchant_id: str,
    question: EventsQuestion,
    limit: int,
    cursor: str | None = None,
) -> EventsPage:
    """One page of a merchant's events. Raises ``Refused`` for a wrong cursor, and ``Transient``."""
    after = read_cursor(cursor, question.as_text() + merchant_id) if cursor else None
    if after is None:
        with transaction(books) as connection:
            until = listed_until(connection, topic)
    else:
        until = after.until
    bound: dict[str, object] = {"merchant_id": merchant_id, "until": until, "limit": limit + 1, **question.given()}
    conditions = [CONDITIONS[name] for name in question.given()]
    if after is not None:
        conditions.append(AFTER)
        bound |= {
            "after_at": after.stored_at,
            "after_incarnation": after.incarnation,
            "after_partition": after.partition,
            "after_offset": after.offset,
            "after_position": after.position,
        }
    found = store.query_frame(select_of(conditions), bound)
    rows = list(found.head(limit).iter_rows(named=True))
    following = None
    if found.height > limit:
        last = rows[-1]
        place = (last["incarnation"], last["partition"], last["kafka_offset"], last["position"])
        following = write_cursor(Cursor(until, last["stored_at"], *place), question.as_text() + merchant_id)
    return EventsPage([event_json(row) for row in rows], following, until)


def listed_until(connection: Connection, topic: str) -> datetime:
    """The instant until which everything that is stored is sealed."""
    until: datetime = connection.execute(UNTIL, {"topic": topic}).scalar_one()
    return until


def select_of(conditions: list[str]) -> str:
    """The question as SQL; it sees one merchant only."""
    where = " AND ".join(["e.merchant_id = {merchant_id:String}", *conditions])
    order = ", ".join(f"e.{name.strip()} DESC" for name in PLACE.split(","))
    return f"""
        SELECT {EVENT_COLUMNS} FROM usage_events AS e
        WHERE {where} AND e.stored_at <= {{until:DateTime64(6, 'UTC')}}
        ORDER BY {order} LIMIT {{limit:UInt32}}
    """


def event_json(row: dict[str, Any]) -> dict[str, Any]:
    """One event of a listing."""
    return {
        "id": row["event_id"],
        "source": row["source"],
        "type": row["type"],
        "subject": row["subject"],
        "customer_id": row["customer_id"] or None,
        "occurred_at": row["occurred_at"].isoformat(),
        "received_at": row["received_at"].isoformat(),
        "stored_at": row["stored_at"].isoformat(),
        "fate": row["fate"],
        "reason": row["reason"] or None,
        "action": row["action"],
        "correction_id": row["correction_id"] or None,
        "properties": as_texts(row["properties"]),
        "lies": {
            "incarnation": row["incarnation"],
            "partition": row["partition"],
            "offset": row["kafka_offset"],
            "position": row["position"],
        },
    }
