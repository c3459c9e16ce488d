"""Asks every partition to count a meter's events anew, span by span, and says what changed.

Killed anywhere, it is simply run again: filling says the same numbers once more.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

import polars as pl
from sqlalchemy import Engine, select

from catalog.meter import Meter
from catalog.snapshot import load_meters
from catalog.tables import meters
from catalog.version import current_version
from clickhouse.client import UsageStore
from clickhouse.report import UsageQuestion, usage_by
from core.db import transaction
from core.errors import Refused
from core.ids import new_id
from ingest.correction import FillAsked, build_fill
from runtime.fill.spans import Span, busy_spans, whole_minutes
from runtime.release.send import LogSender, Sent, wait_until_sealed
from runtime.release.turn import ReleaseParts

# Messages that wait for the stream at a time.
UNSEALED_MAX = 64
ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class Changed:
    """What one customer's usage of the meter was over the span, and what it is now."""

    subject: str
    events_before: int
    events: int
    quantity_before: Decimal
    quantity: Decimal


@dataclass(frozen=True, slots=True)
class Filled:
    """A fill that is done: its id, how many spans it took, and the customers whose usage it changed."""

    fill_id: str
    meter: Meter
    spans: int
    changed: tuple[Changed, ...]


def find_meter(books: Engine, merchant_id: str, code: str) -> tuple[Meter, list[str]]:
    """A meter that is in the catalog, and all event types that it ever counted; raises ``Refused`` 404."""
    with transaction(books) as connection:
        live = load_meters(connection, current_version(connection))
        found = [meter for meter in live if (meter.merchant_id, meter.code) == (merchant_id, code)]
        if not found:
            raise Refused("meter_unknown", f"the merchant has no meter {code!r}", status=404)
        types = connection.execute(
            select(meters.c.event_type).where(meters.c.meter_id == found[0].meter_id).distinct()
        ).scalars()
        return found[0], sorted(types)


def fill(
    parts: ReleaseParts,
    sender: LogSender,
    meter: Meter,
    types: list[str],
    span: Span,
    *,
    on_spans: Callable[[int], None] = lambda _count: None,
    on_done: Callable[[int], None] = lambda _count: None,
) -> Filled:
    """Fill a meter; ``on_spans`` hears how many there are, ``on_done`` how many are done. Raises ``Transient``."""
    since, until = whole_minutes(*span)
    spans = busy_spans(
        parts.store, merchant_id=meter.merchant_id, meter_id=meter.meter_id, types=types, since=since, until=until
    )
    on_spans(len(spans))
    before = usage_of(parts.store, meter, since, until)
    fill_id, sent = new_id("fil"), list[Sent]()
    waiting = 0
    for some in spans:
        sent += ask(parts, sender, meter, fill_id, some)
        waiting += 1
        if len(sent) >= UNSEALED_MAX:
            waiting = settle(parts, sender, sent, waiting, on_done)
    settle(parts, sender, sent, waiting, on_done)
    after = usage_of(parts.store, meter, since, until)
    return Filled(fill_id, meter, len(spans), compare(before, after))


def ask(parts: ReleaseParts, sender: LogSender, meter: Meter, fill_id: str, span: Span) -> list[Sent]:
    """The message of one span to every partition: each knows only its own events."""
    asked = FillAsked(fill_id, meter.merchant_id, meter.meter_id, *span)
    batch = build_fill(asked, parts.clock.now())
    return [one for partition in range(sender.partitions) for one in sender.send(partition, batch)]


def settle(parts: ReleaseParts, sender: LogSender, sent: list[Sent], spans: int, on_done: Callable[[int], None]) -> int:
    """Wait until what was asked is done."""
    if sent:
        sender.flush()
        wait_until_sealed(parts.books, parts.topic, sent, parts.clock)
        sent.clear()
    on_done(spans)
    return 0


def usage_of(store: UsageStore, meter: Meter, since: datetime, until: datetime) -> pl.DataFrame:
    """The meter's usage over the span, one row a customer."""
    question = UsageQuestion(
        grain="total", since=since, until=until, merchant_ids=(meter.merchant_id,), meters=(meter.code,)
    )
    return usage_by(store, question).select("subject", "events", "quantity")


def compare(before: pl.DataFrame, after: pl.DataFrame) -> tuple[Changed, ...]:
    """The customers whose usage is not what it was."""
    old = {subject: (events, quantity) for subject, events, quantity in before.iter_rows()}
    new = {subject: (events, quantity) for subject, events, quantity in after.iter_rows()}
    changed = []
    for subject in sorted(old.keys() | new.keys()):
        was, is_now = old.get(subject, (0, ZERO)), new.get(subject, (0, ZERO))
        if was != is_now:
            changed.append(Changed(subject, was[0], is_now[0], was[1], is_now[1]))
    return tuple(changed)
