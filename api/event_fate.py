"""What became of an event: the answer to one id, from the log to the invoice line, or why it did not get that far."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Engine

from api.bills_of import BillOf, bills_of
from api.find_copies import Copy, find_copies, principal, taken_back
from api.windows_of import WindowOf, windows_of
from clickhouse.client import UsageStore
from core.db import transaction
from core.quantity import plain_text

# The first of these that holds for any of an event's windows is its fate.
ORDER = ("billed", "late", "parked", "drafted", "open", "unpriced")
EXPLAINED = {
    "billed": "It is billed.",
    "late": "It was stored after its period was closed. It is kept, and carried over by the merchant's policy.",
    "parked": "Its charge is parked: mend the reason that is given and close the period again.",
    "drafted": "It is charged; its invoice has no number yet.",
    "open": "It is counted; its period is not closed yet.",
    "unpriced": "It is counted, but no subscription of its customer has a price for its meters.",
    "uncounted": "It is stored; the filters of all meters of its type leave it out.",
    "rejected": "It can never be counted. Send it again, mended, under the same id.",
    "duplicate": "Copies of it are kept; its first copy is no longer within the dedupe horizon.",
    "conflict": "Another event with the same id and source says something else; the first one counts.",
    "retracted": "It was taken back by the correction {correction!r} at {at}. To count it again, amend it.",
}
HELD = {
    "unknown_meter": "It is held: no meter counts events of type {type!r}. Add one, and it is counted by itself.",
    "unknown_customer": "It is held: no customer has the key {subject!r}. Add one, and it is counted by itself.",
    "backfill": "It is held by the backfill {correction!r}. Close that, and it is counted; revert it, and it never is.",
    "unknown_event": "No event of this id was there when the correction {correction!r} came, which is held and does "
    "nothing. Send the event, then the correction again.",
}


@dataclass(frozen=True, slots=True)
class EventFate:
    """``fate`` is billed, late, parked, drafted, open, unpriced, uncounted, held, rejected, duplicate, conflict or
    retracted. ``first`` is the copy that it follows from.
    """

    fate: str
    explanation: str
    first: Copy
    copies: tuple[Copy, ...]
    windows: tuple[WindowOf, ...]
    bills: tuple[BillOf, ...]


def event_fate(
    books: Engine, store: UsageStore, topic: str, *, merchant_id: str, event_id: str, source: str | None = None
) -> EventFate:
    """Trace one merchant's event; see ``find_copies`` for what is raised. Raises ``Transient`` as well."""
    with transaction(books) as connection:
        copies = find_copies(connection, store, topic, merchant_id=merchant_id, event_id=event_id, source=source)
        first = principal(copies)
        windows: list[WindowOf] = []
        bills: list[BillOf] = []
        if first.fate == "stored":
            windows = windows_of(connection, merchant_id, first)
            bills = bills_of(connection, merchant_id, first, windows)
        elif first.fate == "retraction" and (was := taken_back(copies, first)) is not None:
            bills = bills_of(connection, merchant_id, first, windows_of(connection, merchant_id, was), was)
    fate = fate_of(first, windows, bills)
    return EventFate(fate, explain(fate, first), first, tuple(copies), tuple(windows), tuple(bills))


def fate_of(first: Copy, windows: list[WindowOf], bills: list[BillOf]) -> str:
    """The word for it."""
    if first.fate != "stored":
        return "retracted" if first.fate == "retraction" else first.fate
    if not windows:
        return "uncounted"
    found = {bill.outcome for bill in bills}
    return next(outcome for outcome in ORDER if outcome in found)


def explain(fate: str, first: Copy) -> str:
    """The sentence for it, and what to do where something can be done."""
    correction, at = first.correction_id, first.stored_at.isoformat()
    if fate == "held":
        template = HELD.get(first.reason, "It is held: {reason}.")
        return template.format(type=first.type, subject=first.subject, reason=first.reason, correction=correction)
    said = EXPLAINED[fate]
    if fate == "retracted":
        return said.format(correction=correction, at=at)
    if first.corrects:
        how = "amended" if first.action == "amend" else "released"
        said += f" It counts as {how} by the correction {correction!r} at {at}."
    return f"{said[:-1]}: {first.detail or first.reason}." if fate == "rejected" else said


def fate_json(found: EventFate) -> dict[str, Any]:
    """The answer for programs; quantities and money are text."""
    first = found.first
    return {
        "id": first.event_id,
        "source": first.source,
        "type": first.type,
        "subject": first.subject,
        "customer_id": first.customer_id or None,
        "occurred_at": first.occurred_at.isoformat(),
        "properties": first.properties,
        "fate": found.fate,
        "reason": first.reason or None,
        "explanation": found.explanation,
        "correction": correction_json(first) if first.corrects else None,
        "copies": [copy_json(copy) for copy in found.copies],
        "windows": [window_json(window) for window in found.windows],
        "bills": [bill_json(bill) for bill in found.bills],
    }


def correction_json(copy: Copy) -> dict[str, Any]:
    """The correction that an event's fate follows from."""
    return {"id": copy.correction_id, "action": copy.action, "stored_at": copy.stored_at.isoformat()}


def copy_json(copy: Copy) -> dict[str, Any]:
    """One copy or correction: what it said, what the stream made of it, when, and where it lies."""
    place, block = copy.place, copy.block
    changed = {"subject": copy.subject, "occurred_at": copy.occurred_at.isoformat(), "properties": copy.properties}
    return {
        "action": copy.action,
        "correction_id": copy.correction_id or None,
        "fate": copy.fate,
        "reason": copy.reason or None,
        **(changed if copy.action != "event" else {}),
        "detail": copy.detail,
        "received_at": copy.received_at.isoformat(),
        "stored_at": copy.stored_at.isoformat(),
        "lies": {
            "incarnation": place.incarnation,
            "partition": place.partition,
            "offset": place.offset,
            "position": place.position,
        },
        "block": {
            "first": block.first,
            "last": block.last,
            "state": block.state,
            "sealed_at": instant(block.sealed_at),
            "catalog_version": block.catalog_version,
            "digest": block.digest,
        },
    }


def window_json(window: WindowOf) -> dict[str, Any]:
    """One window."""
    return {
        "meter": window.meter,
        "meter_id": window.meter_id,
        "aggregation": window.aggregation,
        "minute": window.minute.isoformat(),
        "group": window.group,
        "quantity": None if window.quantity is None else plain_text(window.quantity),
        "value": window.value,
    }


def bill_json(bill: BillOf) -> dict[str, Any]:
    """What became of one window's usage."""
    said: dict[str, Any] = {"meter": bill.meter, "outcome": bill.outcome, "why": bill.why}
    line = bill.line
    if line is not None:
        said["line"] = {
            "invoice": line.number,
            "invoice_id": line.invoice_id,
            "state": line.state,
            "period": line.period,
            "line": line.line,
            "description": line.description,
            "quantity": plain_text(line.quantity),
            "unrounded": plain_text(line.unrounded),
            "amount": str(line.amount.decimal()),
            "currency": line.amount.currency,
        }
    return said


def instant(moment: datetime | None) -> str | None:
    """An instant in ISO 8601."""
    return None if moment is None else moment.isoformat()
