"""Aggregations by their definitions, in plain decimals, with one pass over the sorted facts of a customer's meter."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Context, Decimal, localcontext
from functools import lru_cache
from itertools import groupby
from zoneinfo import ZoneInfo

from core.derivation import Derivation

WIDE = Context(prec=100)
TWELFTH = Decimal("0.000000000001")
ZERO = Decimal(0)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MINUTE_US = 60_000_000
UNIT_SECONDS = {"second": 1, "minute": 60, "hour": 3_600, "day": 86_400}
BUCKET_TEXTS = {"minute": "%Y-%m-%d %H:%M %z", "hour": "%Y-%m-%d %H %z", "day": "%Y-%m-%d"}


@dataclass(frozen=True, slots=True)
class Fact:
    """An event that counts: when in microseconds from 1970, under which key, and what its value says."""

    at_us: int
    key: bytes
    value: Decimal
    text: str
    group: str


@dataclass(frozen=True, slots=True)
class Span:
    """A half-open span of microseconds from 1970, and the zone whose clocks its buckets go by."""

    start_us: int
    end_us: int
    zone: str

    def of(self, facts: Sequence[Fact]) -> list[Fact]:
        """The facts in it."""
        return [fact for fact in facts if self.start_us <= fact.at_us < self.end_us]


def average(numbers: Sequence[Decimal]) -> Decimal:
    """The exact sum by the number, rounded once."""
    with localcontext(WIDE):
        return (sum(numbers, ZERO) / len(numbers)).quantize(TWELFTH, ROUND_HALF_UP)


def total(numbers: Sequence[Decimal]) -> Decimal:
    """The exact sum."""
    with localcontext(WIDE):
        return sum(numbers, ZERO)


FOLDS: dict[str, Callable[[Sequence[Fact]], Decimal]] = {
    "count": lambda facts: Decimal(len(facts)),
    "unique": lambda facts: Decimal(len({fact.text for fact in facts})),
    "sum": lambda facts: total([fact.value for fact in facts]),
    "min": lambda facts: min(fact.value for fact in facts),
    "max": lambda facts: max(fact.value for fact in facts),
    "avg": lambda facts: average([fact.value for fact in facts]),
    "latest": lambda facts: max(facts, key=lambda fact: (fact.at_us, fact.key)).value,
}
COMBINE: dict[str, Callable[[Sequence[Decimal]], Decimal]] = {"sum": total, "max": max, "min": min, "avg": average}


def aggregated(facts: Sequence[Fact], aggregation: str) -> Decimal:
    """The aggregation; 0 of nothing."""
    return FOLDS[aggregation](facts) if facts else ZERO


def billed(facts: Sequence[Fact], aggregation: str, derivation: Derivation | None, span: Span) -> Decimal:
    """What a bill takes of a period, of all facts that ever were."""
    inside = span.of(facts)
    if derivation is None:
        return aggregated(inside, aggregation)
    if derivation.kind == "bucket":
        buckets: dict[str, list[Fact]] = {}
        for fact in inside:
            buckets.setdefault(bucket_of(fact.at_us // MINUTE_US, derivation.by, span.zone), []).append(fact)
        return COMBINE[derivation.combine]([FOLDS[aggregation](each) for each in buckets.values()]) if buckets else ZERO
    if derivation.kind == "percentile":
        return percentile(sorted(fact.value for fact in inside), Decimal(derivation.by))
    return lasting(facts, derivation, span, gauge=aggregation == "latest")


@lru_cache(maxsize=1 << 16)
def bucket_of(minute: int, unit: str, zone: str) -> str:
    """The bucket that a minute lies in by the clocks of a zone."""
    return (EPOCH + timedelta(minutes=minute)).astimezone(ZoneInfo(zone)).strftime(BUCKET_TEXTS[unit])


def percentile(values: Sequence[Decimal], percent: Decimal) -> Decimal:
    """The smallest value that at least so many of a hundred are not above."""
    return next((value for place, value in enumerate(values, start=1) if place * 100 >= percent * len(values)), ZERO)


def lasting(facts: Sequence[Fact], derivation: Derivation, span: Span, *, gauge: bool) -> Decimal:
    """The value at the end, its largest, or its time in a unit: of the last of each group, or of all changes."""
    latest: dict[str, Decimal] = {}
    level, since_us = ZERO, span.start_us
    held, levels = ZERO, []
    with localcontext(WIDE):
        known = sorted((fact for fact in facts if fact.at_us < span.end_us), key=lambda fact: (fact.at_us, fact.key))
        for at_us, at_once in groupby(known, key=lambda fact: fact.at_us):
            if at_us > since_us:
                held += level * (at_us - since_us)
                levels.append(level)
                since_us = at_us
            for fact in at_once:
                level += fact.value - (latest.get(fact.group, ZERO) if gauge else ZERO)
                latest[fact.group] = fact.value
        held += level * (span.end_us - since_us)
        levels.append(level)
        if derivation.kind == "carried":
            return level if derivation.by == "end" else max(levels)
        return (held / (UNIT_SECONDS[derivation.by] * 1_000_000)).quantize(TWELFTH, ROUND_HALF_UP)
