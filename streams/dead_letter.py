"""Records that can never be counted, kept with where they lay, why, and what they said."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from core.errors import BadEvent, Stop
from core.limits import DEAD_LETTER_EVENTS_MIN
from core.quantity import parse_quantity
from streams.compiled import NONE, Compiled
from streams.decode import Unreadable
from streams.measure import REASONS, Measured
from streams.rows import REJECTED

WHOLE_MESSAGE = -1
PERCENT = 100
# Only a correction is rejected for these: an event that counts must not wait because of it.
UNKNOWN = {"unknown_meter": "a meter of its type", "unknown_customer": "its customer"}
UNKNOWN_BY = {"unknown_meter": "type", "unknown_customer": "subject"}


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
            message=explained(event, code, int(measured.refused_by[row]), catalog),
            payload=as_payload(event),
            raw=None,
        )


def refuse_poison(events: pa.Table, percent_max: int, *, events_min: int = DEAD_LETTER_EVENTS_MIN) -> None:
    """Raise ``Stop`` when so many of a block's events (EVENTS_SCHEMA) are rejected that the release must be wrong.

    Both the share of all events and the merchants' own shares, averaged, must be above ``percent_max``: a merchant
    who sends nothing but bad events is no reason to stop everybody, nor are single bad events of many.
    """
    count = events.num_rows
    if percent_max >= PERCENT or count < events_min:
        return
    bad = np.asarray(events.column("fate").combine_chunks()) == REJECTED
    if bad.sum() * PERCENT <= percent_max * count:
        return
    shares = (
        pl.DataFrame({"merchant": pl.from_arrow(events.column("merchant_id")), "bad": bad})
        .group_by("merchant")
        .agg(percent=pl.col("bad").sum() * PERCENT / pl.len())
    )
    average = shares["percent"].sum() / shares.height
    if average > percent_max:
        raise Stop(
            f"{int(bad.sum())} of {count} events of one block would be dead letters, {average:.1f} % averaged over "
            f"{shares.height} merchants; more than {percent_max} % stop the stream"
        )


def explained(event: dict[str, Any], code: str, meter: int, catalog: Compiled) -> str:
    """What was wrong, in words for the merchant."""
    if code in UNKNOWN:
        return f"it would correct an event, but {UNKNOWN[code]} is not known: {event[UNKNOWN_BY[code]][:60]!r}"
    if meter == NONE:
        return f"its time {event['occurred_at']} cannot be stored"
    meter_code = catalog.meters["meter"][meter]
    said = dict(event["properties"])
    if catalog.formula[meter] == NONE:
        return f"meter {meter_code} {needed(catalog.property_names[int(catalog.value_property[meter])], said)}"
    expression = catalog.formulas[int(catalog.formula[meter])].expression
    name = next((name for name in expression.properties if not is_quantity(said.get(name))), None)
    if name is not None:
        return f"meter {meter_code} {needed(name, said)}"
    why = "divides by zero" if code == "value_divided_by_zero" else "comes to too large a number"
    values = ", ".join(f"{name} = {said[name][:40]}" for name in expression.properties)
    return f"the expression of meter {meter_code} {why} for {values}"


def needed(name: str, said: Mapping[str, str]) -> str:
    """Which property has no value that can be used."""
    return f"needs property {name}" + (f", which is {said[name][:60]!r}" if name in said else "")


def is_quantity(text: str | None) -> bool:
    """Whether a text is an exact quantity."""
    try:
        return text is not None and parse_quantity(text) is not None
    except BadEvent:
        return False


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
