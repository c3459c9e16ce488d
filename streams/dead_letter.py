"""Records that can never be counted, kept with where they lay, why, and what they said."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from streams.compiled import NONE, Compiled
from streams.decode import Unreadable
from streams.measure import REASONS, Measured

WHOLE_MESSAGE = -1


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One record set aside. ``position`` is -1, and ``raw`` has the bytes, when a whole message was unreadable."""

    kafka_offset: int
    position: int
    merchant_id: str
    event_id: str
    code: str
    message: str
    payload: dict[str, Any] | None
    raw: bytes | None


def of_messages(unreadable: Iterable[Unreadable]) -> Iterator[DeadLetter]:
    """Letters of whole messages; nobody can tell whose they are."""
    for bad in unreadable:
        yield DeadLetter(bad.offset, WHOLE_MESSAGE, "", "", bad.code, bad.message, None, bad.raw)


def of_events(
    events: pa.Table, rows: npt.NDArray[np.int64], measured: Measured, catalog: Compiled
) -> Iterator[DeadLetter]:
    """Letters of single events. One Python step for each, which the share of bad events must stay small for."""
    for row, event in zip(rows.tolist(), events.take(pa.array(rows)).to_pylist(), strict=True):
        code = REASONS[int(measured.reason[row])]
        yield DeadLetter(
            kafka_offset=event["kafka_offset"],
            position=event["position"],
            merchant_id=event["merchant_id"],
            event_id=event["event_id"],
            code=code,
            message=explained(event, int(measured.refused_by[row]), catalog),
            payload=as_payload(event),
            raw=None,
        )


def explained(event: dict[str, Any], meter: int, catalog: Compiled) -> str:
    """What was wrong, in words for the merchant."""
    if meter == NONE:
        return f"its time {event['occurred_at']} cannot be stored"
    name = catalog.property_names[int(catalog.value_property[meter])]
    said = dict(event["properties"]).get(name)
    code = catalog.meters["meter"][meter]
    return f"meter {code} needs property {name}" + ("" if said is None else f", which is {said[:60]!r}")


def as_payload(event: dict[str, Any]) -> dict[str, Any]:
    """The event in the form in which its sender could send it again."""
    return {
        "id": event["event_id"],
        "source": event["source"],
        "type": event["type"],
        "subject": event["subject"],
        "time": event["occurred_at"].isoformat(),
        "properties": dict(event["properties"]),
    }
