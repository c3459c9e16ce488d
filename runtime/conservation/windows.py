"""Windows against events: what the meters should have counted, added up again from the stored events themselves."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from sqlalchemy import Connection, text

from catalog.meter import Meter
from catalog.snapshot import load_snapshot
from catalog.version import current_version
from clickhouse.client import UsageStore
from clickhouse.recompute import Rule, rule_sql
from clickhouse.report import LATEST

# The first version at which each meter counted as it does now, and that of the oldest block.
METER_SINCE = text("SELECT meter_id, min(from_version), max(meter_version) FROM meters GROUP BY meter_id")
OLDEST_BLOCK = text("SELECT min(catalog_version) FROM stream_blocks WHERE topic = :topic AND state = 'sealed'")

WINDOWS = """
    SELECT toString(merchant_id) AS merchant_id, toString(meter_id) AS meter_id, sum(events) AS events,
        toDecimal128(sum(toDecimal256(sum, 12)), 12) AS quantity
    FROM usage_windows WHERE stored_at <= {cutoff:DateTime64(6, 'UTC')} GROUP BY merchant_id, meter_id
"""
EVENTS = """
    SELECT toString(merchant_id) AS merchant_id, count() AS events,
        toDecimal128(sum([value]), 12) AS quantity
    FROM usage_events WHERE fate = 'stored' AND stored_at <= {cutoff:DateTime64(6, 'UTC')} AND [counts]
    GROUP BY merchant_id
"""

Counted = tuple[int, Decimal]
NOTHING: Counted = (0, Decimal(0))


@dataclass(frozen=True, slots=True)
class MeterFault:
    """A meter whose windows are not what the events say: events and quantity, found and expected."""

    meter: Meter
    found: Counted
    expected: Counted

    def __str__(self) -> str:
        return (
            f"meter {self.meter.code} of {self.meter.merchant_id}: windows count {self.found[0]} events "
            f"({self.found[1]:f}), the events themselves {self.expected[0]} ({self.expected[1]:f})"
        )


def window_faults(
    connection: Connection, store: UsageStore, topic: str, cutoff: datetime = LATEST
) -> tuple[int, list[MeterFault]]:
    """How many events all windows count, and the meters whose windows are not what the events say.

    Looks at what was stored until ``cutoff``. A meter that was changed, or added after the first block, has counted
    a part of the events only: its windows may hold fewer, never more. For meters that sum, the quantities are
    compared as well.
    """
    meters = load_snapshot(connection, current_version(connection)).meters
    oldest = connection.execute(OLDEST_BLOCK, {"topic": topic}).scalar_one() or 0
    since = {row[0]: (row[1], row[2]) for row in connection.execute(METER_SINCE)}
    counted = load_windows(store, cutoff)
    faults = []
    for rule, asked in by_rule(meters).items():
        events = load_events(store, rule, cutoff)
        for meter in asked:
            found = counted.get(meter.meter_id, NOTHING)
            expected = events.get(meter.merchant_id, NOTHING)
            first_version, meter_version = since[meter.meter_id]
            whole = meter_version == 1 and first_version <= oldest
            if not agrees(meter, found, expected, whole=whole):
                faults.append(MeterFault(meter, found, expected))
    return sum(events for events, _quantity in counted.values()), faults


def agrees(meter: Meter, found: Counted, expected: Counted, *, whole: bool) -> bool:
    """Whether windows and events agree; ``whole`` says that the meter saw all events."""
    if not whole:
        return found[0] <= expected[0]
    return found[0] == expected[0] and (meter.aggregation != "sum" or found[1] == expected[1])


def by_rule(meters: tuple[Meter, ...]) -> dict[Rule, list[Meter]]:
    """Meters by what they count, whoever owns them; those that count alike are asked for at once."""
    groups: dict[Rule, list[Meter]] = defaultdict(list)
    for meter in meters:
        groups[Rule(meter.event_type, meter.value_property, meter.filters)].append(meter)
    return groups


def load_windows(store: UsageStore, cutoff: datetime) -> dict[str, Counted]:
    """Events and sum of all windows, by meter."""
    rows = store.query_frame(WINDOWS, {"cutoff": cutoff}).select("meter_id", "events", "quantity").iter_rows()
    return {meter_id: (events, quantity) for meter_id, events, quantity in rows}


def load_events(store: UsageStore, rule: Rule, cutoff: datetime) -> dict[str, Counted]:
    """Events and sum of the stored events that a meter counts, by merchant."""
    sql = rule_sql(rule, "m")
    question = EVENTS.replace("[value]", sql.value).replace("[counts]", sql.counts)
    rows = store.query_frame(question, {"cutoff": cutoff, **sql.parameters}).select("merchant_id", "events", "quantity")
    return {merchant_id: (events, quantity) for merchant_id, events, quantity in rows.iter_rows()}
