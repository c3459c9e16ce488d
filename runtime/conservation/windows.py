"""Windows against events: what the meters should have counted, added up again from the events that count."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from sqlalchemy import Connection, text

from catalog.meter import Meter
from catalog.snapshot import load_snapshot
from catalog.version import current_version
from clickhouse.client import UsageStore
from clickhouse.exact import MERCHANTS_NAMED_MAX
from clickhouse.quantity import average_sql, quantity_sql
from clickhouse.recompute import Rule, rule_sql
from clickhouse.report import LATEST
from rating.meter_rules import load_rules

# Meters that changed their aggregation: their old windows were never made for the new one.
CHANGED = text("SELECT meter_id FROM meters GROUP BY meter_id HAVING count(DISTINCT aggregation) > 1")

# Quantities of customers and months, added up: so a wrong least, newest or distinct value shows, and not counts alone.
WINDOWS = f"""
    SELECT meter_id, toUInt64(sum(n)) AS events, toString(sum(toDecimal256(part, 12))) AS quantity FROM (
        SELECT toString(d.meter_id) AS meter_id, sum(d.events) AS n, {quantity_sql("any(d.aggregation)", "d")} AS part
        FROM usage_deltas_at(cutoff = {{cutoff:DateTime64(6, 'UTC')}}) AS d
        GROUP BY d.merchant_id, d.customer_id, d.meter_id, toStartOfMonth(d.window_start)
    ) GROUP BY meter_id
"""
EVENTS = """
    SELECT merchant_id, toUInt64(sum(n)) AS events, toString(sum(part)) AS quantity FROM (
        SELECT toString(c.merchant_id) AS merchant_id, count() AS n, [part] AS part FROM ([counted]) AS c
        GROUP BY c.merchant_id[each]
    ) GROUP BY merchant_id
"""
COUNTED = """
    SELECT merchant_id, customer_id, occurred_at, key, [value] AS value, [text] AS text
    FROM usage_counted_at(cutoff = {cutoff:DateTime64(6, 'UTC')}) WHERE [merchants] AND [counts]
"""
# Counts and sums are the same however they are grouped.
EACH = ", c.customer_id, toStartOfMonth(c.occurred_at)"
PARTS = {
    "count": ("toDecimal256(count(), 12)", ""),
    "sum": ("sum(c.value)", ""),
    "min": ("min(c.value)", EACH),
    "max": ("max(c.value)", EACH),
    "latest": ("argMax(c.value, (c.occurred_at, c.key))", EACH),
    "avg": (average_sql("sum(c.value)", "count()"), EACH),
    "unique": ("toDecimal256(uniqExact(c.text), 12)", EACH),
}

Counted = tuple[int, Decimal]
Rules = tuple[Rule, ...]
NOTHING: Counted = (0, Decimal(0))


@dataclass(frozen=True, slots=True)
class MeterFault:
    """A meter whose windows are not what the events say: events and quantity, found and expected.

    Quantities are those of customers and months, added up.
    """

    meter: Meter
    found: Counted
    expected: Counted

    def __str__(self) -> str:
        return (
            f"meter {self.meter.code} of {self.meter.merchant_id}: windows count {self.found[0]} events "
            f"({self.found[1]:f}), the events themselves {self.expected[0]} ({self.expected[1]:f})"
        )


def window_faults(connection: Connection, store: UsageStore, cutoff: datetime = LATEST) -> tuple[int, list[MeterFault]]:
    """How many events all windows count, and the meters whose windows are not what the events say.

    Looks at what counted at ``cutoff``: retractions, amendments and fills until then are part of it. Each event is
    measured by the rules that the stream had for it, so that meters which came or changed later are compared as well.
    """
    version = current_version(connection)
    meters = load_snapshot(connection, version).meters
    rules = load_rules(connection, [meter.meter_id for meter in meters], version, cutoff)
    changed = set(connection.execute(CHANGED).scalars())
    counted = load_windows(store, cutoff)
    faults = []
    for (rule, aggregation), asked in by_rules(meters, rules).items():
        merchants = sorted({meter.merchant_id for meter in asked})
        events = load_events(store, rule, aggregation, merchants, cutoff) if rule else {}
        for meter in asked:
            found = counted.get(meter.meter_id, NOTHING)
            expected = events.get(meter.merchant_id, NOTHING)
            if found != expected and (found[0] != expected[0] or meter.meter_id not in changed):
                faults.append(MeterFault(meter, found, expected))
    return sum(events for events, _quantity in counted.values()), faults


def by_rules(meters: tuple[Meter, ...], rules: dict[str, Rules]) -> dict[tuple[Rules, str], list[Meter]]:
    """Meters by what they count, whoever owns them; those that count alike are asked for at once."""
    groups: dict[tuple[Rules, str], list[Meter]] = defaultdict(list)
    for meter in meters:
        groups[rules[meter.meter_id], meter.aggregation].append(meter)
    return groups


def load_windows(store: UsageStore, cutoff: datetime) -> dict[str, Counted]:
    """Events and quantity of all windows, by meter."""
    rows = store.query_frame(WINDOWS, {"cutoff": cutoff}).select("meter_id", "events", "quantity").iter_rows()
    return {meter_id: (events, Decimal(quantity)) for meter_id, events, quantity in rows}


def load_events(
    store: UsageStore, rules: Rules, aggregation: str, merchant_ids: Collection[str], cutoff: datetime
) -> dict[str, Counted]:
    """Events and quantity of the events that meters with these rules count, by merchant."""
    bound: dict[str, object] = {"cutoff": cutoff}
    merchants = "1"
    if len(merchant_ids) <= MERCHANTS_NAMED_MAX:
        merchants, bound["merchants"] = "merchant_id IN {merchants:Array(String)}", list(merchant_ids)
    parts = []
    for place, rule in enumerate(rules):
        sql = rule_sql(rule, f"r{place}")
        part = COUNTED.replace("[value]", sql.value).replace("[text]", sql.text)
        parts.append(part.replace("[merchants]", merchants).replace("[counts]", sql.counts))
        bound |= sql.parameters
    quantity, each = PARTS[aggregation]
    question = EVENTS.replace("[part]", quantity).replace("[each]", each)
    rows = store.query_frame(question.replace("[counted]", " UNION ALL ".join(parts)), bound)
    selected = rows.select("merchant_id", "events", "quantity").iter_rows()
    return {merchant_id: (events, Decimal(quantity)) for merchant_id, events, quantity in selected}
