"""Properties as text: scalars as they were written, nested objects with dotted names, arrays as JSON."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

import orjson

from core.errors import BadEvent
from core.limits import DEPTH_MAX, PROPERTIES_MAX, PROPERTY_NAME_BYTES_MAX, PROPERTY_VALUE_BYTES_MAX
from ingest.needs import Needs
from ingest.shape import NumberText
from ingest.texts import CONTROL

# How a scalar that is no plain string becomes text. Objects, arrays and null are missing here on purpose.
TEXT_OF: dict[type, Callable[[Any], str]] = {
    str: str,
    int: str,
    NumberText: str,
    bool: {True: "true", False: "false"}.__getitem__,
}


def flatten(properties: dict[str, Any]) -> tuple[tuple[str, ...], list[str]]:
    """Names and texts of an event's properties, in the order in which they were sent.

    Raises ``BadEvent`` (``too_deep``, ``property_twice``, ``property_array_too_long``).
    """
    try:
        texts = [value if value.__class__ is str else TEXT_OF[value.__class__](value) for value in properties.values()]
    except KeyError:
        flat: dict[str, str] = {}
        flatten_into(flat, "", properties, depth=1)
        return tuple(flat), list(flat.values())
    return tuple(properties), texts


def flatten_into(flat: dict[str, str], prefix: str, properties: dict[str, Any], *, depth: int) -> None:
    """Add nested properties under dotted names; nulls are left out."""
    if depth > DEPTH_MAX:
        raise BadEvent("too_deep", f"properties may be nested {DEPTH_MAX} levels deep")
    if len(prefix) > PROPERTY_NAME_BYTES_MAX + 1:
        raise name_too_long(prefix)
    for name, value in properties.items():
        full = prefix + name
        if value is None:
            continue
        if isinstance(value, dict):
            flatten_into(flat, full + ".", value, depth=depth + 1)
            continue
        if full in flat:
            raise BadEvent("property_twice", f"two properties are both named {full[:80]!r} once flattened")
        if len(flat) >= PROPERTIES_MAX:
            raise too_many_properties()
        flat[full] = array_text(value) if isinstance(value, list) else TEXT_OF[type(value)](value)


def array_text(values: list[Any]) -> str:
    """An array as compact JSON text, its numbers as they were written."""
    parts: list[str] = []
    write_json(parts, values, depth=1)
    return "".join(parts)


def write_json(parts: list[str], value: Any, *, depth: int) -> None:
    """Append the JSON text of a decoded value. Ours, because no library writes a number from its own text."""
    if depth > DEPTH_MAX:
        raise BadEvent("too_deep", f"properties may be nested {DEPTH_MAX} levels deep")
    if len(parts) > PROPERTY_VALUE_BYTES_MAX:
        raise BadEvent("property_value_too_long", f"a property's text may take {PROPERTY_VALUE_BYTES_MAX} bytes")
    if isinstance(value, dict):
        for place, (name, inner) in enumerate(value.items()):
            parts += ("," if place else "{", orjson.dumps(name).decode(), ":")
            write_json(parts, inner, depth=depth + 1)
        parts.append("}" if value else "{}")
    elif isinstance(value, list):
        for place, inner in enumerate(value):
            parts.append("," if place else "[")
            write_json(parts, inner, depth=depth + 1)
        parts.append("]" if value else "[]")
    elif type(value) is str:
        parts.append(orjson.dumps(value).decode())
    else:
        parts.append("null" if value is None else TEXT_OF[type(value)](value))


@dataclass(frozen=True, slots=True)
class Layout:
    """What is known once an event type has been seen with a set of property names: most events repeat one.

    ``tail`` holds the names, sorted, each after a NUL; ``pick`` brings values into their order. ``required`` and
    ``optional`` are the places, in that order, of values that meters read as numbers.
    """

    tail: str
    pick: Callable[[list[str]], tuple[str, ...]] | None
    required: tuple[int, ...]
    optional: tuple[int, ...]
    metered: bool

    def name_at(self, place: int) -> str:
        """The property whose value stands at ``place``."""
        return self.tail.split("\0")[1 + place]


# By event type and property names in the order sent.
Layouts = dict[tuple[str, ...], Layout]


def plan_layout(names: tuple[str, ...], needs: Needs) -> Layout:
    """Check a set of property names once for all events that have it; raises ``BadEvent``."""
    if len(names) > PROPERTIES_MAX:
        raise too_many_properties()
    for name in names:
        if not name or CONTROL.search(name):
            raise BadEvent("property_name_invalid", "a property's name is empty or holds a control character")
        if len(name) > PROPERTY_NAME_BYTES_MAX or len(name.encode()) > PROPERTY_NAME_BYTES_MAX:
            raise name_too_long(name)
    order = sorted(names)
    for name in needs.required:
        if name not in names:
            reason = f"a meter of this type reads the property {name!r}, which is missing"
            raise BadEvent("value_missing", reason, f"properties.{name}")
    optional = tuple(order.index(name) for name in needs.optional if name in names)
    return Layout(
        tail="".join(f"\0{name}" for name in order),
        pick=None if order == list(names) else itemgetter(*map(names.index, order)),
        required=tuple(map(order.index, needs.required)),
        optional=optional,
        metered=bool(needs.required or optional),
    )


def find_text_fault(names: tuple[str, ...], texts: list[str]) -> BadEvent | None:
    """Look at every value of one event: its length, and that it holds no NUL."""
    joined = "".join(texts)
    if len(joined) <= PROPERTY_VALUE_BYTES_MAX // 4 and "\0" not in joined:
        return None
    for name, text in zip(names, texts, strict=True):
        if len(text) > PROPERTY_VALUE_BYTES_MAX or len(text.encode()) > PROPERTY_VALUE_BYTES_MAX:
            return BadEvent("property_value_too_long", f"{name[:80]!r} is longer than {PROPERTY_VALUE_BYTES_MAX} bytes")
        if "\0" in text:
            return BadEvent("property_value_nul", f"{name[:80]!r} holds a NUL character")
    return None


def too_many_properties() -> BadEvent:
    """More properties than an event may have."""
    return BadEvent("too_many_properties", f"an event may have {PROPERTIES_MAX} properties")


def name_too_long(name: str) -> BadEvent:
    """A property's name beyond its limit."""
    return BadEvent(
        "property_name_too_long", f"a property's name may take {PROPERTY_NAME_BYTES_MAX} bytes: {name[:40]!r}…"
    )
