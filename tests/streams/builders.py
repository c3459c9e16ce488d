"""Small events, envelopes and catalogs for tests, with everything named that a test does not care about."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import UUID

import polars as pl
import pyarrow as pa

from catalog.meter import Aggregation, Filter, Meter
from catalog.snapshot import Snapshot
from core.clock import Clock
from core.ids import MerchantId, MeterId
from ingest.event import ENVELOPE_SCHEMA, Envelope, body_hash, event_key
from streams.compiled import Compiled, compile_catalog
from streams.decode import Message, Readable
from streams.ledger import Ledger
from streams.retry import Retry, RetryPolicy
from streams.sink import Moment, Parts, no_failpoint
from streams.store import BlockStore

NOON = datetime(2023, 11, 20, 12, tzinfo=UTC)
PRODUCER = UUID(int=1)


@dataclass(frozen=True)
class Said:
    """One event as a test thinks of it."""

    id: str
    properties: dict[str, str] = field(default_factory=dict)
    type: str = "call"
    subject: str = "c-1"
    merchant: str = "mer_a"
    at: datetime = NOON
    source: str = ""


def batch(events: Sequence[Said], received_at: datetime = NOON) -> pa.RecordBatch:
    """Events in the envelope's columns."""
    rows = [
        {
            "key": event_key(event.merchant, event.source, event.id),
            "body_hash": body_hash(event.type, event.subject, event.at.isoformat(), event.properties),
            "merchant_id": event.merchant,
            "event_id": event.id,
            "source": event.source,
            "type": event.type,
            "subject": event.subject,
            "occurred_at": event.at,
            "received_at": received_at,
            "properties": list(event.properties.items()),
        }
        for event in events
    ]
    columns = [pa.array([row[column.name] for row in rows], column.type) for column in ENVELOPE_SCHEMA]
    return pa.RecordBatch.from_arrays(columns, schema=ENVELOPE_SCHEMA)


def envelope(events: Sequence[Said], sequence: int, producer: UUID = PRODUCER) -> Envelope:
    """Events on their way."""
    return Envelope(producer, sequence, batch(events))


def messages(groups: Sequence[Sequence[Said]], first_offset: int = 0, producer: UUID = PRODUCER) -> list[Message]:
    """One message a group, at offsets that follow each other; the sequence of each is its offset plus one."""
    return [
        Readable(offset, envelope(group, offset + 1, producer))
        for offset, group in enumerate(groups, start=first_offset)
    ]


def meter(
    code: str = "tokens",
    aggregation: Aggregation = "sum",
    value: str | None = "tokens",
    *,
    event_type: str = "call",
    group_by: tuple[str, ...] = (),
    filters: tuple[Filter, ...] = (),
    merchant: str = "mer_a",
    expression: str | None = None,
) -> Meter:
    """A meter; a count has no value, nor has one with an expression."""
    value = None if aggregation == "count" or expression is not None else value
    meter_id = MeterId(f"mtr_{merchant}_{code}")
    return Meter(meter_id, MerchantId(merchant), code, event_type, aggregation, value, group_by, filters, expression)


def snapshot(meters: Sequence[Meter], subjects: Sequence[str] = ("c-1", "c-2"), merchant: str = "mer_a") -> Snapshot:
    """A catalog of these meters and of one merchant's customers ``cus_<subject>``."""
    customers = pl.DataFrame(
        {
            "merchant_id": [merchant] * len(subjects),
            "subject": list(subjects),
            "customer_id": [f"cus_{subject}" for subject in subjects],
        },
        schema={"merchant_id": pl.String, "subject": pl.String, "customer_id": pl.String},
    )
    return Snapshot(1, tuple(meters), customers)


def compiled(*meters: Meter) -> Compiled:
    """The same, laid out for blocks."""
    return compile_catalog(snapshot(meters or (meter(),)))


def parts(
    ledger: Ledger,
    store: BlockStore,
    clock: Clock,
    *meters: Meter,
    failpoint: Callable[[Moment], None] = no_failpoint,
) -> Parts:
    """Parts around a ledger and a store; waits pass at once."""
    catalog = compiled(*meters)
    patience = Retry(RetryPolicy(give_up_s=1), clock, lambda wait_s: advance(clock, wait_s))
    return Parts(ledger, store, lambda _version: catalog, patience, failpoint)


def advance(clock: Clock, wait_s: float) -> None:
    """Let time pass on a hand-moved clock."""
    move = getattr(clock, "advance", None)
    if move is not None:
        move(seconds=wait_s)


def minutes(count: float) -> datetime:
    """Some minutes after noon."""
    return NOON + timedelta(minutes=count)
