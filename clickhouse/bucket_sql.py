"""The SQL of usage in buckets: one for windows that nobody restated, one for any windows.

A question to the views is planned as four branches with two joins, and planning them costs more than reading a
customer's month. So a question first adds up all windows in its range, and tells beside the answer whether one of
those rows restates others. If none does, the answer is right: what restates a window has the window's own merchant,
customer, meter and minute, so it lies in the range and is among the very rows that were read. If one does, the answer
is thrown away, and the second text asks with the join. Nothing that was asked before, or beside it, is relied upon.

Distinct values are a question of their own, asked before the windows: a block's values are stored after its windows,
so that of values that count no longer the windows' answer tells.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from clickhouse.quantity import average_sql
from clickhouse.sums import LATEST, SUMS

Grain = Literal["minute", "hour", "day", "month", "total"]

# Why an answer is not right: distinct values were not read, or something was restated.
NEEDS_VALUES, NEEDS_JOIN = 1, 2

# What a partition's restatement speaks for.
_WINDOW = ("merchant_id", "customer_id", "meter_id", "window_start", "group_key", "partition")
_WHO = "merchant_id, customer_id, subject, meter_id, meter, aggregation"
_KEYS = f"{_WHO}, starts_at, group_key"
_ZONE = "{zone:String}"
_FIRST_OF_MONTH = f"toStartOfMonth(d.window_start, {_ZONE})"
_BUCKETS: Mapping[Grain, str] = {
    "minute": f"toTimeZone(d.window_start, {_ZONE})",
    "hour": f"toStartOfHour(d.window_start, {_ZONE})",
    "day": f"toStartOfDay(d.window_start, {_ZONE})",
    "month": f"toDateTime({_FIRST_OF_MONTH}, {_ZONE})",
    "total": f"toTimeZone({{since:DateTime('UTC')}}, {_ZONE})",
}
# Columns that all rows of a window share: they may narrow what is read without hiding a row that restates another.
_INSIDE = {
    "merchant_id": "merchant_id IN {merchant_ids:Array(String)}",
    "customer_id": "customer_id IN {customer_ids:Array(String)}",
}
# A customer or meter that was renamed has rows of several names in one window.
_NAMED = {"subject": "subject IN {subjects:Array(String)}", "meter": "meter IN {meters:Array(String)}"}
_BETWEEN = "window_start >= {since:DateTime('UTC')} AND window_start < {until:DateTime('UTC')}"

_ANSWER = """
    SELECT
        toString(merchant_id) AS merchant_id, customer_id, subject, toString(meter_id) AS meter_id,
        toString(meter) AS meter, toString(aggregation) AS aggregation,
        toDateTime64(starts_at, 6, 'UTC') AS starts_at, toString(group_key) AS group_key, events, quantity, unfit
    FROM ([used])
    ORDER BY unfit DESC, merchant_id, subject, meter, starts_at, group_key
    LIMIT {limit:UInt64}
"""
# A bucket has one row of each half at most, and a quantity in one of them.
_BOTH = f"""
    SELECT {_KEYS}, sum(events) AS events, sum(quantity) AS quantity, max(unfit) AS unfit
    FROM ([windows] UNION ALL [values]) GROUP BY {_KEYS}
"""
# In 256 bits, as ``quantity_sql`` says. Distinct values are in the other half, where nothing else is.
# Comparing times and keys took two fifths of a large merchant's question, hence the filter; the rest is quick.
_QUANTITY = f"""toDecimal128(multiIf(
        aggregation = 'count', toDecimal256(sum(d.events), 12),
        aggregation = 'sum', sum(toDecimal256(d.sum, 12)),
        aggregation = 'min', toDecimal256(min(d.min), 12),
        aggregation = 'max', toDecimal256(max(d.max), 12),
        aggregation = 'latest', toDecimal256(argMaxIf(d.last, (d.last_at, d.last_key), d.aggregation = 'latest'), 12),
        aggregation = 'avg', {average_sql("sum(toDecimal256(d.sum, 12))", "sum(d.events)")},
        toDecimal256(0, 12)
    ), 12)"""
_OF_WINDOWS = f"""
    SELECT d.merchant_id AS merchant_id, d.customer_id AS customer_id, d.subject AS subject, d.meter_id AS meter_id,
        d.meter AS meter, d.aggregation AS aggregation, [bucket] AS starts_at, [group] AS group_key,
        sum(d.events) AS events, {_QUANTITY} AS quantity, [unfit] AS unfit
    FROM [rows] WHERE [counts] GROUP BY {_KEYS}
"""
_TOLD = """d.merchant_id AS merchant_id, d.customer_id AS customer_id, d.subject AS subject, d.meter_id AS meter_id,
        d.meter AS meter, d.aggregation AS aggregation, toDateTime64([bucket], 6, 'UTC') AS starts_at,
        [group] AS group_key"""
_IN_ORDER = "merchant_id, subject, meter, starts_at, group_key LIMIT {limit:UInt64}[each]"
_EACH = " BY merchant_id, customer_id, subject"
# All in one layer, without a quantity: each further layer and formula costs more than a customer's month to read.
_SUMS_ALONE = f"""
    SELECT {_TOLD}, {SUMS}, {LATEST}, [unfit] AS unfit
    FROM usage_windows AS d WHERE [counts] GROUP BY {_KEYS} ORDER BY unfit DESC, {_IN_ORDER}
"""
_VALUES_ALONE = f"""
    SELECT {_TOLD.replace("d.aggregation", "'unique'")}, uniqExact(d.value) AS distinct
    FROM usage_uniques AS d WHERE [counts] GROUP BY {_KEYS} ORDER BY {_IN_ORDER}
"""
# A question that is asked all the time: names without casts or aliases are planned in half the time.
_OF_PARTS = f"""
    SELECT _part, merchant_id, customer_id, subject, meter_id, meter, aggregation, [bucket] AS starts_at,
        [group] AS in_group, sum(events), toDecimal128(sum(toDecimal256(sum, 12)), 12), min(min), max(max),
        argMaxIf((last, last_at, last_key), (last_at, last_key), aggregation = 'latest'), max(restates)
    FROM usage_windows AS d WHERE [counts]
    GROUP BY _part, {_WHO}, starts_at, in_group
"""
_OF_VALUES = f"""
    SELECT d.merchant_id AS merchant_id, d.customer_id AS customer_id, d.subject AS subject, d.meter_id AS meter_id,
        d.meter AS meter, 'unique' AS aggregation, [bucket] AS starts_at, [group] AS group_key,
        toUInt64(0) AS events, toDecimal128(uniqExact(d.value), 12) AS quantity, toUInt8(0) AS unfit
    FROM [rows] WHERE [counts] GROUP BY {_KEYS}
"""
_IS_UNIQUE = f"(aggregation = 'unique') * {NEEDS_VALUES}"
_SAME = " AND ".join(f"d.{name} = r.{name}" for name in _WINDOW)
# ``ifNull`` is for servers that set ``join_use_nulls``.
_JOINED = f"""(SELECT * FROM [table] WHERE [inside]) AS d LEFT ANY JOIN (
        SELECT {", ".join(_WINDOW)}, max(stored_at) AS since FROM usage_windows WHERE restates = 1 AND [inside]
        GROUP BY {", ".join(_WINDOW)}
    ) AS r ON {_SAME}"""
_GROUP = {True: "d.group_key", False: "''"}
_LATEST_SAYS = "d.stored_at >= ifNull(r.since, toDateTime64(0, 6, 'UTC'))"


def plain_sql(grain: Grain, filters: Mapping[str, object], *, by_group: bool, values: bool, each: bool = False) -> str:
    """Sums (``clickhouse.sums``) as if nothing were restated and, without ``values``, no meter counted distinct values.

    ``unfit`` of the first row is 0 if that is so, else NEEDS_VALUES or NEEDS_JOIN: then no row is right. ``filters``
    are those of merchant_id, customer_id, subject and meter that the question binds, in the plural. With ``each`` the
    limit is one of each customer, and ``unfit`` of a customer's rows is about that customer.
    """
    inside, named = chosen(_INSIDE, filters, _BETWEEN), chosen(_NAMED, filters)
    # Rows of other names are read, and shown, only if they restate something.
    counts = f"{inside} AND ({named} OR d.restates = 1)" if named != "1" else inside
    unfit = f"greatest(max(d.restates) * {NEEDS_JOIN}, {'0' if values else _IS_UNIQUE})"
    return alone(filled(_SUMS_ALONE, unfit=unfit, counts=counts), grain, by_group=by_group, each=each)


def values_sql(grain: Grain, filters: Mapping[str, object], *, by_group: bool, each: bool = False) -> str:
    """How many distinct values there are, as if nothing were restated: the rows that ``plain_sql`` leaves at 0."""
    counts = f"{chosen(_INSIDE, filters, _BETWEEN)} AND {chosen(_NAMED, filters)}"
    return alone(filled(_VALUES_ALONE, counts=counts), grain, by_group=by_group, each=each)


def parts_sql(grain: Grain, filters: Mapping[str, object], *, by_group: bool, known: bool) -> str:
    """Sums of each part but those ``known``, as if nothing were restated; of whether something was, each tells.

    Columns are the part, those of the answer (of ``total`` the time is 0), events, sum, least and most, (latest, its
    time, its key) and restates.
    """
    inside, named = chosen(_INSIDE, filters, _BETWEEN), chosen(_NAMED, filters)
    counts = f"{inside} AND ({named} OR restates = 1)" if named != "1" else inside
    bucket = "0" if grain == "total" else f"toDateTime64({_BUCKETS[grain]}, 6, 'UTC')"
    left_out = " AND _part NOT IN {known:Array(String)}" if known else ""
    return filled(_OF_PARTS, bucket=bucket, group=_GROUP[by_group], counts=counts + left_out)


def corrected_sql(grain: Grain, filters: Mapping[str, object], *, by_group: bool, values: bool) -> str:
    """Usage whatever was restated; without ``values``, ``unfit`` may be NEEDS_VALUES."""
    inside, named = chosen(_INSIDE, filters, _BETWEEN), chosen(_NAMED, filters)
    windows = filled(_OF_WINDOWS, rows=filled(_JOINED, table="usage_windows"), unfit="0" if values else _IS_UNIQUE)
    windows = filled(windows, inside=inside, counts=f"{_LATEST_SAYS} AND d.events > 0 AND {named}")
    if not values:
        return whole(windows, grain, by_group=by_group)
    distinct = filled(_OF_VALUES, rows=filled(_JOINED, table="usage_uniques"))
    distinct = filled(distinct, inside=inside, counts=f"{_LATEST_SAYS} AND {named}")
    return whole(filled(_BOTH, windows=windows, values=distinct), grain, by_group=by_group)


def alone(told: str, grain: Grain, *, by_group: bool, each: bool) -> str:
    """A question of one layer."""
    return filled(told, bucket=_BUCKETS[grain], group=_GROUP[by_group], each=_EACH if each else "")


def whole(used: str, grain: Grain, *, by_group: bool) -> str:
    """The answer from what was used."""
    return filled(_ANSWER, used=filled(used, bucket=_BUCKETS[grain], group=_GROUP[by_group]))


def chosen(conditions: Mapping[str, str], filters: Mapping[str, object], *more: str) -> str:
    """The conditions on the columns that are filtered."""
    return " AND ".join([*(sql for column, sql in conditions.items() if column in filters), *more]) or "1"


def filled(sql: str, **places: str) -> str:
    """The text with its [places] filled."""
    for name, text in places.items():
        sql = sql.replace(f"[{name}]", text)
    return sql
