"""Sends corrections through the public door, with a key that is made for this and ended after it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
import orjson
from sqlalchemy import Engine

from clickhouse.client import UsageStore
from core.clock import Clock
from core.errors import Conflict, Refused
from runtime.own_key import own_key
from runtime.traffic.connection import Connection, Target
from runtime.traffic.deliver import Verdict, deliver

KEY_NAME = "corrections from the command line"
ITEMS_AT_ONCE = 1_000
GIVE_UP_S = 60.0
SOURCES = """
    SELECT DISTINCT event_id, toString(source) AS source FROM usage_events
    WHERE merchant_id = {merchant_id:String} AND event_id IN {ids:Array(String)} ORDER BY event_id, source
"""


@dataclass(frozen=True, slots=True)
class Item:
    """One correction to be sent: which event it is about, and its JSON text."""

    event_id: str
    source: str
    action: str
    json: bytes


class Named(msgspec.Struct):
    """What has to be known of an event before it is sent; the rest is passed on as the text that it is."""

    id: str | None = None
    source: str | None = None


def retractions(events: Sequence[tuple[str, str]], correction_id: str, reason: str) -> list[Item]:
    """Retractions of events by id and source."""
    return [
        Item(
            event_id,
            source,
            "retract",
            orjson.dumps(
                {"action": "retract", "id": event_id, "source": source, "correction_id": correction_id}
                | ({"reason": reason} if reason else {})
            ),
        )
        for event_id, source in events
    ]


def amendments(text: bytes, correction_id: str) -> list[Item]:
    """Amendments by the events of a file: one JSON object, an array, or one object a line.

    Numbers stay as they were written. Raises ``Refused`` when there is no event in it, or one without an id.
    """
    items = []
    for raw in events_of(text):
        try:
            named = msgspec.json.decode(raw, type=Named)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise Refused("json_malformed", f"an event of the file cannot be read: {error}") from None
        if not named.id:
            raise Refused("id_missing", "an amended event has the id of the event that it replaces")
        quoted = orjson.dumps(correction_id)
        body = b'{"action":"amend","correction_id":%s,"event":%s}' % (quoted, raw)
        items.append(Item(named.id, named.source or "", "amend", body))
    return items


def events_of(text: bytes) -> list[bytes]:
    """The JSON texts of a file's events: an array, one object, or one a line."""
    start = text.lstrip()[:1]
    try:
        if start == b"[":
            found = list(map(bytes, msgspec.json.decode(text, type=list[msgspec.Raw])))
        else:
            found = one_or_lines(text)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Refused("json_malformed", f"the file is not valid JSON: {error}") from None
    if not found:
        raise Refused("no_events", "the file holds no event")
    return found


def one_or_lines(text: bytes) -> list[bytes]:
    """One object over however many lines, or one a line."""
    try:
        return [bytes(msgspec.json.decode(text, type=msgspec.Raw))] if text.strip() else []
    except msgspec.DecodeError:
        return [line for line in text.split(b"\n") if line.strip()]


def sources_of(store: UsageStore, merchant_id: str, ids: Sequence[str], source: str | None) -> list[tuple[str, str]]:
    """Each id with its source: the one given, or the only one under which such an event was stored.

    Raises ``Conflict`` when several sources have an event of an id. One that was never seen has none.
    """
    if source is not None:
        return [(event_id, source) for event_id in dict.fromkeys(ids)]
    found = store.query_frame(SOURCES, {"merchant_id": merchant_id, "ids": list(ids)})
    known: dict[str, list[str]] = {}
    for event_id, one in found.iter_rows():
        known.setdefault(event_id, []).append(one)
    for event_id, several in known.items():
        if len(several) > 1:
            named = ", ".join(map(repr, several[:10]))
            raise Conflict(
                "source_needed", f"several sources have an event {event_id!r}: give --source, one of {named}"
            )
    return [(event_id, known.get(event_id, [""])[0]) for event_id in dict.fromkeys(ids)]


def send_items(
    books: Engine, gateway_url: str, merchant: str, items: Sequence[Item], clock: Clock
) -> dict[int, tuple[str, str]]:
    """Send corrections of one merchant (by code); returns code and message of those refused, by their place.

    Raises ``Transient`` when the gateway gives no answer; sending the same again does no harm.
    """
    refused: dict[int, tuple[str, str]] = {}
    with own_key(books, merchant, clock, KEY_NAME) as key:
        for first in range(0, len(items), ITEMS_AT_ONCE):
            batch = items[first : first + ITEMS_AT_ONCE]
            body = b"[" + b",".join(item.json for item in batch) + b"]"
            verdict = asyncio.run(post(f"{gateway_url}/v1/corrections", key, body, clock))
            refused |= {first + index: why for index, why in verdict.refused.items()}
    return refused


async def post(url: str, key: str, body: bytes, clock: Clock) -> Verdict:
    """Post a body until the door answers; raises ``Transient`` when it does not."""
    connection = Connection(Target.of(url))
    try:
        return await deliver(
            connection,
            b"Authorization: Bearer %s\r\nContent-Type: application/json\r\n" % key.encode(),
            body,
            clock=clock,
            give_up_at_s=clock.steady_s() + GIVE_UP_S,
            on_retry=lambda _maybe_stored: None,
        )
    finally:
        await connection.close()
