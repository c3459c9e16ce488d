"""Windows against events: what the meters should have counted, added up again from the stored events themselves."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from sqlalchemy import Connection, text

from catalog.meter import Filter, Meter
from catalog.snapshot import load_snapshot
from catalog.version import current_version
from clickhouse.client import UsageStore
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
        toDecimal128(sum(toDecimal256OrZero(properties[{{value:String}}], 12)), 12) AS quantity
    FROM usage_events
    WHERE fate = 'stored' AND stored_at <= {{cutoff:DateTime64(6, 'UTC')}} AND type = {{type:String}} AND {filters}
    GROUP BY merchant_id
"""

Counted = tuple[int, Decimal]
NOTHING: Counted = (0, Decimal(0))


@dataclass(frozen=True, slots=True)
class Question:
    """What a meter counts, whoever owns it; merchants with equal meters are asked for at once."""

    event_type: str
    value_property: str
    filters: tuple[Filter, ...]


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
    for question, asked in by_question(meters).items():
        events = load_events(store, question, cutoff)
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


def by_question(meters: tuple[Meter, ...]) -> dict[Question, list[Meter]]:
    """Meters that are asked for together."""
    groups: dict[Question, list[Meter]] = defaultdict(list)
    for meter in meters:
        groups[Question(meter.event_type, meter.value_property or "", meter.filters)].append(meter)
    return groups


def load_windows(store: UsageStore, cutoff: datetime) -> dict[str, Counted]:
    """Events and sum of all windows, by meter."""
    rows = store.query_frame(WINDOWS, {"cutoff": cutoff}).select("meter_id", "events", "quantity").iter_rows()
    return {meter_id: (events, quantity) for meter_id, events, quantity in rows}


def load_events(store: UsageStore, question: Question, cutoff: datetime) -> dict[str, Counted]:
    """Events and sum of the stored events that a meter counts, by merchant."""
    parameters: dict[str, object] = {
        "type": question.event_type,
        "value": question.value_property,
        "cutoff": cutoff,
    }
    conditions = ["1"]
    for index, condition in enumerate(question.filters):
        sql, bound = filter_sql(condition, f"f{index}")
        conditions.append(sql)
        parameters |= bound
    frame = store.query_frame(EVENTS.format(filters=" AND ".join(conditions)), parameters)
    rows = frame.select("merchant_id", "events", "quantity").iter_rows()
    return {merchant_id: (events, quantity) for merchant_id, events, quantity in rows}


def filter_sql(condition: Filter, name: str) -> tuple[str, dict[str, object]]:
    """A filter as SQL with its parameters. A missing property equals nothing: ``ne`` and ``not_in`` hold for it."""
    there = f"mapContains(properties, {{{name}p:String}})"
    if condition.op == "exists":
        return there, {f"{name}p": condition.property}
    listed = f"({there} AND has({{{name}v:Array(String)}}, properties[{{{name}p:String}}]))"
    sql = f"NOT {listed}" if condition.op in {"ne", "not_in"} else listed
    return sql, {f"{name}p": condition.property, f"{name}v": list(condition.values)}
