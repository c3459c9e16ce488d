"""Usage in more detail than one quantity a scope: by group, by bucket of time, and event by event.

A ``Part`` says what usage is told apart by. Quantities by part come from the windows, or, where something was stored
more than once, from the events that count, each once (``clickhouse.exact``). Scopes are those of ``usage_for_period``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

import polars as pl

from clickhouse.client import UsageStore
from clickhouse.exact import Span, bounds_of, counted_sql, named, of_merchants
from clickhouse.quantity import quantity_sql
from clickhouse.recompute import Rule, rule_sql
from clickhouse.schema import INSTANT, QUANTITY
from clickhouse.scopes import ask_about
from core.frames import Schema, checked

# Beside the scope's columns; only parts that were used. ``part`` has a Group's or a Bucket's own type.
GROUP: Final = pl.List(pl.String())
# The counted values of a scope in order of time, those of one instant in the order of their keys.
EVENT_VALUES: Schema = {"occurred_at": INSTANT, "key": pl.Binary(), "value": QUANTITY}


@dataclass(frozen=True, slots=True)
class Part:
    """What usage is told apart by: in SQL of a window ``d`` and of an event, with parameters; ``kind`` is its type."""

    of_window: str
    of_event: str
    parameters: Mapping[str, object]
    kind: pl.DataType


def by_group(keys: Sequence[str]) -> Part:
    """The values of some properties, in this order; null where an event does not have one or the meter had no group."""
    of_window = "arrayMap(k -> JSONExtract(toString(d.group_key), k, 'Nullable(String)'), {keys:Array(String)})"
    of_event = "arrayMap(k -> if(mapContains(properties, k), properties[k], NULL), {keys:Array(String)})"
    return Part(of_window, of_event, {"keys": list(keys)}, GROUP)


def by_bucket(starts: Sequence[datetime]) -> Part:
    """The latest of some instants (on whole minutes, rising) that is not after the usage."""
    rounded = "toInt64(roundDown(toUInt32(toUnixTimestamp({at})), {{starts:Array(UInt32)}}))"
    seconds = [round(start.timestamp()) for start in starts]
    return Part(rounded.format(at="d.at"), rounded.format(at="occurred_at"), {"starts": seconds}, pl.Int64())


BY_PART = f"""
    SELECT s.row AS row, [part] AS part, {quantity_sql("any(s.aggregation)", "d")} AS quantity
    FROM ([used]) AS d
    INNER JOIN (SELECT * FROM usage_scopes WHERE question = {{question:String}}) AS s
        ON d.merchant_id = s.merchant_id AND d.customer_id = s.customer_id [and_meter]
    WHERE d.at >= s.period_start AND d.at < s.period_end
    GROUP BY row, part
"""
WINDOWS = """
    SELECT *, window_start AS at FROM usage_deltas_at(cutoff = {cutoff:DateTime64(6, 'UTC')})
    WHERE window_start >= {first:DateTime64(6, 'UTC')} AND window_start < {last:DateTime64(6, 'UTC')}
        AND (merchant_id, customer_id, meter_id) IN
            (SELECT merchant_id, customer_id, meter_id FROM usage_scopes WHERE question = {question:String})
"""
# Each event once as a window of its own, and once as a distinct value: the shape of ``usage_deltas``.
EVENTS_AS_DELTAS = """
    SELECT merchant_id, customer_id, occurred_at AS at, part, toUInt64(NOT is_value) AS events,
        if(is_value, toDecimal128(0, 12), toDecimal128(number, 12)) AS sum,
        toDecimal128(number, 12) AS min, toDecimal128(number, 12) AS max,
        occurred_at AS last_at, key AS last_key, toDecimal128(number, 12) AS last, text AS value, is_value
    FROM (
        SELECT merchant_id, customer_id, occurred_at, key, part, value AS number, text FROM ([counted]) LIMIT 1 BY key
    ) ARRAY JOIN [false, true] AS is_value
"""
_EVENT_VALUES = """
    SELECT s.row AS row, e.occurred_at AS occurred_at, e.key AS key, toDecimal128(e.value, 12) AS value
    FROM (SELECT * FROM ([counted]) LIMIT 1 BY key) AS e
    INNER JOIN (SELECT * FROM usage_scopes WHERE question = {question:String}) AS s
        ON e.merchant_id = s.merchant_id AND e.customer_id = s.customer_id
    WHERE e.occurred_at >= s.period_start AND e.occurred_at < s.period_end
"""


def usage_by_part(store: UsageStore, scopes: pl.DataFrame, part: Part, cutoff: datetime) -> pl.DataFrame:
    """The scopes once for each part that was used, with ``part`` and ``quantity``, from the windows.

    Raises ``UsageStoreError`` when a quantity does not fit.
    """
    question, asked = ask_about(store, scopes)
    bounds = {"first": scopes["period_start"].min(), "last": scopes["period_end"].max()}
    sql = BY_PART.replace("[used]", WINDOWS).replace("[and_meter]", "AND d.meter_id = s.meter_id")
    found = store.query_frame(
        sql.replace("[part]", part.of_window), {"question": question, "cutoff": cutoff, **bounds, **part.parameters}
    )
    return answered(asked, found, part)


def exact_usage_by_part(
    store: UsageStore, scopes: pl.DataFrame, rules: Sequence[Rule], part: Part, cutoff: datetime
) -> pl.DataFrame:
    """The same of meters with the same rules, from the events that count, each once."""
    question, asked = ask_about(store, scopes)
    counted, bound = counted_events(scopes, rules, part, cutoff)
    sql = BY_PART.replace("[used]", EVENTS_AS_DELTAS.replace("[counted]", counted)).replace("[and_meter]", "")
    found = store.query_frame(sql.replace("[part]", "d.part"), {"question": question, **bound, **part.parameters})
    return answered(asked, found, part)


def event_values(store: UsageStore, scopes: pl.DataFrame, rules: Sequence[Rule], cutoff: datetime) -> pl.DataFrame:
    """The scopes once for each event that counts, with EVENT_VALUES, sorted by scope, time and key."""
    question, asked = ask_about(store, scopes)
    counted, bound = counted_events(scopes, rules, None, cutoff)
    found = store.query_frame(_EVENT_VALUES.replace("[counted]", counted), {"question": question, **bound})
    values = checked(found, {"row": pl.UInt32(), **EVENT_VALUES}).sort("row", "occurred_at", "key")
    return asked.join(values, on="row", maintain_order="right").drop("row")


def counted_events(
    scopes: pl.DataFrame, rules: Sequence[Rule], part: Part | None, cutoff: datetime, since: datetime | None = None
) -> tuple[str, dict[str, object]]:
    """The events that some rules count, with their parts, and the parameters of that (without the part's).

    From ``since`` on, or of the scopes' periods.
    """
    start, end = since or scopes["period_start"].min(), scopes["period_end"].max()
    assert isinstance(start, datetime)
    assert isinstance(end, datetime)
    span = Span(start, end, cutoff, scopes["merchant_id"].unique().to_list())
    bound = named(bounds_of(span), "since", "until", "cutoff", "merchants")
    parts = []
    for index, rule in enumerate(rules):
        sql = rule_sql(rule, f"r{index}")
        bound |= sql.parameters
        told = sql if part is None else replace(sql, text=f"{part.of_event} AS part, {sql.text}")
        parts.append(counted_sql(told))
    return of_merchants(" UNION ALL ".join(parts), span), bound


def answered(asked: pl.DataFrame, found: pl.DataFrame, part: Part) -> pl.DataFrame:
    """The scopes with what was found of them, in the scopes' order and that of the parts."""
    typed = checked(
        found.with_columns(pl.col("part").cast(part.kind)),
        {"row": pl.UInt32(), "part": part.kind, "quantity": QUANTITY},
    )
    order = pl.col("part").list.eval(pl.element().fill_null("")).list.join("\x1f") if part.kind == GROUP else "part"
    return asked.join(typed.sort("row", order), on="row", maintain_order="right").drop("row")
