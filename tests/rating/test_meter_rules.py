"""Which rule a meter had for which events: by the catalog of their block, or of a fill since then."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import pyarrow as pa
import pytest
from sqlalchemy import Engine, text

from catalog.version import current_version
from clickhouse.client import UsageStore
from clickhouse.recompute import Filled
from clickhouse.report import LATEST
from core.db import transaction
from ingest.correction import FillAsked, build_corrections, build_fill
from ingest.event import Envelope
from rating.meter_rules import load_rules
from runtime.conservation.windows import window_faults
from streams.catalog_cache import CatalogCache
from streams.claim import Claims, LogSeen
from streams.decode import Message, Readable
from streams.ledger_postgres import PostgresLedger
from streams.partition import Partition
from streams.retry import Retry, RetryPolicy
from streams.sink import Parts
from streams.store import ClickHouseStore
from tests.rating.month import NOON, Month
from tests.streams.builders import PRODUCER, Said, batch
from tests.streams.stories import Corrected, amend, as_correction, retract

CATALOG = """
merchant: {code: acme, name: Acme}
meters:
  - {code: n, event_type: call, aggregation: count}
customers:
  - {key: a-1, name: One, zone: UTC, currency: USD}
"""
ADDED = """  - {code: least, event_type: call, aggregation: min, value: size}
  - {code: sizes, event_type: call, aggregation: unique, value: size}
customers:"""
HOUR = timedelta(hours=1)


@dataclass
class Line:
    """A partition on real stores, which is told one message after the other."""

    month: Month
    partition: Partition
    merchant_id: str
    offset: int = 0

    def seal(self, rows: pa.RecordBatch) -> datetime:
        """A block of one message; when it was stored."""
        waiting: list[Message] = [Readable(self.offset, Envelope(PRODUCER, self.offset + 1, rows))]
        assert self.partition.advance(waiting).count == 1
        self.offset += 1
        with transaction(self.month.books) as connection:
            at: datetime = connection.execute(text("SELECT max(intended_at) FROM stream_blocks")).scalar_one()
        return at

    def said(self, event_id: str, **properties: str) -> Said:
        """An event a minute after noon for each letter of its id."""
        at = NOON + len(event_id) * timedelta(minutes=1)
        return Said(event_id, properties, subject="a-1", merchant=self.merchant_id, at=at)

    def correct(self, *corrections: Corrected) -> datetime:
        """A block of corrections of the merchant's events."""
        own = [replace(one, said=replace(one.said, merchant=self.merchant_id)) for one in corrections]
        return self.seal(build_corrections([as_correction(one) for one in own], NOON))

    def fill(self, code: str, until: datetime) -> datetime:
        """Fill a meter from noon on."""
        asked = FillAsked(f"fil_{self.offset}", self.merchant_id, self.meter_id(code), NOON, until)
        return self.seal(build_fill(asked, NOON))

    def meter_id(self, code: str) -> str:
        """The id of a meter."""
        with transaction(self.month.books) as connection:
            found = connection.execute(text("SELECT DISTINCT meter_id FROM meters WHERE code = :code"), {"code": code})
            return str(found.scalar_one())

    def faults(self, cutoff: datetime = LATEST) -> list[tuple[str, int, int]]:
        """Meters that differ from the events: how many events they count, and how many they should."""
        with transaction(self.month.books) as connection:
            _events, found = window_faults(connection, self.month.store, cutoff)
        return [(fault.meter.code, fault.found[0], fault.expected[0]) for fault in found]

    def counted(self, code: str) -> object:
        """A meter's quantity of all time."""
        found = self.month.store.query_frame(
            "SELECT quantity FROM usage_total WHERE meter = {code:String}", {"code": code}
        )
        return None if found.is_empty() else found["quantity"][0]


@pytest.fixture
def line(books: Engine, usage_store: UsageStore) -> Line:
    """A merchant whose only meter counts, and a partition of its events."""
    month = Month(books, usage_store)
    month.sell(CATALOG)
    retry = Retry(RetryPolicy(give_up_s=1), month.clock, lambda _wait_s: None)
    parts = Parts(PostgresLedger(books), ClickHouseStore(usage_store), CatalogCache(books), retry)
    partition = Claims(parts, LogSeen("usage", 1), owner="w", clock=month.clock).claim(0)
    with transaction(books) as connection:
        merchant_id = connection.execute(text("SELECT merchant_id FROM merchants")).scalar_one()
    return Line(month, partition, merchant_id)


def test_a_filled_meter_is_measured_by_the_fills_catalog_and_others_by_their_blocks(line: Line) -> None:
    """At any cut-off windows equal what the events say: before a meter came, after its fill, after corrections."""
    first = line.seal(batch([line.said("a", size="5"), line.said("bb", size="3"), line.said("ccc", size="many")]))
    line.month.sell(CATALOG.replace("customers:", ADDED))
    line.seal(batch([line.said("d", size="4"), line.said("ee", size="7")]))
    assert line.counted("least") == 4
    filled = line.fill("least", NOON + HOUR)
    assert (line.counted("least"), line.counted("sizes"), line.counted("n")) == (3, 2, 5)
    line.fill("sizes", NOON + timedelta(minutes=2))
    assert line.counted("sizes") == 3
    last = line.correct(retract("bb"), amend(line.said("d", size="1")), amend(line.said("a", size="6")))
    assert (line.counted("least"), line.counted("sizes"), line.counted("n")) == (1, 3, 4)

    for cutoff in (first, filled, last, LATEST):
        assert line.faults(cutoff) == [], cutoff

    with transaction(line.month.books) as connection:
        version = current_version(connection)
        rules = load_rules(connection, [line.meter_id("least")], version, LATEST)[line.meter_id("least")]
        before = load_rules(connection, [line.meter_id("least")], version, first)[line.meter_id("least")]
    covered = (Filled(0, NOON, NOON + HOUR, filled),)
    assert [(rule.filled, rule.unless, rule.needs) for rule in rules] == [
        (None, covered, "nothing"),
        (covered, (), "number"),
    ]
    assert [(rule.filled, rule.unless) for rule in before] == [(None, ())]


def test_of_several_fills_the_youngest_rules(line: Line) -> None:
    """Where it does not reach, the one before it does."""
    line.seal(batch([line.said("a", size="5", big="50"), line.said("bb", size="3", big="30")]))
    line.month.sell(CATALOG.replace("customers:", ADDED))
    line.fill("least", NOON + HOUR)
    line.month.sell(CATALOG.replace("customers:", ADDED.replace("min, value: size", "min, value: big")))
    line.fill("least", NOON + timedelta(minutes=2))

    assert line.counted("least") == 3
    assert line.faults() == []
    line.correct(retract("bb"))
    assert line.counted("least") == 50
    assert line.faults() == []


@pytest.mark.parametrize(("column", "meter"), [("min", "least"), ("sum", "n")])
def test_a_window_that_says_something_else_is_found_whatever_its_aggregation(
    line: Line, column: str, meter: str
) -> None:
    """The same number of events is not enough."""
    line.month.sell(CATALOG.replace("customers:", ADDED))
    line.seal(batch([line.said("a", size="5"), line.said("bb", size="3")]))
    assert line.faults() == []
    change = f"ALTER TABLE usage_windows UPDATE {column} = {column} - 1, events = events + (aggregation = 'count')"
    line.month.store.command(f"{change} WHERE meter = '{meter}' SETTINGS mutations_sync = 2")

    assert [code for code, _found, _expected in line.faults()] == [meter]
