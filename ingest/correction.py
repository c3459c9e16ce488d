"""Corrections and fills as the columns of their messages, for the doors that send them and the stream that reads."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import pyarrow as pa
import pyarrow.compute as pc

from core.errors import BadEvent
from core.limits import FILL_SPAN_HOURS_MAX
from ingest.event import (
    CORRECTION_SCHEMA,
    CORRECTIONS,
    ENVELOPE_SCHEMA,
    FILL_SCHEMA,
    FILL_TYPE,
    RETRACT,
    event_key,
)

NO_KEY = bytes(16)


@dataclass(frozen=True, slots=True)
class Content:
    """What an event says, after validation; ``body_hash`` as ``ingest.event.body_hash`` makes it."""

    type: str
    subject: str
    occurred_at: datetime
    properties: Mapping[str, str]
    body_hash: int


@dataclass(frozen=True, slots=True)
class Correction:
    """What is to be done with one event: ``content`` is None for a retraction and given for every other action.

    ``correction_id`` is the sender's or the backfill's id, by which the rows are found again.
    """

    action: int
    merchant_id: str
    source: str
    event_id: str
    correction_id: str
    content: Content | None = None

    @property
    def key(self) -> bytes:
        """The key of the event that it corrects; its partition is that of the event."""
        return event_key(self.merchant_id, self.source, self.event_id)


def build_corrections(corrections: Sequence[Correction], received_at: datetime) -> pa.RecordBatch:
    """One batch of ``CORRECTION_SCHEMA``, in order; the caller parts them by partition and counts each key once.

    A retraction has no content of its own: empty texts, and the time at which it was received.
    """
    nothing = Content("", "", received_at, {}, 0)
    contents = [nothing if one.content is None else one.content for one in corrections]
    assert all((one.content is None) == (one.action == RETRACT) for one in corrections), "only retractions say nothing"
    columns = {
        "key": [one.key for one in corrections],
        "body_hash": [content.body_hash for content in contents],
        "merchant_id": [one.merchant_id for one in corrections],
        "event_id": [one.event_id for one in corrections],
        "source": [one.source for one in corrections],
        "type": [content.type for content in contents],
        "subject": [content.subject for content in contents],
        "occurred_at": [content.occurred_at for content in contents],
        "received_at": [received_at] * len(corrections),
        "properties": [list(content.properties.items()) for content in contents],
        "action": [one.action for one in corrections],
        "correction_id": [one.correction_id for one in corrections],
    }
    batch = pa.RecordBatch.from_arrays(
        [pa.array(columns[field.name], field.type) for field in CORRECTION_SCHEMA], schema=CORRECTION_SCHEMA
    )
    assert not has_repeats(batch), "a message has each key once"
    return batch


def as_corrections(events: pa.RecordBatch, action: int, correction_id: str) -> pa.RecordBatch:
    """Validated events (``ENVELOPE_SCHEMA``) as corrections of the events of their keys: one action, one id for all.

    For thousands of rows, such as those of a backfill: nothing is copied. Each key may be there once (``has_repeats``).
    """
    assert action != RETRACT, "a retraction has no content"
    columns = [events.column(field.name) for field in ENVELOPE_SCHEMA]
    actions = pa.repeat(pa.scalar(action, pa.int8()), events.num_rows)
    ids = pa.repeat(pa.scalar(correction_id, pa.string()), events.num_rows)
    return pa.RecordBatch.from_arrays([*columns, actions, ids], schema=CORRECTION_SCHEMA)


def has_repeats(batch: pa.RecordBatch) -> bool:
    """Whether some key comes more than once."""
    return bool(pc.count_distinct(batch.column("key").cast(pa.binary())).as_py() < batch.num_rows)


def check_corrections(batch: pa.RecordBatch) -> None:
    """Refuse corrections that no door sends; raises ``BadEvent`` with ``envelope_unreadable``."""
    actions = batch.column("action")
    known = pa.array(range(1, len(CORRECTIONS) + 1), pa.int8())
    if not batch.num_rows or not pc.all(pc.is_in(actions, known)).as_py():
        raise BadEvent("envelope_unreadable", "its corrections have no action that is known")
    if has_repeats(batch):
        raise BadEvent("envelope_unreadable", "it corrects one event more than once")


@dataclass(frozen=True, slots=True)
class FillAsked:
    """A meter is to count a partition's events of [``starts_at``, ``ends_at``) anew; both are whole minutes."""

    fill_id: str
    merchant_id: str
    meter_id: str
    starts_at: datetime
    ends_at: datetime


def build_fill(asked: FillAsked, received_at: datetime) -> pa.RecordBatch:
    """The one row of ``FILL_SCHEMA``; the same message goes to every partition."""
    row = {
        "key": NO_KEY,
        "body_hash": 0,
        "merchant_id": asked.merchant_id,
        "event_id": "",
        "source": "",
        "type": FILL_TYPE,
        "subject": asked.meter_id,
        "occurred_at": asked.starts_at,
        "received_at": received_at,
        "properties": [("from", asked.starts_at.isoformat()), ("to", asked.ends_at.isoformat())],
        "fill_id": asked.fill_id,
    }
    batch = pa.RecordBatch.from_arrays(
        [pa.array([row[field.name]], field.type) for field in FILL_SCHEMA], schema=FILL_SCHEMA
    )
    assert read_fill(batch) == asked, "a fill is what its reader makes of it"
    return batch


def read_fill(batch: pa.RecordBatch) -> FillAsked:
    """What a fill message asks for; raises ``BadEvent`` with ``envelope_unreadable``."""
    if batch.num_rows != 1:
        raise BadEvent("envelope_unreadable", f"a fill has one row, not {batch.num_rows}")
    row = batch.to_pylist()[0]
    said = dict(row["properties"])
    try:
        starts_at, ends_at = (datetime.fromisoformat(said[name]) for name in ("from", "to"))
    except (KeyError, ValueError) as error:
        raise BadEvent("envelope_unreadable", f"a fill without its span: {said}"[:300]) from error
    if row["type"] != FILL_TYPE or not is_minute(starts_at) or not is_minute(ends_at):
        raise BadEvent("envelope_unreadable", f"a fill's span has whole minutes: {said}"[:300])
    if not timedelta(0) < ends_at - starts_at <= timedelta(hours=FILL_SPAN_HOURS_MAX):
        raise BadEvent("envelope_unreadable", f"a fill's span is at most {FILL_SPAN_HOURS_MAX} hours: {said}"[:300])
    return FillAsked(row["fill_id"], row["merchant_id"], row["subject"], starts_at, ends_at)


def is_minute(at: datetime) -> bool:
    """Whether an instant is a whole minute with a zone, from 1970 on."""
    return at.tzinfo is not None and at.timestamp() >= 0 and at.timestamp() % 60 == 0


def fill_spans(starts_at: datetime, ends_at: datetime) -> Iterator[tuple[datetime, datetime]]:
    """A long span in parts that one fill each may ask for, one after the other; whole minutes stay whole."""
    at = starts_at
    while at < ends_at:
        until = min(at + timedelta(hours=FILL_SPAN_HOURS_MAX), ends_at)
        yield at, until
        at = until
