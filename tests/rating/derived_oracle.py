"""Derived quantities by their definitions: one pass over raw events in plain Python, in decimals."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal, localcontext
from itertools import pairwise
from zoneinfo import ZoneInfo

from core.quantity import EXACT

SMALLEST = Decimal("0.000000000001")
MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True)
class Fact:
    """An event that counts: when, under which key, with which value, and of which group."""

    at: datetime
    key: bytes
    value: Decimal
    group: str = ""


def rounded(number: Decimal) -> Decimal:
    """Twelve places, halves away from zero."""
    with localcontext(EXACT):
        return number.quantize(SMALLEST, ROUND_HALF_UP)


def mean(values: Sequence[Decimal]) -> Decimal:
    """The average, rounded once."""
    with localcontext(EXACT):
        return rounded(sum(values, Decimal(0)) / len(values))


def added(values: Sequence[Decimal]) -> Decimal:
    """The sum."""
    with localcontext(EXACT):
        return sum(values, Decimal(0))


FOLDS: dict[str, Callable[[Sequence[Decimal]], Decimal]] = {
    "count": lambda values: Decimal(len(values)),
    "unique": lambda values: Decimal(len(set(values))),
    "sum": added,
    "min": min,
    "max": max,
    "avg": mean,
    "latest": lambda values: values[-1],
}


def in_period(facts: Sequence[Fact], start: datetime, end: datetime) -> list[Fact]:
    """The facts of a period in their order."""
    return sorted((fact for fact in facts if start <= fact.at < end), key=lambda fact: (fact.at, fact.key))


def bucketed(
    facts: Sequence[Fact], start: datetime, end: datetime, how: tuple[str, str, str], zone: str = "UTC"
) -> Decimal:
    """Fold each bucket of a unit that was used, then combine them."""
    fold, unit, combine = how
    formats = {"minute": "%Y-%m-%d %H:%M %z", "hour": "%Y-%m-%d %H %z", "day": "%Y-%m-%d"}
    buckets: dict[str, list[Decimal]] = {}
    for fact in in_period(facts, start, end):
        buckets.setdefault(fact.at.astimezone(ZoneInfo(zone)).strftime(formats[unit]), []).append(fact.value)
    folded = [FOLDS[fold](values) for values in buckets.values()]
    return FOLDS[combine](folded) if folded else Decimal(0)


def percentile(facts: Sequence[Fact], start: datetime, end: datetime, percent: Decimal) -> Decimal:
    """The smallest value that at least so many of a hundred are not above."""
    values = sorted(fact.value for fact in in_period(facts, start, end))
    for place, value in enumerate(values, start=1):
        if place * 100 >= percent * len(values):
            return value
    return Decimal(0)


def level_at(facts: Sequence[Fact], at: datetime, *, gauge: bool) -> Decimal:
    """The value at an instant: the last of each group, or all changes together."""
    known = sorted((fact for fact in facts if fact.at <= at), key=lambda fact: (fact.at, fact.key))
    if not gauge:
        return added([fact.value for fact in known])
    return added(list({fact.group: fact.value for fact in known}.values()))


def risen(facts: Sequence[Fact], start: datetime, end: datetime) -> Decimal:
    """What each group's counter rose by in a period, from reading to reading; one that falls began anew from 0."""
    readings: dict[str, dict[datetime, Decimal]] = {}
    for fact in sorted(facts, key=lambda fact: (fact.at, fact.key)):
        readings.setdefault(fact.group, {})[fact.at] = fact.value
    rises = [
        value - before if value >= before else max(value, Decimal(0))
        for read in readings.values()
        for (_, before), (at, value) in pairwise(read.items())
        if start <= at < end
    ]
    return added(rises)


def lasting(facts: Sequence[Fact], start: datetime, end: datetime, what: str, *, gauge: bool) -> Decimal:
    """``end``, ``max`` or ``rise`` of the value in a period, or its time, by the ``hour`` or ``second``."""
    if what == "rise":
        return risen(facts, start, end)
    instants = sorted({start, *(fact.at for fact in facts if start <= fact.at < end)})
    levels = [level_at(facts, at, gauge=gauge) for at in instants]
    if what in ("end", "max"):
        return levels[-1] if what == "end" else max(levels)
    seconds = {"hour": 3_600, "second": 1}[what]
    with localcontext(EXACT):
        held = [
            level * ((until - at) // MICROSECOND)
            for level, at, until in zip(levels, instants, [*instants[1:], end], strict=True)
        ]
        return rounded(sum(held, Decimal(0)) / (seconds * 1_000_000))
