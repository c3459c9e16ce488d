"""What every meter comes to, from the raw bodies that were sent: read with Python's JSON, in plain decimals.

It shares no code with the gateway, the stream, ClickHouse or rating. It knows the rules of the door: an id counts once
for a merchant and source, the first time that it is not refused; an event is refused for a wrong time or number.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

import xxhash

from tests.rating.aggregations.folds import EPOCH, Fact, Span, aggregated, billed
from tests.rating.aggregations.meters import (
    CUSTOMERS,
    METERS,
    NUMBERS,
    Sold,
    subject_of,
    zone_of,
)
from tests.rating.aggregations.traffic import OCTOBER_CLOSES, Request
from tests.rating.oracle.conditions import condition

MICROSECOND: Final = timedelta(microseconds=1)
OLDEST: Final = timedelta(days=35)
PROCESSES: Final = 2
PERIODS: Final = {"2023-10": ((2023, 10, 1), (2023, 11, 1)), "2023-11": ((2023, 11, 1), (2023, 12, 1))}
NONE: Final = Decimal(0)
# Subject and meter.
Of = tuple[str, str]


@dataclass
class Expected:
    """By period, subject and meter: what a bill takes, the aggregation itself, and that of each group.

    ``first`` is what the first close knew of its period, and ``events`` how many events count.
    """

    first: dict[Of, Decimal] = field(default_factory=dict)
    bills: dict[str, dict[Of, Decimal]] = field(default_factory=lambda: {period: {} for period in PERIODS})
    views: dict[str, dict[Of, Decimal]] = field(default_factory=lambda: {period: {} for period in PERIODS})
    groups: dict[str, dict[tuple[str, str, str], Decimal]] = field(
        default_factory=lambda: {period: {} for period in PERIODS}
    )
    events: int = 0

    def add(self, other: Expected) -> None:
        """Those of another merchant."""
        self.first |= other.first
        self.events += other.events
        for period in PERIODS:
            self.bills[period] |= other.bills[period]
            self.views[period] |= other.views[period]
            self.groups[period] |= other.groups[period]


class Raw:
    """Every body as it was sent, a file a merchant, in the order of sending."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def keep(self, request: Request) -> None:
        """Write a request down."""
        with (self.folder / f"{request.merchant}.raw").open("ab") as file:
            file.write(request.received_at.isoformat().encode() + b"\t" + request.body + b"\n")

    def expected(self, merchants: Mapping[str, str]) -> Expected:
        """The answers for all merchants (ids by code), worked out side by side."""
        found = Expected()
        with ProcessPoolExecutor(PROCESSES, mp_context=get_context("spawn")) as pool:
            files = [self.folder / f"{code}.raw" for code in merchants]
            for part in pool.map(expected_of, files, merchants.keys(), merchants.values()):
                found.add(part)
        return found


def expected_of(file: Path, code: str, merchant_id: str) -> Expected:
    """The answers for one merchant."""
    facts, first, events = facts_of(file, code, merchant_id)
    expected = Expected(events=events)
    for subject, zone in ((subject_of(code, number), zone_of(subject_of(code, number))) for number in range(CUSTOMERS)):
        for meter in METERS:
            known = facts[subject, meter.code]
            for period in PERIODS:
                span = span_of(period, zone)
                derivation, of = meter.derivation, (subject, meter.code)
                inside = span.of(known)
                expected.bills[period][of] = billed(known, meter.aggregation, derivation, span)
                expected.views[period][of] = aggregated(inside, meter.aggregation)
                for group, members in grouped(inside).items():
                    expected.groups[period][*of, group] = aggregated(members, meter.aggregation)
                if period == "2023-10":
                    early = known[: first[of]]
                    expected.first[of] = billed(early, meter.aggregation, derivation, span)
    return expected


def grouped(facts: list[Fact]) -> dict[str, list[Fact]]:
    """Facts by group."""
    found: dict[str, list[Fact]] = defaultdict(list)
    for fact in facts:
        found[fact.group].append(fact)
    return found


@lru_cache
def span_of(period: str, zone: str) -> Span:
    """A customer's month."""
    start, end = (datetime(*day, tzinfo=ZoneInfo(zone)) for day in PERIODS[period])
    return Span((start - EPOCH) // MICROSECOND, (end - EPOCH) // MICROSECOND, zone)


def facts_of(file: Path, code: str, merchant_id: str) -> tuple[dict[Of, list[Fact]], dict[Of, int], int]:
    """The facts of every subject and meter in order of sending, how many of them the first close knew, and events."""
    subjects = {subject_of(code, number) for number in range(CUSTOMERS)}
    by_type = {
        type_: [(meter, [condition(entry) for entry in meter.filters]) for meter in METERS if meter.type == type_]
        for type_ in NUMBERS
    }
    facts: dict[Of, list[Fact]] = defaultdict(list)
    first: dict[Of, int] | None = None
    count = 0
    for received_at, event in events_of(file):
        if first is None and received_at >= OCTOBER_CLOSES:
            first = defaultdict(int, {of: len(known) for of, known in facts.items()})
        subject, data = event["subject"], event["data"]
        if subject not in subjects or event["type"] not in by_type:
            continue
        count += 1
        key = xxhash.xxh3_128_digest(f"{merchant_id}\0{event['source']}\0{event['id']}".encode())
        made: dict[tuple[str | None, tuple[str, ...]], Fact] = {}
        for meter, conditions in by_type[event["type"]]:
            if conditions and not all(holds(data) for holds in conditions):
                continue
            told = (meter.value, meter.group_by)
            fact = made.get(told)
            if fact is None:
                fact = made[told] = fact_of(meter, event, key)
            facts[subject, meter.code].append(fact)
    return facts, first or {}, count


def fact_of(meter: Sold, event: Mapping[str, Any], key: bytes) -> Fact:
    """What an event says to a meter."""
    data = event["data"]
    text = data[meter.value] if meter.value else ""
    value = Decimal(text) if meter.value and meter.aggregation != "unique" else NONE
    group = group_text(meter.group_by, tuple(map(data.get, meter.group_by))) if meter.group_by else ""
    return Fact(event["at_us"], key, value, text, group)


@lru_cache(maxsize=4_096)
def group_text(names: tuple[str, ...], values: tuple[str | None, ...]) -> str:
    """A group as views show it."""
    return json.dumps(dict(zip(names, values, strict=True)), separators=(",", ":"))


def events_of(file: Path) -> Iterator[tuple[datetime, dict[str, Any]]]:
    """The events that the door takes and that are no copies, with ``at_us`` and texts in their ``data``."""
    seen: set[tuple[str, str]] = set()
    with file.open("rb") as lines:
        for line in lines:
            received, _, body = line.partition(b"\t")
            received_at = datetime.fromisoformat(received.decode())
            for event in json.loads(body, parse_float=str, parse_int=str):
                name = (event["source"], event["id"])
                if name in seen or not accepted(event, received_at):
                    continue
                seen.add(name)
                yield received_at, event


def accepted(event: dict[str, Any], received_at: datetime) -> bool:
    """Whether the door takes an event; its ``data`` are texts then."""
    try:
        at = datetime.fromisoformat(event["time"])
    except ValueError:
        return False
    event["at_us"] = (at - EPOCH) // MICROSECOND
    event["data"] = {name: "true" if value is True else value for name, value in event["data"].items()}
    try:
        for name in NUMBERS.get(event["type"], ()):
            Decimal(event["data"][name])
    except InvalidOperation:
        return False
    return at >= received_at - OLDEST
