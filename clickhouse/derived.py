"""Quantities that are worked out of a period's usage: buckets combined, percentiles, and values that last.

Everything is asked as of a cut-off. ``rules`` say how the meters count, all of them in the same way. With ``anew``
nothing is taken from windows: every event counts once, and those before a period are looked at one by one as well.

A value that lasts is a running total of changes. A meter of latest values has a value for each of its groups, and its
changes are the differences from one event of a group to its next. Before the first event the value is 0. One that held
for no time, because another came in the same instant, was never there. A rise is from one reading of a counter to its
next, so that the first has none; one that falls began anew from 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Final

import polars as pl

from clickhouse.client import UsageStore
from clickhouse.finer_usage import BY_PART, EVENTS_AS_DELTAS, WINDOWS, Part, by_bucket, by_group, counted_events
from clickhouse.quantity import average_sql, quotient_sql
from clickhouse.recompute import Rule
from clickhouse.schema import QUANTITY
from clickhouse.scopes import ask_about
from core.derivation import UNIT_US, Derivation
from core.frames import Schema, checked
from core.limits import QUANTITY_SCALE

# A day after the beginning of time, for a day before it is looked at as well.
LONG_AGO: Final = datetime(1970, 1, 2, tzinfo=UTC)
DERIVED: Final[Schema] = {"row": pl.UInt32(), "quantity": QUANTITY}
ONE: Final = 10**QUANTITY_SCALE

_WHOLE = f"toDecimal256('{ONE}', 0)"
_COMBINED = {
    "sum": "toDecimal128(sum(toDecimal256(quantity, 12)), 12)",
    "max": "max(quantity)",
    "min": "min(quantity)",
    "avg": f"toDecimal128({average_sql('sum(toDecimal256(quantity, 12))', 'count()')}, 12)",
}
_PERCENTILE = """
    SELECT row, toDecimal128(
        arraySort(groupArray(value))[toUInt64(intDiv(toInt256(count()) * [share] + [all] - 1, [all]))], 12) AS quantity
    FROM (
        SELECT s.row AS row, e.value AS value FROM (SELECT * FROM ([counted]) LIMIT 1 BY key) AS e
        INNER JOIN (SELECT * FROM usage_scopes WHERE question = {question:String}) AS s
            ON e.merchant_id = s.merchant_id AND e.customer_id = s.customer_id
        WHERE e.occurred_at >= s.period_start AND e.occurred_at < s.period_end
    ) GROUP BY row
"""
_BOUNDS = """s.row AS row, toInt64(toUnixTimestamp(s.period_start)) * 1000000 AS starts_us,
        toInt64(toUnixTimestamp(s.period_end)) * 1000000 AS ends_us"""
# What happened in a period or, with ``anew``, before its end: one row an event.
_EVENTS = f"""
    SELECT {_BOUNDS}, toUnixTimestamp64Micro(e.occurred_at) AS at_us, e.key AS key, toString(e.part) AS part,
        toInt256(e.value * {_WHOLE}) AS units
    FROM (SELECT * FROM ([counted]) LIMIT 1 BY key) AS e
    INNER JOIN (SELECT * FROM usage_scopes WHERE question = {{question:String}}) AS s
        ON e.merchant_id = s.merchant_id AND e.customer_id = s.customer_id
    WHERE e.occurred_at < s.period_end[and_inside]
"""
# What windows say of the time before it: one row a group, as if it were one event.
_BEFORE = f"""
    SELECT row, any(starts_us) AS starts_us, any(ends_us) AS ends_us, [carried] FROM (
        SELECT {_BOUNDS}, d.last_at AS last_at, d.last_key AS last_key, d.last AS last, d.sum AS sum,
            toString([part]) AS part
        FROM usage_deltas_at(cutoff = {{cutoff:DateTime64(6, 'UTC')}}) AS d
        INNER JOIN (SELECT * FROM usage_scopes WHERE question = {{question:String}}) AS s
            ON d.merchant_id = s.merchant_id AND d.customer_id = s.customer_id AND d.meter_id = s.meter_id
        WHERE d.window_start < s.period_start AND d.window_start < {{last:DateTime64(6, 'UTC')}} AND NOT d.is_value
            AND (d.merchant_id, d.customer_id, d.meter_id) IN
                (SELECT merchant_id, customer_id, meter_id FROM usage_scopes WHERE question = {{question:String}})
    ) GROUP BY row, part
"""
_CARRIED = {
    "latest": f"""toUnixTimestamp64Micro(max(last_at)) AS at_us, argMax(last_key, (last_at, last_key)) AS key, part,
        toInt256(argMax(last, (last_at, last_key)) * {_WHOLE}) AS units""",
    "sum": f"""toInt64(0) AS at_us, toFixedString('', 16) AS key, part,
        toInt256(sum(toDecimal256(sum, 12)) * {_WHOLE}) AS units""",
}
_OF_PART = "PARTITION BY row, part ORDER BY at_us, key ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW"
_CHANGE = {
    "latest": f"units - lagInFrame(units, 1) OVER ({_OF_PART})",
    "sum": "units",
    "rise": f"""if(units < lagInFrame(units, 1, units) OVER ({_OF_PART}), greatest(units, toInt256(0)),
        units - lagInFrame(units, 1, units) OVER ({_OF_PART}))""",
}
_ORDERED = "PARTITION BY row ORDER BY at_us, key, part ROWS BETWEEN UNBOUNDED PRECEDING AND"
_LEVELS = f"""
    SELECT row, at_us, starts_us, change, level,
        greatest(toInt64(0), if(next_us = 0, ends_us, next_us) - greatest(at_us, starts_us)) AS lasted_us
    FROM (
        SELECT row, at_us, starts_us, ends_us, change, sum(change) OVER ({_ORDERED} CURRENT ROW) AS level,
            leadInFrame(at_us, 1) OVER ({_ORDERED} UNBOUNDED FOLLOWING) AS next_us
        FROM (SELECT row, at_us, key, part, starts_us, ends_us, [change] AS change FROM ([happened]))
    )
"""
_FOLDED = {
    "end": "sum(change)",
    "max": """if(min(at_us) > any(starts_us), greatest(toInt256(0), maxIf(level, lasted_us > 0)),
        maxIf(level, lasted_us > 0))""",
    "rise": "sumIf(change, at_us >= starts_us)",
}
_LAST_OF_INSTANTS = """
    SELECT h.row AS row, h.at_us AS at_us, max(h.key) AS key, h.part AS part, any(h.starts_us) AS starts_us,
        any(h.ends_us) AS ends_us, argMax(h.units, h.key) AS units
    FROM ([happened]) AS h GROUP BY h.row, h.part, h.at_us
"""
_LASTING = f"SELECT row, toDecimal128([folded], 12) AS quantity FROM ({_LEVELS}) GROUP BY row"


@dataclass(frozen=True, slots=True)
class Told:
    """How some quantities are derived.

    Of an aggregation, whose events have the keys of a group; buckets of hours or days by their ``starts``.
    """

    derivation: Derivation
    aggregation: str
    group_by: tuple[str, ...] = ()
    starts: tuple[datetime, ...] = ()


def derived_usage(
    store: UsageStore, scopes: pl.DataFrame, rules: Sequence[Rule], told: Told, cutoff: datetime, *, anew: bool
) -> pl.DataFrame:
    """The scopes, in their order, with the ``quantity`` derived; 0 where nothing was used.

    ``scopes`` is as for ``usage_for_period``. Raises ``UsageStoreError`` when a quantity does not fit.
    """
    if not rules:
        # No block was ever counted by such a meter.
        return scopes.with_columns(quantity=pl.lit(0).cast(QUANTITY))
    question, asked = ask_about(store, scopes)
    kinds = {"bucket": combined_sql, "percentile": percentile_sql, "held": lasting_sql, "carried": lasting_sql}
    sql, bound = kinds[told.derivation.kind](scopes, rules, told, cutoff, anew=anew)
    found = checked(store.query_frame(sql, {"question": question, **bound}), DERIVED)
    answered = asked.join(found, on="row", how="left", maintain_order="left").drop("row")
    return answered.with_columns(pl.col("quantity").fill_null(pl.lit(0).cast(QUANTITY)))


Question = tuple[str, dict[str, object]]


def combined_sql(scopes: pl.DataFrame, rules: Sequence[Rule], told: Told, cutoff: datetime, *, anew: bool) -> Question:
    """The aggregation of each bucket that was used, combined."""
    part = by_bucket(told.starts) if told.starts else BY_MINUTE
    if anew:
        counted, bound = counted_events(scopes, rules, part, cutoff)
        sql = BY_PART.replace("[used]", EVENTS_AS_DELTAS.replace("[counted]", counted)).replace("[and_meter]", "")
        sql = sql.replace("[part]", "d.part")
    else:
        sql = BY_PART.replace("[used]", WINDOWS).replace("[and_meter]", "AND d.meter_id = s.meter_id")
        sql = sql.replace("[part]", part.of_window)
        bound = {"cutoff": cutoff, "first": scopes["period_start"].min(), "last": scopes["period_end"].max()}
    combine = _COMBINED[told.derivation.combine]
    return f"SELECT row, {combine} AS quantity FROM ({sql}) GROUP BY row", bound | dict(part.parameters)


def percentile_sql(
    scopes: pl.DataFrame, rules: Sequence[Rule], told: Told, cutoff: datetime, *, anew: bool
) -> Question:
    """The value that so many of a hundred are not above, and that is among them: that of the nearest rank.

    Windows do not have it, so that events are always counted ``anew``.
    """
    del anew
    counted, bound = counted_events(scopes, rules, None, cutoff)
    share = int(Decimal(told.derivation.by).scaleb(QUANTITY_SCALE))
    sql = _PERCENTILE.replace("[share]", f"toInt256({share:d})").replace("[all]", f"toInt256({100 * ONE:d})")
    return sql.replace("[counted]", counted), bound


def lasting_sql(scopes: pl.DataFrame, rules: Sequence[Rule], told: Told, cutoff: datetime, *, anew: bool) -> Question:
    """The value times its time, the last one or the largest."""
    base, derivation = told.aggregation, told.derivation
    # Changes add up whatever their group.
    part = by_group(told.group_by if base == "latest" else ())
    counted, bound = counted_events(scopes, rules, part, cutoff, LONG_AGO if anew else None)
    happened = _EVENTS.replace("[counted]", counted).replace(
        "[and_inside]", "" if anew else " AND e.occurred_at >= s.period_start"
    )
    if not anew:
        before = _BEFORE.replace("[carried]", _CARRIED[base]).replace("[part]", part.of_window)
        happened = f"{columns_of(happened)} UNION ALL {columns_of(before)}"
        bound = {**bound, "last": scopes["period_start"].max()}
    folded = quotient_sql("sum(level * lasted_us)", f"toInt256({UNIT_US.get(derivation.by, 1):d})")
    if derivation.kind == "carried":
        folded = quotient_sql(_FOLDED[derivation.by], "toInt256(1)")
    change = _CHANGE["rise" if derivation.by == "rise" else base]
    if derivation.by == "rise":
        happened = _LAST_OF_INSTANTS.replace("[happened]", happened)
    sql = _LASTING.replace("[folded]", folded).replace("[change]", change).replace("[happened]", happened)
    return sql, bound | dict(part.parameters)


def columns_of(sql: str) -> str:
    """The columns of what happened, in one order."""
    return f"SELECT row, starts_us, ends_us, at_us, key, part, units FROM ({sql})"


_MINUTE = "toInt64(intDiv(toUnixTimestamp({at}), 60))"
BY_MINUTE: Final = Part(_MINUTE.format(at="d.at"), _MINUTE.format(at="occurred_at"), {}, pl.Int64())
