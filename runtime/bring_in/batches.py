"""Rows gathered into request bodies, within the gateway's bounds on events and bytes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import orjson

from core.limits import BODY_BYTES_MAX, EVENTS_PER_REQUEST_MAX
from runtime.bring_in.mapping import Mapping, event_of
from runtime.bring_in.row import RowFailure, RowSource

# Room for the brackets.
BATCH_BYTES_MAX = BODY_BYTES_MAX - 2


@dataclass(frozen=True, slots=True)
class Batch:
    """Some rows: ``rows`` are the numbers of the events in ``body``, ``failures`` the rows without one.

    ``last_row`` is the last row that this batch covers; ``share_read`` how much of the file was read by then.
    """

    body: bytes
    rows: list[int]
    failures: list[RowFailure]
    last_row: int
    share_read: float


def batches_of(
    source: RowSource, mapping: Mapping, import_: str, *, events_max: int, after_row: int = 0
) -> Iterator[Batch]:
    """All rows after ``after_row``, in order, in batches of up to ``events_max`` events."""
    events_max = min(events_max, EVENTS_PER_REQUEST_MAX)
    parts: list[bytes] = []
    rows: list[int] = []
    failures: list[RowFailure] = []
    size = last_row = 0
    for row in source.rows():
        if row.number <= after_row:
            continue
        event = event_of(mapping, import_, row)
        part = b"" if isinstance(event, RowFailure) else orjson.dumps(event)
        if len(part) >= BATCH_BYTES_MAX:
            event = RowFailure(row.number, "row_too_large", f"the row makes an event of {len(part)} bytes")
            part = b""
        full = len(rows) >= events_max or len(failures) >= events_max or size + len(part) >= BATCH_BYTES_MAX
        if full and (rows or failures):
            yield Batch(_body(parts), rows, failures, last_row, source.share_read())
            parts, rows, failures, size = [], [], [], 0
        if isinstance(event, RowFailure):
            failures.append(event)
        else:
            parts.append(part)
            rows.append(row.number)
            size += len(part) + 1
        last_row = row.number
    if rows or failures:
        yield Batch(_body(parts), rows, failures, last_row, 1.0)


def _body(parts: list[bytes]) -> bytes:
    return b"[" + b",".join(parts) + b"]"
