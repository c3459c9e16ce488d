"""What became of corrections: waited for until the blocks that hold them are sealed."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Engine, text

from clickhouse.client import UsageStore
from core.clock import Clock
from core.db import transaction
from core.errors import Transient
from runtime.corrections.send import Item

POLL_S = 0.1
KEYS_AT_ONCE = 1_000
ROWS = """
    SELECT event_id, toString(source) AS source, toString(action) AS action, toString(fate) AS fate,
        toString(reason) AS reason, toInt64(incarnation) AS incarnation, toInt64(partition) AS partition,
        toInt64(block_first) AS block_first
    FROM usage_events WHERE merchant_id = {merchant_id:String} AND action IN ('retract', 'amend')
        AND correction_id = {correction_id:String}
"""
SEALED = text("""
    SELECT incarnation, partition, first_offset FROM stream_blocks
    WHERE topic = :topic AND state = 'sealed' AND incarnation = ANY(:incarnations) AND first_offset = ANY(:firsts)
""")
SAID = {
    ("retract", "retraction"): "retracted: it counts no more",
    ("retract", "duplicate"): "was retracted before",
    ("retract", "held"): "waits: no event of this id has come; it is retracted as soon as one does",
    ("amend", "stored"): "amended: the new content counts",
    ("amend", "duplicate"): "says already what the amendment says",
    ("amend", "held"): "waits",
    ("amend", "rejected"): "refused, the old content stays",
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one correction: the store's word (``fate``) and its reason; both empty while it is not stored."""

    event_id: str
    source: str
    action: str
    fate: str
    reason: str

    @property
    def said(self) -> str:
        """The same for people."""
        words = SAID.get((self.action, self.fate), self.fate or "sent, and not stored yet")
        return f"{words} ({self.reason})" if self.reason else words


def await_fates(
    books: Engine,
    store: UsageStore,
    topic: str,
    clock: Clock,
    *,
    merchant_id: str,
    correction_id: str,
    items: Sequence[Item],
    wait_s: float,
) -> list[Outcome]:
    """The outcomes of corrections with one id, once all of them are sealed, or after ``wait_s`` those that are."""
    pause, end_s = threading.Event(), clock.steady_s() + wait_s
    while True:
        try:
            found = sealed_rows(books, store, topic, merchant_id, correction_id)
        except Transient:
            if clock.steady_s() >= end_s:
                raise
            found = {}
        known = [found.get((item.event_id, item.source, item.action)) for item in items]
        if all(row is not None for row in known) or clock.steady_s() >= end_s:
            break
        pause.wait(POLL_S)
    return [
        Outcome(item.event_id, item.source, item.action, row["fate"] if row else "", row["reason"] if row else "")
        for item, row in zip(items, known, strict=True)
    ]


def sealed_rows(
    books: Engine, store: UsageStore, topic: str, merchant_id: str, correction_id: str
) -> dict[tuple[str, str, str], dict[str, Any]]:
    """The rows of corrections in sealed blocks, by event id, source and action."""
    found = store.query_frame(ROWS, {"merchant_id": merchant_id, "correction_id": correction_id})
    rows = found.rows(named=True)
    bound = {
        "topic": topic,
        "incarnations": sorted({row["incarnation"] for row in rows}),
        "firsts": sorted({row["block_first"] for row in rows}),
    }
    with transaction(books) as connection:
        sealed = {tuple(row) for row in connection.execute(SEALED, bound)}
    return {
        (row["event_id"], row["source"], row["action"]): row
        for row in rows
        if (row["incarnation"], row["partition"], row["block_first"]) in sealed
    }
