"""The events of a backfill that are still to be moved: released when it is closed, taken back when it is reverted."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa

from clickhouse.client import UsageStore
from ingest.backfill import Backfill
from ingest.correction import Correction, build_corrections
from ingest.event import RELEASE, RETRACT
from runtime.release.find import CONTENT, pages

OWN = """
    SELECT key FROM usage_events WHERE merchant_id = {merchant_id:String} AND action = 'backfill' AND fate = 'held'
        AND correction_id = {backfill_id:String}
        AND key > toFixedString(unhex({after:String}), 16)
        AND occurred_at >= {starts_at:DateTime64(6, 'UTC')} AND occurred_at < {ends_at:DateTime64(6, 'UTC')}
"""
# The last word on each of its keys: corrections may have moved an event to another time, so all of the merchant's
# corrections are looked at.
LAST = f"""
    SELECT t.* FROM usage_events AS t
    WHERE t.merchant_id = {{merchant_id:String}} AND t.action <> 'event'
        AND t.key > toFixedString(unhex({{after:String}}), 16) AND t.key IN ({OWN}) AND ([counts])
    ORDER BY t.key, t.stored_at DESC, t.kafka_offset DESC, t.position DESC
    LIMIT 1 BY t.key
"""
# A release that came to nothing (the meter is unknown) is an answer too: such events go on waiting as held ones.
TO_RELEASE = f"""
    SELECT {CONTENT}, toInt8({RELEASE}) AS action, t.correction_id AS correction_id
    FROM ({LAST.replace("[counts]", "t.fate IN ('stored', 'retraction', 'held') OR t.action = 'release'")}) AS t
    WHERE t.action = 'backfill' AND t.fate = 'held' AND t.correction_id = {{backfill_id:String}}
    ORDER BY t.key LIMIT {{rows:UInt64}}
"""
# What another backfill has brought in since under the same id is its own.
TO_RETRACT = f"""
    SELECT t.key AS key, t.source AS source, t.event_id AS event_id
    FROM ({LAST.replace("[counts]", "t.fate IN ('stored', 'retraction', 'held')")}) AS t
    WHERE t.fate <> 'retraction' AND NOT (t.action IN ('backfill', 'release')
        AND startsWith(t.correction_id, 'bfl_') AND t.correction_id <> {{backfill_id:String}})
    ORDER BY t.key LIMIT {{rows:UInt64}}
"""


def to_release(store: UsageStore, backfill: Backfill, rows: int) -> Iterator[pa.RecordBatch]:
    """Its events that wait, as releases; those that were released before, with whatever outcome, are done."""
    yield from pages(store, TO_RELEASE, bound(backfill) | {"rows": rows}, rows)


def to_retract(store: UsageStore, backfill: Backfill, rows: int) -> Iterator[pa.RecordBatch]:
    """Its events that are there, counted or waiting, as retractions."""
    after = ""
    while True:
        found = store.query_frame(TO_RETRACT, bound(backfill) | {"rows": rows, "after": after})
        if found.is_empty():
            return
        yield build_corrections(
            [
                Correction(RETRACT, backfill.merchant_id, source, event_id, backfill.backfill_id)
                for source, event_id in found.select("source", "event_id").iter_rows()
            ],
            backfill.decided_at or backfill.opened_at,
        )
        after = bytes(found["key"][-1]).hex()


def bound(backfill: Backfill) -> dict[str, object]:
    """A backfill as the parameters of a question."""
    return {
        "merchant_id": backfill.merchant_id,
        "backfill_id": backfill.backfill_id,
        "starts_at": backfill.starts_at,
        "ends_at": backfill.ends_at,
    }
