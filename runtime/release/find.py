"""Which held events the catalog of today could count, and which held corrections have met their event.

A key's last word decides (``streams/originals.py`` says how); here only candidates are looked for. The stream judges
each of them again when it comes, so that one too many does no harm.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

import polars as pl
import pyarrow as pa
from sqlalchemy import Engine, text

from catalog.snapshot import load_meters
from catalog.version import current_version
from clickhouse.client import UsageStore
from core.db import transaction
from ingest.event import CORRECTION_SCHEMA, RELEASE
from streams.read_back import expression_of, read_as

KINDS_AT_ONCE = 500
KEYS_AT_ONCE = 100
NO_KEY = ""
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

CONTENT = ", ".join(
    f"{expression_of(field)} AS {field.name}"
    for field in CORRECTION_SCHEMA
    if field.name not in {"action", "correction_id"}
)
# When the newest version was first used; before that nothing was tried under it.
TRIED_SINCE = text("""
    SELECT coalesce(min(intended_at), 'infinity'::timestamptz)::text FROM stream_blocks
    WHERE topic = :topic AND catalog_version = :version
""")
KINDS = """
    SELECT DISTINCT toString(t.merchant_id) AS merchant_id, toString(t.type) AS type FROM usage_events AS t
    WHERE t.fate = 'held' AND t.reason IN ('unknown_meter', 'unknown_customer', 'backfill')
        AND t.stored_at >= {since:DateTime64(6, 'UTC')}
"""
# Of a key's held rows the one that says what would count: the last correction, or the first event.
HELD = f"""
    SELECT {CONTENT}, toInt8({RELEASE}) AS action,
        if(t.reason = 'backfill', t.correction_id, {{release_id:String}}) AS correction_id
    FROM usage_events AS t
    WHERE t.fate = 'held' AND t.stored_at >= {{since:DateTime64(6, 'UTC')}}
        AND t.key > toFixedString(unhex({{after:String}}), 16)
        AND (t.reason IN ('unknown_meter', 'unknown_customer')
            OR (t.reason = 'backfill' AND t.correction_id IN {{closed:Array(String)}}))
        AND concat(t.merchant_id, '\\0', t.type) IN {{kinds:Array(String)}}
        AND (t.merchant_id, t.subject) IN (SELECT merchant_id, subject FROM customers)
        AND t.key NOT IN (
            SELECT key FROM usage_events WHERE action IN ('retract', 'amend', 'release')
                AND stored_at >= {{since:DateTime64(6, 'UTC')}} AND (fate IN ('stored', 'retraction')
                    OR (action = 'release' AND stored_at >= {{tried:DateTime64(6, 'UTC')}})))
    ORDER BY t.key, t.action <> 'event' DESC,
        if(t.action = 'event', -1, 1) * toUnixTimestamp64Micro(t.stored_at) DESC, t.kafka_offset DESC, t.position DESC
    LIMIT 1 BY t.key
    LIMIT {{rows:UInt64}}
"""
# A correction whose event was not there, and that was not sent again since.
LONELY = """
    SELECT DISTINCT hex(t.key) AS key FROM usage_events AS t
    WHERE t.fate = 'held' AND t.reason = 'unknown_event' AND t.action IN ('retract', 'amend')
        AND (t.key, t.action, t.correction_id) NOT IN (
            SELECT key, action, correction_id FROM usage_events
            WHERE action IN ('retract', 'amend') AND fate <> 'held'
                AND key IN (SELECT key FROM usage_events WHERE fate = 'held' AND reason = 'unknown_event'))
    ORDER BY key
"""
MET = f"""
    SELECT {CONTENT}, toInt8(t.action) AS action, t.correction_id AS correction_id
    FROM usage_events AS t
    WHERE t.fate = 'held' AND t.reason = 'unknown_event' AND t.action IN ('retract', 'amend')
        AND hex(t.key) IN {{keys:Array(String)}}
        AND t.key IN (SELECT key FROM usage_events WHERE action IN ('event', 'backfill') AND fate IN ('stored', 'held')
            AND key IN (SELECT toFixedString(unhex(arrayJoin({{keys:Array(String)}})), 16)))
        AND (t.key, t.action, t.correction_id) NOT IN (
            SELECT key, action, correction_id FROM usage_events
            WHERE action IN ('retract', 'amend') AND fate <> 'held'
                AND key IN (SELECT toFixedString(unhex(arrayJoin({{keys:Array(String)}})), 16)))
    ORDER BY t.key, t.stored_at, t.kafka_offset, t.position
    LIMIT 1 BY t.key
"""


def find_held(
    books: Engine,
    store: UsageStore,
    topic: str,
    *,
    closed: Sequence[str],
    release_id: str,
    rows: int,
    since: datetime = EPOCH,
) -> Iterator[pa.RecordBatch]:
    """Held events that could count now, as releases, at most ``rows`` a batch.

    Events of a backfill are among them once it is one of ``closed``. What was tried since the catalog changed last is
    left out, so that events which still cannot count are not tried again and again. Only what was stored ``since`` is
    looked at: corrections of an event are stored after it.
    """
    with transaction(books) as connection:
        version = current_version(connection)
        known = {(meter.merchant_id, meter.event_type) for meter in load_meters(connection, version)}
        tried = connection.execute(TRIED_SINCE, {"topic": topic, "version": version}).scalar_one()
    held = store.query_frame(KINDS, {"since": since})
    kinds = sorted(f"{merchant}\0{kind}" for merchant, kind in held.iter_rows() if (merchant, kind) in known)
    bound = {"closed": list(closed), "release_id": release_id, "rows": rows, "tried": instant_of(tried), "since": since}
    for first in range(0, len(kinds), KINDS_AT_ONCE):
        yield from pages(store, HELD, bound | {"kinds": kinds[first : first + KINDS_AT_ONCE]}, rows)


def find_met(store: UsageStore) -> Iterator[pa.RecordBatch]:
    """Held corrections whose event has come: the oldest of each key, to be sent once more."""
    keys = store.query_frame(LONELY)["key"].to_list()
    for first in range(0, len(keys), KEYS_AT_ONCE):
        found = store.query_frame(MET, {"keys": keys[first : first + KEYS_AT_ONCE]})
        if not found.is_empty():
            yield as_batch(found)


def pages(store: UsageStore, question: str, bound: dict[str, object], rows: int) -> Iterator[pa.RecordBatch]:
    """The answer in pages by key. Each starts after the last, so nothing needs to be sealed in between."""
    after = NO_KEY
    while True:
        found = store.query_frame(question, bound | {"after": after})
        if found.is_empty():
            return
        yield as_batch(found)
        if found.height < rows:
            return
        after = bytes(found["key"][-1]).hex()


def as_batch(found: pl.DataFrame) -> pa.RecordBatch:
    """Rows in the columns of a correction message."""
    (batch,) = read_as(found, CORRECTION_SCHEMA).combine_chunks().to_batches()
    return batch


def instant_of(tried: str) -> datetime:
    """An instant of Postgres; infinity is later than anything that can be stored."""
    return datetime.fromisoformat("2200-01-01T00:00:00+00:00" if tried == "infinity" else tried)
