"""Seeded stories of usage that comes in time, late, and is taken back: together they bill what one close would have."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from sqlalchemy import Engine

from clickhouse.client import UsageStore
from tests.rating.late_month import close_month, come_late, late_and_checked, rows
from tests.rating.month import Month

PERIODS = ("2023-09", "2023-10", "2023-11", "2023-12")
STEPS = ("prices", "adjust", "claim", "dedupe", "rate", "record", "finalize")
SUBJECTS = ("one", "two", "gone")
METERS = ("size", "calls")
CATALOG = """
merchant: {{code: {code}, name: {code}}}
meters:
  - {{code: size, event_type: call, aggregation: sum, value: size}}
  - {{code: calls, event_type: call, aggregation: sum, value: calls}}
plans:
  - code: tiered
    name: Tiered
    currency: USD
    prices:
      - meter: size
        model: graduated
        tiers: [{{up_to: 100, unit_price: "0.0333", flat_price: "1"}}, {{up_to: null, unit_price: "0.00777"}}]
      - {{meter: calls, model: per_unit, unit_price: "0.0101"}}
customers:
  - {{key: {code}-one, name: One, zone: UTC, currency: USD}}
  - {{key: {code}-two, name: Two, zone: Asia/Tokyo, currency: USD}}
  - {{key: {code}-gone, name: Gone, zone: UTC, currency: USD}}
subscriptions:
  - {{customer: {code}-one, plan: tiered, start: 2023-09-01}}
  - {{customer: {code}-two, plan: tiered, start: 2023-09-01}}
  - {{customer: {code}-gone, plan: tiered, start: 2023-09-01, end: 2023-10-16}}
"""
BILLED = """
    SELECT substr(subject, 6), meter, period, sum(amount) FROM (
        SELECT m.code, c.subject, c.meter, c.period, c.amount
        FROM charge_lines AS c JOIN merchants AS m USING (merchant_id)
        UNION ALL
        SELECT m.code, a.subject, a.meter, a.for_period, a.amount
        FROM charge_adjustments AS a JOIN merchants AS m USING (merchant_id)
    ) AS billed WHERE code = '{code}' AND period < '2024' GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
"""
MONEY = """
    SELECT substr(i.subject, 6), sum(l.amount_minor)::bigint, count(*)
    FROM invoices AS i JOIN invoice_lines AS l USING (invoice_id) JOIN merchants AS m ON m.merchant_id = i.merchant_id
    WHERE m.code = '{code}' GROUP BY 1 ORDER BY 1
"""
OWED = """
    SELECT coalesce(sum(i.subtotal_minor), 0) - coalesce(sum(i.total_minor), 0)
        + coalesce((SELECT sum(amount_minor) FROM credit_entries), 0) FROM invoices AS i
"""


class Story:
    """One merchant whose usage comes as it likes, and its twin, whose usage was all there from the beginning."""

    def __init__(self, month: Month, seed: int) -> None:
        self.month, self.chance = month, random.Random(seed)
        self.minute = 0
        for code in ("acme", "twin"):
            month.sell(CATALOG.format(code=code))
        self.used: list[tuple[str, str, Decimal, datetime]] = []

    def use(self, period: str) -> None:
        """Something is used in a period, or taken back; whether that is late is up to who calls."""
        there = SUBJECTS if period < "2023-11" else SUBJECTS[:2]
        subject, meter = self.chance.choice(there), self.chance.choice(METERS)
        quantity = Decimal(self.chance.randrange(-400, 2000)).scaleb(-1)
        day = 10 if subject == "gone" and period == "2023-10" else 15
        at = datetime.fromisoformat(f"{period}-{day}T10:00:00").replace(tzinfo=UTC)
        self.minute += 1
        come_late(self.month, f"acme-{subject}", meter, quantity, at=at, minute=self.minute)
        self.used.append((subject, meter, quantity, at))

    def close(self, period: str, merchant: str = "acme") -> None:
        """Close a month, sometimes after it was cut short at some step, and always once more than needed."""
        year, number = map(int, period.split("-"))
        self.month.clock.instant = datetime(year + number // 12, number % 12 + 1, 4, tzinfo=UTC)
        if self.chance.random() < 0.4:
            with pytest.raises(KeyboardInterrupt):
                self.month.close(period, merchant=merchant, on_step=dying_at(self.chance.choice(STEPS)))
            if self.chance.random() < 0.5:
                self.use(self.chance.choice(PERIODS[:2]))
        self.month.close(period, merchant=merchant)
        before = rows(self.month, "SELECT count(*), sum(amount) FROM charge_adjustments")
        self.month.close(period, merchant=merchant)
        assert rows(self.month, "SELECT count(*), sum(amount) FROM charge_adjustments") == before

    def close_twin(self) -> None:
        """All that the story used is there for the twin, and its months are closed once each."""
        for minute, (subject, meter, quantity, at) in enumerate(self.used):
            come_late(self.month, f"twin-{subject}", meter, quantity, at=at, minute=minute)
        for period in PERIODS:
            self.month.close(period, merchant="twin")


def dying_at(step: str) -> Callable[[str], None]:
    """Somebody who is told each step, and dies at one of them."""

    def on_step(reached: str) -> None:
        if reached == step:
            raise KeyboardInterrupt

    return on_step


@pytest.mark.parametrize("seed", range(4))
def test_any_story_bills_what_one_close_with_everything_would_have(
    books: Engine, usage_store: UsageStore, seed: int
) -> None:
    """Exactly, before rounding; after rounding within a minor unit a line. Nothing is left over, all checks hold."""
    story = Story(Month(books, usage_store), seed)
    for place, period in enumerate(PERIODS):
        for _ in range(story.chance.randrange(1, 6)):
            story.use(period)
        for _ in range(story.chance.randrange(5)):
            story.use(story.chance.choice(PERIODS[: place + 1]))
        story.close(period)
    story.close("2024-01")
    close_month(story.month, "2024-02")

    story.close_twin()

    found, expected = (rows(story.month, BILLED.format(code=code)) for code in ("acme", "twin"))
    assert found == expected
    for (subject, minor, lines), (_, minor_at_once, lines_at_once) in zip(
        *(rows(story.month, MONEY.format(code=code)) for code in ("acme", "twin")), strict=True
    ):
        assert abs(minor - minor_at_once) <= lines + lines_at_once, subject
    assert late_and_checked(story.month) == 0
    assert rows(story.month, OWED) == [(0,)]
