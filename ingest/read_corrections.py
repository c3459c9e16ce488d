"""From body bytes to what is asked: one correction an element. Corrections are few, so each is read for itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from urllib.parse import parse_qs

import msgspec

from core.errors import Problem, Refused
from core.limits import EVENTS_PER_REQUEST_MAX
from ingest.decode import FAULTS, RAW, Layout, check_room, decode_events, decode_one, refuse_count
from ingest.event import AMEND, RETRACT
from ingest.forms import is_flat
from ingest.shape import Shape

NOTHING = msgspec.Raw(b"")


class Said(msgspec.Struct, gc=False):
    """The fields of a correction, as they are sent; others are passed over."""

    action: str | None = None
    id: str | None = None
    source: str | None = None
    correction_id: str | None = None
    reason: str | None = None
    event: msgspec.Raw = NOTHING


@dataclass(frozen=True, slots=True)
class Asked:
    """One correction: of the event named by ``event_id`` and ``source``, or, to amend, by ``event`` itself.

    ``source`` and ``correction_id`` are None when the sender named none.
    """

    action: int
    event_id: str | None
    source: str | None = None
    correction_id: str | None = None
    reason: str = ""
    event: Shape | None = None


Read = list[Asked | Problem]

ONE = msgspec.json.Decoder(Said)


def read_corrections(body: bytes, layout: Layout) -> Read:
    """The corrections of a body: one object, an array of them (``document``), or one a line (``lines``).

    Raises ``Refused`` when the body as a whole cannot be read (400), holds too much (413) or nothing (422).
    """
    check_room(body)
    raws = split_body(body, layout)
    if len(raws) > EVENTS_PER_REQUEST_MAX:
        refuse_count()
    if not raws:
        raise Refused("no_corrections", "the body holds no correction", 422)
    return [read_one(raw) for raw in raws]


def split_body(body: bytes, layout: Layout) -> list[bytes]:
    """The JSON text of each correction."""
    if layout == "lines":
        return [line for line in body.split(b"\n") if line.strip()]
    if body.lstrip()[:1] != b"[":
        return [body]
    try:
        return list(map(bytes, RAW.decode(body)))
    except FAULTS as error:
        raise Refused("json_malformed", f"the body is not valid JSON: {error}"[:200], 400) from None


def read_one(raw: bytes) -> Asked | Problem:
    """One correction, or what is wrong with its outer form."""
    try:
        said = ONE.decode(raw)
    except msgspec.ValidationError as error:
        return Problem("wrong_type", f"the correction does not have the form it must: {error}"[:200])
    except FAULTS as error:
        return Problem("json_malformed", f"the correction is not valid JSON: {error}"[:200])
    if said.action == "retract":
        return Asked(RETRACT, said.id, said.source, said.correction_id, said.reason or "")
    if said.action == "amend":
        return read_amendment(said)
    return Problem("action_unknown", "action is retract or amend", "action")


def read_amendment(said: Said) -> Asked | Problem:
    """An amendment: the event as it should have been, in any of the three forms."""
    raw = bytes(said.event)
    if not raw or raw == b"null":
        return Problem("event_missing", "an amendment holds the event as it should have been", "event")
    event = decode_one(raw)
    if isinstance(event, Problem):
        return Problem(event.code, event.message, f"event.{event.field}" if event.field else "event")
    return of_event(Asked(AMEND, said.id, said.source, said.correction_id, said.reason or ""), event)


def of_event(asked: Asked, event: Shape) -> Asked | Problem:
    """Bring together an amendment and its event: both may name the id and the source, and must not disagree."""
    if asked.event_id is not None and event.id not in {None, asked.event_id}:
        return Problem("id_differs", "the event is called otherwise than what it amends", "id")
    if asked.source is not None and event.source not in {None, asked.source}:
        return Problem("source_differs", "the event has another source than what it amends", "source")
    if asked.source and is_flat_form(event):
        return Problem("source_differs", "events of the flat form have no source: send another form", "source")
    event.id = event.id if event.id is not None else asked.event_id
    if event.source is None and asked.source:
        event.source = asked.source
    return replace(asked, event_id=event.id, event=event)


def is_flat_form(event: Shape) -> bool:
    """Whether an event is of the flat form, which has no source."""
    return event.specversion is None and is_flat(event)


def read_retraction(body: bytes, event_id: str, query: Mapping[str, str]) -> Asked:
    """``POST /v1/events/{id}/retract``: the body may be empty, or an object with source, correction_id and reason."""
    said = Said()
    if body.strip():
        try:
            said = ONE.decode(body)
        except FAULTS as error:
            raise Refused("json_malformed", f"the body is not what it must be: {error}"[:200], 400) from None
    if said.id not in {None, event_id} or said.action not in {None, "retract"}:
        raise Refused("id_differs", "the body asks for something else than the address", 422)
    source = said.source if said.source is not None else query.get("source")
    correction_id = said.correction_id or query.get("correction_id")
    return Asked(RETRACT, event_id, source, correction_id, said.reason or query.get("reason", ""))


def read_put(body: bytes, layout: Layout, event_id: str, query: Mapping[str, str]) -> Asked | Problem:
    """``PUT /v1/events/{id}``: the body is the event as it should have been; its id may be left out."""
    decoded = decode_events(body, layout)
    if len(decoded) != 1:
        raise Refused("one_event", "send the one event that the address names", 422)
    (event,) = decoded
    if isinstance(event, Problem):
        return event
    asked = Asked(AMEND, event_id, query.get("source"), query.get("correction_id"), query.get("reason", ""))
    return of_event(asked, event)


def read_query(query: bytes) -> dict[str, str]:
    """The parameters of an address; of one that is given twice the last counts."""
    found = parse_qs(query.decode("latin-1"), keep_blank_values=True)
    return {name: values[-1] for name, values in found.items()}
