"""Sends events through the line onto the stores, bills two months, and compares every answer with the oracle's.

October is closed while some of it is still on its way; what comes of it later is adjusted when November is closed. Then
views are asked for both months, in total and by group. Compared are every meter, customer and period.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import polars as pl

from clickhouse.report import UsageQuestion, usage_by
from core.quantity import EXACT
from tests.rating.aggregations.folds import EPOCH
from tests.rating.aggregations.line import Line
from tests.rating.aggregations.meters import METERS, UNIT_PRICE, ZONES, catalog_text, zone_of
from tests.rating.aggregations.oracle import PERIODS, Expected, Raw, span_of
from tests.rating.aggregations.traffic import OCTOBER_CLOSES, requests_of
from tests.rating.month import Month

NOVEMBER_CLOSES: Final = datetime(2023, 12, 4, tzinfo=UTC)
SHOWN: Final = 20
GROUPED: Final = tuple(meter.code for meter in METERS if meter.group_by)
Say = Callable[[str], None]


@dataclass
class Compared:
    """How many answers of each kind were compared, how many of them are of some usage, and those that differ."""

    answers: dict[str, int]
    used: dict[str, int]
    differences: list[str]

    def compare(self, kind: str, found: Mapping[Any, Decimal], expected: Mapping[Any, Decimal]) -> None:
        """Every answer there is, on either side."""
        self.answers[kind] = self.answers.get(kind, 0) + len(expected)
        self.used[kind] = self.used.get(kind, 0) + sum(value != 0 for value in expected.values())
        for of in sorted(expected.keys() | found.keys()):
            if found.get(of) != expected.get(of):
                self.differences.append(f"{kind} {of}: {found.get(of)}, and by the events {expected.get(of)}")


def check(month: Month, folder: Path, events: int, say: Say) -> tuple[Compared, Expected]:
    """Send so many events and compare; ``say`` is told of every step."""
    month.sell(catalog_text())
    month.clock.instant = OCTOBER_CLOSES
    line, raw = Line(month.books, month.store, month.clock), Raw(folder)
    october = send(month, line, raw, events, say)
    with ThreadPoolExecutor(1) as beside:
        answers = beside.submit(raw.expected, line.merchants)
        month.clock.instant = NOVEMBER_CLOSES
        november = month.close("2023-11").closing
        say(f"November closed: {november.lines.height:,} lines, {november.adjustments.height:,} adjustments")
        expected = answers.result()
    say(f"oracle: {expected.events:,} events count, {line.refused:,} were refused at the door")
    assert november.stuck.is_empty(), "nothing waits"
    compared = Compared({}, {}, [])
    compare_bills(compared, october, november.lines, november.adjustments, expected)
    compare_views(compared, month, expected)
    say("compared")
    return compared, expected


def send(month: Month, line: Line, raw: Raw, events: int, say: Say) -> pl.DataFrame:
    """Send everything, and close October on its day; its charge lines."""
    october: pl.DataFrame | None = None
    for request in requests_of(events):
        if october is None and request.received_at >= OCTOBER_CLOSES:
            line.finish()
            say("stored until October closes")
            october = month.close("2023-10").closing.lines
            say(f"October closed: {october.height:,} lines")
        raw.keep(request)
        line.send(request)
    line.finish()
    say("all stored")
    assert october is not None, "events came after it"
    return october


def compare_bills(
    compared: Compared, october: pl.DataFrame, november: pl.DataFrame, adjustments: pl.DataFrame, expected: Expected
) -> None:
    """Lines, and what late events have changed of those that were billed."""
    compared.compare("line of October", billed(october, "quantity"), expected.first)
    compared.compare("line of November", billed(november, "quantity"), expected.bills["2023-11"])
    final = expected.bills["2023-10"]
    changed = {of: quantity for of, quantity in final.items() if quantity != expected.first[of]}
    compared.compare("adjustment of October", billed(adjustments, "new_quantity"), changed)
    for frame, quantity, amount in ((october, "quantity", "amount"), (adjustments, "new_quantity", "new_amount")):
        charged = {of: EXACT.multiply(value, UNIT_PRICE) for of, value in billed(frame, quantity).items()}
        assert billed(frame, amount) == charged


def billed(lines: pl.DataFrame, column: str) -> dict[tuple[str, str], Decimal]:
    """A column by subject and meter."""
    return {(subject, meter): value for subject, meter, value in lines.select("subject", "meter", column).iter_rows()}


def compare_views(compared: Compared, month: Month, expected: Expected) -> None:
    """The aggregations themselves, in total and by group, as anybody may ask for them."""
    for period in PERIODS:
        totals: dict[tuple[str, str], Decimal] = {}
        groups: dict[tuple[str, str, str], Decimal] = {}
        for row in views(month, period, by_group=False):
            totals[row["subject"], row["meter"]] = row["quantity"]
        for row in views(month, period, by_group=True):
            groups[row["subject"], row["meter"], row["group_key"]] = row["quantity"]
        shown = {of: quantity for of, quantity in expected.views[period].items() if of in totals or quantity}
        compared.compare(f"total of {period}", totals, shown)
        compared.compare(f"group of {period}", groups, expected.groups[period])


def views(month: Month, period: str, *, by_group: bool) -> Iterator[dict[str, Any]]:
    """Usage of every customer in its own month."""
    customers = month.priced().unique("customer_id").select("customer_id", "subject")
    for zone in ZONES:
        span = span_of(period, zone)
        since, until = (EPOCH + timedelta(microseconds=us) for us in (span.start_us, span.end_us))
        ids = [found for found, subject in customers.iter_rows() if zone_of(subject) == zone]
        question = UsageQuestion(grain="total", by_group=by_group, since=since, until=until, customer_ids=tuple(ids))
        yield from usage_by(month.store, question).iter_rows(named=True)
