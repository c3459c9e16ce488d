"""The three forms of an event, brought into the same columns."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from core.errors import BadEvent, Problem
from ingest.quantity_text import plain_quantity
from ingest.shape import NumberText, Shape

SPECVERSION = "1.0"
EMPTY: dict[str, Any] = {}


@dataclass(slots=True)
class Draft:
    """Columns of events that have the right outer shape; ``faults`` names rows that turned out wrong so far."""

    ids: list[str | None] = field(default_factory=list)
    sources: list[str] = field(default_factory=list)
    types: list[str | None] = field(default_factory=list)
    subjects: list[str | None] = field(default_factory=list)
    times: list[Any] = field(default_factory=list)
    properties: list[dict[str, Any]] = field(default_factory=list)
    faults: dict[int, Problem] = field(default_factory=dict)


def draft_events(shapes: list[Shape], *, cloud_only: bool) -> Draft:
    """Sort the fields of each event into columns. ``cloud_only`` refuses what is not a CloudEvent."""
    marks = [shape.specversion for shape in shapes]
    # Requests hold one form, nearly always: whole columns are then read at once.
    if marks.count(SPECVERSION) == len(marks):
        return draft_cloud_events(shapes)
    if not cloud_only and marks.count(None) == len(marks) and not any(map(is_flat, shapes)):
        return draft_plain_events(shapes)
    return draft_one_by_one(shapes, cloud_only=cloud_only)


def is_flat(shape: Shape) -> bool:
    """Whether an event without ``specversion`` is of the flat form."""
    return shape.sku_id is not None or shape.customer_id is not None


def draft_cloud_events(shapes: list[Shape]) -> Draft:
    """CloudEvents 1.0: the properties are in ``data``."""
    draft = Draft(
        ids=[shape.id for shape in shapes],
        sources=[shape.source or "" for shape in shapes],
        types=[shape.type for shape in shapes],
        subjects=[shape.subject for shape in shapes],
        times=[shape.time for shape in shapes],
        properties=[shape.data or EMPTY for shape in shapes],
    )
    if "" in draft.sources or any(shape.data_base64 is not None for shape in shapes):
        for row, shape in enumerate(shapes):
            fault = cloud_fault(shape)
            if fault:
                draft.faults[row] = fault
    return draft


def draft_plain_events(shapes: list[Shape]) -> Draft:
    """The plain form: ``{id, type, subject, time, properties}``, and ``source`` for those who have several."""
    return Draft(
        ids=[shape.id for shape in shapes],
        sources=[shape.source or "" for shape in shapes],
        types=[shape.type for shape in shapes],
        subjects=[shape.subject for shape in shapes],
        times=[shape.time for shape in shapes],
        properties=[shape.properties or EMPTY for shape in shapes],
    )


def draft_one_by_one(shapes: list[Shape], *, cloud_only: bool) -> Draft:
    """Events of several forms, or of the flat one."""
    draft = Draft()
    for row, shape in enumerate(shapes):
        flat = shape.specversion is None and is_flat(shape)
        draft.ids.append(shape.id)
        draft.sources.append("" if flat else shape.source or "")
        draft.types.append(shape.sku_id if flat else shape.type)
        draft.subjects.append(shape.customer_id if flat else shape.subject)
        draft.times.append(shape.sent_at if flat else shape.time)
        fault = None
        if cloud_only or shape.specversion is not None:
            fault = cloud_fault(shape)
            draft.properties.append(shape.data or EMPTY)
        elif flat:
            fault = flat_fault(shape)
            draft.properties.append({"amount": shape.amount})
        else:
            draft.properties.append(shape.properties or EMPTY)
        if fault:
            draft.faults[row] = fault
    return draft


def cloud_fault(shape: Shape) -> Problem | None:
    """What CloudEvents demands besides the fields that all forms share."""
    if shape.specversion is None:
        return Problem("specversion_missing", "a CloudEvent names its specversion", "specversion")
    if shape.specversion != SPECVERSION:
        return Problem("specversion_unknown", f"specversion must be {SPECVERSION!r}", "specversion")
    if not shape.source:
        return Problem("source_missing", "a CloudEvent has a source", "source")
    if shape.data_base64 is not None:
        return Problem("data_not_object", "data must be a JSON object, not base64", "data_base64")
    return None


def flat_fault(shape: Shape) -> Problem | None:
    """The flat form exists to carry an amount, so it must; it is written plainly from here on."""
    amount = shape.amount
    if amount is None:
        return Problem("amount_missing", "an event of the flat form has an amount", "amount")
    if type(amount) is int:
        amount = NumberText(amount)
    if not isinstance(amount, str):
        return Problem("value_not_numeric", "amount must be a decimal number", "amount")
    try:
        shape.amount = plain_quantity(amount)
    except BadEvent as bad:
        return Problem(bad.code, bad.message, "amount")
    return None
