"""Backfills over HTTP: opened, looked at, closed or reverted. Their events go to the gateway, not here."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

import orjson
from sqlalchemy import Engine

from clickhouse.backfilled import count_backfilled
from clickhouse.client import UsageStore
from core.clock import Clock
from core.db import transaction
from core.errors import Refused
from core.quantity import plain_text
from ingest.backfill import Backfill, decide, find_backfill, list_backfills, open_backfill
from rating.preview_change import preview_backfill

FIELDS = {"from", "to", "note"}
EXACT = ("old_quantity", "new_quantity", "quantity", "old_amount", "new_amount", "amount")
PLAIN = ("subject", "plan", "meter", "aggregation", "currency", "period", "billed", "outcome", "problem")


def open_one(books: Engine, merchant_id: str, body: bytes) -> dict[str, Any]:
    """``POST /v1/backfills`` with ``{"from": …, "to": …, "note": …}``; raises ``Refused``."""
    try:
        said = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Refused("json_malformed", f"the body is not valid JSON: {error}"[:200], 400) from None
    if not isinstance(said, dict) or not said.keys() <= FIELDS or not isinstance(said.get("note", ""), str):
        raise Refused("body_invalid", "the body is an object with from, to and, if you like, note")
    with transaction(books) as connection:
        made = open_backfill(
            connection, merchant_id, read_instant(said, "from"), read_instant(said, "to"), said.get("note", "")
        )
    return backfill_json(made)


def read_instant(said: dict[str, Any], name: str) -> datetime:
    """An instant of the body, with its zone."""
    try:
        found = datetime.fromisoformat(said.get(name) or "")
    except (TypeError, ValueError):
        found = None
    if found is None or found.tzinfo is None:
        raise Refused("span_invalid", f"{name} is an instant with its zone, such as 2023-01-01T00:00:00Z")
    return found


def list_all(books: Engine, merchant_id: str) -> dict[str, Any]:
    """``GET /v1/backfills``: the youngest first, at most a thousand."""
    with transaction(books) as connection:
        return {"backfills": list(map(backfill_json, list_backfills(connection, merchant_id)))}


def show(books: Engine, store: UsageStore, merchant_id: str, backfill_id: str) -> dict[str, Any]:
    """``GET /v1/backfills/{id}``: its state, and what became of its events."""
    with transaction(books) as connection:
        found = find_backfill(connection, merchant_id, backfill_id)
    return backfill_json(found) | {"events": count_backfilled(store, merchant_id, backfill_id)}


def preview(books: Engine, store: UsageStore, clock: Clock, merchant_id: str, backfill_id: str) -> dict[str, Any]:
    """``GET /v1/backfills/{id}/preview``: what closing it would change, by customer, meter and period."""
    said = show(books, store, merchant_id, backfill_id)
    effect = preview_backfill(books, store, merchant_id, backfill_id, clock.now())
    return said | {"effect": list(map(effect_json, effect.iter_rows(named=True)))}


def decide_one(
    books: Engine, merchant_id: str, backfill_id: str, to: Literal["closing", "reverting"]
) -> dict[str, Any]:
    """``POST /v1/backfills/{id}/close`` and ``/revert``: decided here, done by the releaser within seconds."""
    with transaction(books) as connection:
        return backfill_json(decide(connection, merchant_id, backfill_id, to))


def backfill_json(found: Backfill) -> dict[str, Any]:
    """A backfill for programs."""
    return {
        "id": found.backfill_id,
        "state": found.state,
        "from": found.starts_at.isoformat(),
        "to": found.ends_at.isoformat(),
        "note": found.note,
        "opened_at": found.opened_at.isoformat(),
        "decided_at": found.decided_at and found.decided_at.isoformat(),
        "ended_at": found.ended_at and found.ended_at.isoformat(),
    }


def effect_json(row: dict[str, Any]) -> dict[str, Any]:
    """One line of a preview for programs; quantities and amounts are text."""
    said: dict[str, Any] = {name: row[name] for name in PLAIN}
    return said | {name: None if row[name] is None else plain_text(row[name]) for name in EXACT}
