"""What usage would be with a backfill's held events in it: nothing is written, and nothing is counted by it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import polars as pl

from clickhouse.client import UsageStore
from clickhouse.quantity import quantity_sql
from clickhouse.recompute import Rule, RuleSql, rule_sql
from clickhouse.schema import INSTANT, QUANTITY
from clickhouse.scopes import ask_about
from core.frames import Schema, checked

# Whose windows the held events would feed: one row a customer, meter and month in UTC.
HELD_USAGE: Schema = {
    "customer_id": pl.String(),
    "meter_id": pl.String(),
    "month": pl.Date(),
    "events": pl.UInt64(),
    "first_at": INSTANT,
    "last_at": INSTANT,
}
WITH_HELD: Schema = {"events": pl.UInt64(), "windows": pl.UInt64(), "quantity": QUANTITY}

# A held event counts for nothing once something was done with it: released, amended or taken back. The customer is
# the one that the event was stored under, or the one that has got its key since.
_HELD = """
    SELECT e.merchant_id AS merchant_id, if(e.customer_id = '', c.customer_id, e.customer_id) AS customer_id,
        arrayJoin({[n]meters:Array(String)}) AS meter_id, e.occurred_at AS occurred_at, e.key AS key,
        [value] AS number, [text] AS text
    FROM (
        SELECT * FROM usage_events
        WHERE merchant_id = {merchant_id:String} AND correction_id = {correction_id:String} AND action = 'backfill'
            AND fate = 'held' AND [counts] AND key NOT IN (
                SELECT key FROM usage_events WHERE merchant_id = {merchant_id:String} AND action <> 'event'
                    AND fate IN ('stored', 'retraction'))
        LIMIT 1 BY key
    ) AS e
    LEFT JOIN (
        SELECT subject, customer_id FROM customers FINAL WHERE merchant_id = {merchant_id:String}
    ) AS c ON e.subject = c.subject
"""
_FOUND = """
    SELECT customer_id, meter_id, toStartOfMonth(occurred_at, 'UTC') AS month, toUInt64(count()) AS events,
        min(occurred_at) AS first_at, max(occurred_at) AS last_at
    FROM ([held]) WHERE customer_id <> '' GROUP BY customer_id, meter_id, month ORDER BY customer_id, meter_id, month
"""
# Each event once as a window of its own, and once as a distinct value: the shape of ``usage_deltas``.
_WITH_HELD = f"""
    SELECT s.row AS row, toUInt64(sum(d.events)) AS events, toUInt64(countIf(NOT d.is_value)) AS windows,
        {quantity_sql("any(s.aggregation)", "d")} AS quantity
    FROM (
        SELECT toString(merchant_id) AS merchant_id, customer_id, toString(meter_id) AS meter_id, window_start, events,
            sum, min, max, last_at, last_key, last, value, is_value
        FROM usage_deltas_at(cutoff = {{cutoff:DateTime64(6, 'UTC')}})
        WHERE merchant_id = {{merchant_id:String}}
            AND customer_id IN (SELECT customer_id FROM usage_scopes WHERE question = {{question:String}})
        UNION ALL
        SELECT toString(merchant_id) AS merchant_id, customer_id, meter_id,
            toDateTime(toStartOfMinute(occurred_at), 'UTC') AS window_start, toUInt64(NOT is_value) AS events,
            if(is_value, toDecimal128(0, 12), toDecimal128(number, 12)) AS sum,
            toDecimal128(number, 12) AS min, toDecimal128(number, 12) AS max,
            occurred_at AS last_at, key AS last_key, toDecimal128(number, 12) AS last, text AS value, is_value
        FROM ([held]) ARRAY JOIN [false, true] AS is_value
    ) AS d
    INNER JOIN (SELECT * FROM usage_scopes WHERE question = {{question:String}}) AS s
        ON d.merchant_id = s.merchant_id AND d.customer_id = s.customer_id AND d.meter_id = s.meter_id
    WHERE d.window_start >= s.period_start AND d.window_start < s.period_end
    GROUP BY row
"""


@dataclass(frozen=True, slots=True)
class Held:
    """The events that one backfill of a merchant holds, and how the meters would count them (by id)."""

    merchant_id: str
    correction_id: str
    rules: Mapping[str, Rule]


def held_usage(store: UsageStore, held: Held) -> pl.DataFrame:
    """HELD_USAGE: whose usage the held events would change, and when. Customers that nobody knows are left out."""
    sql, bound = held_sql(held)
    if not sql:
        return pl.DataFrame(schema=HELD_USAGE)
    found = store.query_frame(_FOUND.replace("[held]", sql), bound)
    return checked(found.with_columns(pl.col(name).cast(kind) for name, kind in HELD_USAGE.items()), HELD_USAGE)


def usage_with_held(store: UsageStore, held: Held, scopes: pl.DataFrame, cutoff: datetime) -> pl.DataFrame:
    """Like ``usage_for_period`` (of the merchant of ``held``), as if the held events had been counted; WITH_HELD."""
    sql, bound = held_sql(held)
    assert sql and not scopes.is_empty(), "there is something to count"
    question, asked = ask_about(store, scopes)
    bound |= {"question": question, "cutoff": cutoff}
    found = store.query_frame(_WITH_HELD.replace("[held]", sql), bound)
    answered = asked.join(found, on="row", how="left", maintain_order="left")
    zero = pl.lit(0).cast(QUANTITY)
    return answered.drop("row").with_columns(
        pl.col("events", "windows").fill_null(0).cast(pl.UInt64), pl.col("quantity").fill_null(zero).cast(QUANTITY)
    )


def held_sql(held: Held) -> tuple[str, dict[str, object]]:
    """The held events by meter, with parameters; meters that count alike are asked for together. Empty for none."""
    alike: dict[Rule, list[str]] = {}
    for meter_id, rule in sorted(held.rules.items()):
        alike.setdefault(rule, []).append(meter_id)
    parts: Sequence[tuple[str, RuleSql, list[str]]] = [
        (f"h{index}", rule_sql(rule, f"h{index}"), meter_ids) for index, (rule, meter_ids) in enumerate(alike.items())
    ]
    bound: dict[str, object] = {"merchant_id": held.merchant_id, "correction_id": held.correction_id}
    for name, sql, meter_ids in parts:
        bound |= {**sql.parameters, f"{name}meters": meter_ids}
    return " UNION ALL ".join(one_rule(name, sql) for name, sql, _ in parts), bound


def one_rule(name: str, sql: RuleSql) -> str:
    """The held events that one rule counts."""
    filled = _HELD.replace("[n]", name).replace("[counts]", sql.counts)
    return filled.replace("[value]", sql.value).replace("[text]", sql.text)
