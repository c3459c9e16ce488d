"""The stream's promise in plain Python decimals, one event at a time: slow, short, and written without its code."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from itertools import pairwise

from catalog.meter import Filter, Meter
from core.errors import BadEvent
from core.quantity import EXACT, parse_quantity
from ingest.event import body_hash, event_key
from tests.streams.builders import Said
from tests.streams.expression_oracle import worked_out

Window = tuple[str, str, datetime, str]


@dataclass
class Total:
    """What a window holds."""

    events: int = 0
    sum: Decimal = Decimal(0)
    min: Decimal | None = None
    max: Decimal | None = None
    last: tuple[datetime, bytes, Decimal] | None = None
    values: set[str] = field(default_factory=set)


@dataclass
class Naive:
    """Feeds on events in the order of the log."""

    meters: Sequence[Meter]
    subjects: Sequence[str]
    fates: list[tuple[str, str, str]] = field(default_factory=list)
    windows: dict[Window, Total] = field(default_factory=dict)
    keys: dict[bytes, int] = field(default_factory=dict)

    def feed(self, events: Iterable[Said]) -> None:
        """Take events in."""
        for event in events:
            fate, reason = self.judge(event)
            self.fates.append((event.id, fate, reason))

    def judge(self, event: Said) -> tuple[str, str]:
        """The fate of one event, and its effect on the windows."""
        key = event_key(event.merchant, event.source, event.id)
        body = body_hash(event.type, event.subject, event.at.isoformat(), event.properties)
        if key in self.keys:
            return ("duplicate" if self.keys[key] == body else "conflict"), ""
        mine = [m for m in self.meters if m.merchant_id == event.merchant and m.event_type == event.type]
        feeding = [m for m in sorted(mine, key=lambda m: m.code) if all_hold(m.filters, event)]
        try:
            values = [value_of(m, event) for m in feeding]
        except BadEvent as bad:
            return "rejected", bad.code
        self.keys[key] = body
        if not mine:
            return "held", "unknown_meter"
        if event.subject not in self.subjects or event.merchant != "mer_a":
            return "held", "unknown_customer"
        for fed, value in zip(feeding, values, strict=True):
            self.count(fed, event, key, value)
        return "stored", ""

    def count(self, fed: Meter, event: Said, key: bytes, value: Decimal | None) -> None:
        """Add one event to one window."""
        start = event.at.replace(second=0, microsecond=0)
        total = self.windows.setdefault((fed.code, event.subject, start, group_of(fed, event)), Total())
        total.events += 1
        if fed.aggregation == "count":
            total.sum += 1
        if fed.aggregation == "unique" and fed.value_property:
            total.values.add(event.properties[fed.value_property])
        if value is not None:
            total.sum = EXACT.add(total.sum, value)
            total.min = value if total.min is None else min(total.min, value)
            total.max = value if total.max is None else max(total.max, value)
            if fed.aggregation == "latest" and (total.last is None or total.last[:2] < (event.at, key)):
                total.last = (event.at, key, value)


def all_hold(filters: Sequence[Filter], event: Said) -> bool:
    """Whether each filter holds, or one of the alternatives that follow it."""
    starts = [place for place, condition in enumerate(filters) if not condition.alternative]
    bounds = [*starts, len(filters)]
    return all(any(holds(condition, event) for condition in filters[start:end]) for start, end in pairwise(bounds))


def holds(condition: Filter, event: Said) -> bool:
    """Whether one filter holds."""
    text = event.properties.get(condition.property)
    return (text is not None and text_holds(condition.op, text, condition.values)) != (
        condition.negated != (condition.op in {"ne", "not_in"})
    )


def text_holds(op: str, text: str, values: Sequence[str]) -> bool:
    """Whether a text is as an operator wants it, before the answer is turned round."""
    match op:
        case "exists":
            return True
        case "contains":
            return any(value in text for value in values)
        case "prefix":
            return text.startswith(tuple(values))
        case "lt" | "lte" | "gt" | "gte":
            try:
                number, bound = parse_quantity(text), parse_quantity(values[0])
            except BadEvent:
                return False
            return {"lt": number < bound, "lte": number <= bound, "gt": number > bound, "gte": number >= bound}[op]
    return text in values


def value_of(fed: Meter, event: Said) -> Decimal | None:
    """The number that a meter reads, if it reads one."""
    if fed.expression is not None:
        return worked_out(fed.expression, event.properties)
    if fed.value_property is None:
        return None
    text = event.properties.get(fed.value_property)
    if text is None:
        raise BadEvent("value_missing", "")
    return None if fed.aggregation == "unique" else parse_quantity(text)


def group_of(fed: Meter, event: Said) -> str:
    """The group key."""
    group = {name: event.properties.get(name) for name in fed.group_by}
    return json.dumps(group, separators=(",", ":"), ensure_ascii=False) if group else ""
