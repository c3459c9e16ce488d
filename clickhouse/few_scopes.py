"""Usage of a few periods by one plain question, which checks itself as those of ``bucket_sql`` do.

Planning the question to the views, with its four branches and three joins, costs many times what reading a customer's
month does; and so does every function, alias and bound value of a plain one. This one reads the windows alone, joins
nothing, and has no formula but those that its scopes need. Whether a row restates others is told beside the answer,
from the very rows that were read: if one does, it is thrown away.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final, NamedTuple

import polars as pl

from clickhouse.client import UsageStore
from clickhouse.errors import UsageStoreError
from clickhouse.schema import PERIOD_USAGE
from clickhouse.sums import mean

# Each span of time is a question of its own; a customer's subscriptions mostly share one.
SPANS_MAX: Final = 4
# What is added up for which aggregations, in 256 bits, as ``quantity_sql`` says. Distinct values lie in another table.
_ADDED_UP: Final[Mapping[str, tuple[str, ...]]] = {
    "toDecimal128(sum(toDecimal256(sum, 12)), 12) AS total": ("sum", "avg"),
    "min(min) AS least": ("min",),
    "max(max) AS most": ("max",),
    "argMax(last, (last_at, last_key)) AS newest": ("latest",),
}
Row = Mapping[str, Any]
_QUANTITIES: Final[Mapping[str, Callable[[Row], Decimal]]] = {
    "count": lambda row: Decimal(row["used"]),
    "sum": lambda row: row["total"],
    "min": lambda row: row["least"],
    "max": lambda row: row["most"],
    "latest": lambda row: row["newest"],
    "avg": lambda row: mean(row["total"], row["used"]),
}
_WHOSE: Final = ("merchant_id", "customer_id", "meter_id")
_USAGE: Final = """
    SELECT merchant_id, customer_id, meter_id, sum(events) AS used, uniqExact(window_start, group_key) AS windows,
        min(window_start) AS since, max(window_start) AS until, max(restates) AS restated[added_up]
    FROM usage_windows
    WHERE [whose] AND stored_at <= {cutoff:DateTime64(6, 'UTC')}
        AND window_start >= {first:DateTime('UTC')} AND window_start < {last:DateTime('UTC')}
    GROUP BY merchant_id, customer_id, meter_id
"""
_SCOPE: Final = (*_WHOSE, "aggregation", "period_start", "period_end")
_NOTHING: Final = (0, 0, None, None, Decimal(0))


class Scope(NamedTuple):
    """A row that is asked about."""

    merchant_id: str
    customer_id: str
    meter_id: str
    aggregation: str
    period_start: datetime
    period_end: datetime


Found = dict[tuple[str, ...], Row]


def plain_usage(store: UsageStore, scopes: pl.DataFrame, cutoff: datetime) -> pl.DataFrame | None:
    """The columns of PERIOD_USAGE for scopes, row by row; None where windows alone do not tell them."""
    spans: dict[tuple[datetime, datetime], list[Scope]] = defaultdict(list)
    # A derivation may stand behind the aggregation.
    rows = [Scope(*row)._replace(aggregation=row[3].partition(" ")[0]) for row in scopes.select(_SCOPE).iter_rows()]
    for row in rows:
        spans[row.period_start, row.period_end].append(row)
    if len(spans) > SPANS_MAX or not {row.aggregation for row in rows} <= _QUANTITIES.keys():
        return None
    found = {span: used_in(store, own, cutoff) for span, own in spans.items()}
    told = []
    for row in rows:
        own = found[row.period_start, row.period_end]
        if own is None:
            return None
        told.append(told_of(own.get(row[:3]), row.aggregation))
    return pl.DataFrame(told, schema=PERIOD_USAGE, orient="row")


def used_in(store: UsageStore, scopes: list[Scope], cutoff: datetime) -> Found | None:
    """What was used in a span that scopes share; None where something was restated, or does not fit."""
    sql, bound = question(scopes)
    bound |= {"cutoff": cutoff, "first": second(scopes[0].period_start), "last": second(scopes[0].period_end)}
    try:
        found = store.query_frame(sql, bound).to_dicts()
    except UsageStoreError as error:
        # Of rows, perhaps, that count no longer.
        if error.name != "DECIMAL_OVERFLOW":
            raise
        return None
    if any(row["restated"] for row in found):
        return None
    return {tuple(row[name] for name in _WHOSE): row for row in found}


def question(scopes: list[Scope]) -> tuple[str, dict[str, object]]:
    """The text, and the values by which it finds its rows."""
    bound: dict[str, object] = {}
    whose = []
    for place, name in enumerate(_WHOSE):
        values = sorted({str(scope[place]) for scope in scopes})
        # A list of one takes longer to plan.
        whose.append(f"{name} = {{{name}:String}}" if len(values) == 1 else f"{name} IN {{{name}:Array(String)}}")
        bound[name] = values[0] if len(values) == 1 else values
    asked = {scope.aggregation for scope in scopes}
    added_up = [sql for sql, aggregations in _ADDED_UP.items() if asked.intersection(aggregations)]
    sql = _USAGE.replace("[whose]", " AND ".join(whose))
    return sql.replace("[added_up]", "".join(f", {one}" for one in added_up)), bound


def second(instant: datetime) -> str:
    """The whole second at or after an instant, as ClickHouse reads a DateTime: no window begins between the two."""
    rounded = instant.astimezone(UTC) + timedelta(microseconds=-instant.microsecond % 1_000_000)
    return rounded.strftime("%Y-%m-%d %H:%M:%S")


def told_of(row: Row | None, aggregation: str) -> tuple[object, ...]:
    """A row of PERIOD_USAGE."""
    if row is None:
        return _NOTHING
    since, until = (datetime.fromtimestamp(row[name], UTC) for name in ("since", "until"))
    return row["used"], row["windows"], since, until, _QUANTITIES[aggregation](row)
