"""The outer shape of an event in any of the three forms, read in one pass."""

from __future__ import annotations

from typing import Any

import msgspec

from core.errors import Problem


class NumberText(str):
    """A JSON number with a point or exponent, kept as the very text that was sent."""

    __slots__ = ()


class Shape(msgspec.Struct, gc=False):
    """Every field that one of the forms has; those of the other forms stay ``None``.

    Fields that no form knows are passed over, as CloudEvents asks of extension attributes.
    """

    specversion: str | None = None
    id: str | None = None
    source: str | None = None
    type: str | None = None
    subject: str | None = None
    time: Any = None
    data: dict[str, Any] | None = None
    data_base64: Any = None
    properties: dict[str, Any] | None = None
    customer_id: str | None = None
    sku_id: str | None = None
    amount: Any = None
    sent_at: Any = None


TEXT_FIELDS = ("specversion", "id", "source", "type", "subject", "customer_id", "sku_id")
OBJECT_FIELDS = ("data", "properties")
FREE_FIELDS = ("time", "data_base64", "amount", "sent_at")


def shape_of(value: object) -> Shape | Problem:
    """Build a shape from a decoded JSON value, or name the first field that has the wrong JSON type."""
    if not isinstance(value, dict):
        return Problem("event_not_object", "an event must be a JSON object")
    for name in TEXT_FIELDS:
        # A number's text is a string to Python, but it was no string to its sender.
        if value.get(name) is not None and type(value[name]) is not str:
            return Problem("wrong_type", f"{name} must be a JSON string", name)
    for name in OBJECT_FIELDS:
        if value.get(name) is not None and not isinstance(value[name], dict):
            return Problem("wrong_type", f"{name} must be a JSON object", name)
    return Shape(**{name: value.get(name) for name in (*TEXT_FIELDS, *OBJECT_FIELDS, *FREE_FIELDS)})
