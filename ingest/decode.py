"""From body bytes to shapes, one for each event. Fast over the whole body; event by event once something is wrong."""

from __future__ import annotations

import json
from typing import Any, Literal, NoReturn

import msgspec

from core.errors import Problem, Refused
from core.limits import EVENTS_PER_REQUEST_MAX
from ingest.shape import NumberText, Shape, shape_of

Layout = Literal["document", "lines"]
Decoded = list[Shape | Problem]

ONE = msgspec.json.Decoder(Shape, float_hook=NumberText)
MANY = msgspec.json.Decoder(list[Shape], float_hook=NumberText)
RAW = msgspec.json.Decoder(list[msgspec.Raw])
ANY = msgspec.json.Decoder(float_hook=NumberText)

# What decoding raises for bytes that are not what they should be; nothing else may escape.
FAULTS = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)

# Python objects take more room than the JSON they come from: an array costs 3 bytes there and 80 here.
BYTES_PER_CONTAINER = 96
BYTES_PER_VALUE = 56
OBJECTS_BYTES_MAX = 64 * 1024 * 1024
SMALL_BODY_BYTES = 256 * 1024


def decode_events(body: bytes, layout: Layout) -> Decoded:
    """Decode a body: a JSON object or array of objects (``document``), or one object a line (``lines``).

    Each element is a ``Shape``, or a ``Problem`` when that event alone cannot be read. Raises ``Refused`` when
    the body as a whole cannot be read (400) or holds too much (413).
    """
    check_room(body)
    decoded = decode_lines(body) if layout == "lines" else decode_document(body)
    if len(decoded) > EVENTS_PER_REQUEST_MAX:
        refuse_count()
    if not decoded:
        raise Refused("no_events", "the body holds no event", 422)
    return decoded


def check_room(body: bytes) -> None:
    """Refuse a body whose values would take far more memory than its bytes."""
    if len(body) <= SMALL_BODY_BYTES:
        return
    containers = body.count(b"[") + body.count(b"{")
    room = containers * BYTES_PER_CONTAINER + body.count(b",") * BYTES_PER_VALUE
    if room > OBJECTS_BYTES_MAX:
        raise Refused("too_many_values", "the body holds too many values; send it in several requests", 413)


def refuse_count() -> NoReturn:
    """Too many events in one request."""
    raise Refused("too_many_events", f"a request may hold {EVENTS_PER_REQUEST_MAX} events", 413)


def decode_document(body: bytes) -> Decoded:
    """One object, or an array of them."""
    try:
        if body.lstrip()[:1] == b"{":
            return [ONE.decode(body)]
        return list(MANY.decode(body))
    except FAULTS:
        return decode_one_by_one(body)


def decode_one_by_one(body: bytes) -> Decoded:
    """Decode an array event by event, so that one that cannot be read does not fail the others."""
    try:
        if body.lstrip()[:1] == b"{":
            return [explain(body, whole=True)]
        raws = RAW.decode(body)
    except FAULTS:
        return decode_loosely(body)
    if len(raws) > EVENTS_PER_REQUEST_MAX:
        refuse_count()
    return [decode_one(bytes(raw)) for raw in raws]


def decode_one(raw: bytes) -> Shape | Problem:
    """Decode one event of several, or say what is wrong with it."""
    try:
        return ONE.decode(raw)
    except FAULTS:
        return explain(raw, whole=False)


def explain(raw: bytes, *, whole: bool) -> Shape | Problem:
    """Name what is wrong with one event. When it is the ``whole`` body and not JSON at all, the fault is raised."""
    try:
        return shape_of(ANY.decode(raw))
    except RecursionError:
        return Problem("too_deep", "the event is nested too deeply")
    except msgspec.ValidationError as error:
        return Problem("number_too_long", f"a number has too many digits: {error}"[:200])
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        if whole:
            raise
        return lone_surrogates(raw) or Problem("json_malformed", f"the event is not valid JSON: {error}"[:200])


def lone_surrogates(raw: bytes) -> Problem | None:
    """Whether JSON that the strict decoder refuses is only refused for half a surrogate pair in it."""
    try:
        value = LOOSE.decode(raw.decode())
    except (ValueError, RecursionError):
        return None
    return None if is_unicode(value) else not_unicode()


def refuse_constant(text: str) -> NoReturn:
    """NaN and Infinity are not JSON, whatever the standard library thinks."""
    raise ValueError(f"{text} is not JSON")


# Only this decoder can step over an escape that names half a surrogate pair.
LOOSE = json.JSONDecoder(parse_float=NumberText, parse_constant=refuse_constant)


def decode_loosely(body: bytes) -> Decoded:
    """The last try: JSON that is well formed but for text that is not Unicode, or no JSON at all (400)."""
    try:
        value = LOOSE.decode(body.decode())
    except RecursionError:
        raise Refused("too_deep", "the body is nested too deeply", 422) from None
    except ValueError as error:
        raise Refused("json_malformed", f"the body is not valid JSON: {error}"[:200], 400) from None
    events: list[Any] = value if isinstance(value, list) else [value]
    if len(events) > EVENTS_PER_REQUEST_MAX:
        refuse_count()
    return [shape_of(event) if is_unicode(event) else not_unicode() for event in events]


def is_unicode(value: object) -> bool:
    """Whether all text inside can be written as UTF-8."""
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


def not_unicode() -> Problem:
    """The fault of text with half a surrogate pair in it."""
    return Problem("text_not_unicode", "the event holds text that is not Unicode (a lone surrogate)")


def decode_lines(body: bytes) -> Decoded:
    """NDJSON; blank lines are passed over and do not count."""
    line_count = body.count(b"\n") + (not body.endswith(b"\n"))
    if line_count > EVENTS_PER_REQUEST_MAX:
        refuse_count()
    try:
        shapes = ONE.decode_lines(body)
        # The decoder does not mind two events in one line, or one in two; who counts lines does.
        ends = body.count(b"}\n") + body.count(b"}\r\n") + body.endswith(b"}")
        if len(shapes) == line_count == ends:
            return list(shapes)
    except FAULTS:
        pass
    return [decode_one(line) for line in body.split(b"\n") if line.strip()]
