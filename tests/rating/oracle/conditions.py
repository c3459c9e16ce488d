"""The conditions of a meter's filters by their definition, each as a function of an event's properties."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from functools import lru_cache
from typing import Any

from core.errors import BadEvent
from core.quantity import parse_quantity

Holds = Callable[[Mapping[str, str]], bool]


def condition(entry: Mapping[str, Any]) -> Holds:
    """What an entry of ``filters`` asks, as a file says it."""
    if "not" in entry:
        inner = condition(entry["not"])
        return lambda properties: not inner(properties)
    if "any" in entry or "all" in entry:
        combine = any if "any" in entry else all
        parts = [condition(one) for one in entry["any" if "any" in entry else "all"]]
        return lambda properties: combine([part(properties) for part in parts])
    name, op, values = entry["property"], entry["op"], entry.get("values", ())
    if op in {"ne", "not_in"}:
        return lambda properties: properties.get(name) not in values
    asked = of_text(op, values)
    return lambda properties: name in properties and asked(properties[name])


def of_text(op: str, values: list[str]) -> Callable[[str], bool]:
    """A condition on a text that is there."""
    if op == "exists":
        return lambda _text: True
    if op == "contains":
        return lambda text: any(value in text for value in values)
    if op == "prefix":
        return lambda text: any(text.startswith(value) for value in values)
    if op in {"eq", "in"}:
        return lambda text: text in values
    bound = parse_quantity(values[0])
    in_order: dict[str, Callable[[Decimal], bool]] = {
        "lt": lambda number: number < bound,
        "lte": lambda number: number <= bound,
        "gt": lambda number: number > bound,
        "gte": lambda number: number >= bound,
    }
    return lambda text: (number := number_of(text)) is not None and in_order[op](number)


@lru_cache(maxsize=256)
def number_of(text: str) -> Decimal | None:
    """The quantity that a text says, if it is one."""
    try:
        return parse_quantity(text)
    except BadEvent:
        return None
