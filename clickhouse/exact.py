"""The promise's last line: every stored copy of a span looked at, and quantities counted anew where one was too many.

The stream's dedupe is a cache and an insert's token is remembered for a while; this looks at the rows themselves.
The first copy counts: the one stored first, then the one that came first in the log. Copies meet whatever their time,
type or customer, as long as they lie in the span or up to ``MARGIN`` outside it: a sender who tries again with a new
time does so within minutes, not across months. Corrections are no copies: of an event that was corrected the last
correction counts, wherever and whenever it lies, or nothing when that took the event back.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import polars as pl

from clickhouse.client import UsageStore
from clickhouse.quantity import average_sql
from clickhouse.recompute import Rule, RuleSql, rule_sql
from clickhouse.schema import QUANTITY
from clickhouse.scopes import ask_about
from core.frames import Schema, checked

MARGIN = timedelta(days=1)
# Keys held in ClickHouse's memory at once take about 50 bytes each; more events than this are looked at in slices.
KEYS_AT_ONCE = 20_000_000
# More merchants than this are not named in a question: everybody's rows are read.
MERCHANTS_NAMED_MAX = 200

# Copies beyond the first, by whom they were counted for.
EXTRA_COPIES: Schema = {
    "merchant_id": pl.String(),
    "customer_id": pl.String(),
    "type": pl.String(),
    "copies": pl.UInt64(),
}
# Whose window deltas are there more than once.
DOUBLED_WINDOWS: Schema = {
    "merchant_id": pl.String(),
    "customer_id": pl.String(),
    "meter_id": pl.String(),
    "copies": pl.UInt64(),
}
EXACT_USAGE: Schema = {"exact_events": pl.UInt64(), "exact_quantity": QUANTITY}

# Whole keys are compared, as numbers because that is three times as fast as comparing them as texts.
_KEY = "reinterpretAsUInt128(key)"
_PLACE = "stored_at, incarnation, partition, kafka_offset, position"
_SLICE = "{slices:UInt32} = 1 OR modulo(reinterpretAsUInt8(substring(key, 16, 1)), {slices:UInt32}) = {slice:UInt32}"
_STORED = """fate = 'stored' AND stored_at <= {cutoff:DateTime64(6, 'UTC')}
    AND occurred_at >= {since:DateTime64(6, 'UTC')} AND occurred_at < {until:DateTime64(6, 'UTC')} AND [merchants]"""
_COPY = f"action = 'event' AND {_STORED}"
_DOUBLED = f"SELECT {_KEY} AS k FROM usage_events WHERE {_COPY} [slice] GROUP BY k HAVING count() > 1"
_FIRST = f"""
    SELECT k, first.1, first.2, first.3, first.4, first.5 FROM (
        SELECT {_KEY} AS k, min(({_PLACE})) AS first FROM usage_events
        WHERE {_COPY} GROUP BY k HAVING count() > 1
    )"""
_CORRECTED = f"""
    SELECT k, last.1, last.2, last.3 FROM (
        SELECT {_KEY} AS k, max((stored_at, kafka_offset, position)) AS last FROM usage_events
        WHERE action <> 'event' AND fate IN ('stored', 'retraction')
            AND stored_at <= {{cutoff:DateTime64(6, 'UTC')}} AND [merchants] GROUP BY k
    )"""
_EVENTS = """SELECT toUInt64(count()) AS events FROM usage_events
    WHERE occurred_at >= {since:DateTime64(6, 'UTC')} AND occurred_at < {until:DateTime64(6, 'UTC')} AND [merchants]"""
_ANY_DOUBLED = f"SELECT toUInt8(count() > 0) AS found FROM ({_DOUBLED} LIMIT 1)"
_EXTRA = f"""
    SELECT toString(merchant_id) AS merchant_id, customer_id, toString(type) AS type, toUInt64(count()) AS copies
    FROM (
        SELECT merchant_id, customer_id, type, occurred_at,
            row_number() OVER (PARTITION BY key ORDER BY {_PLACE}) AS place
        FROM usage_events WHERE {_COPY} AND {_KEY} IN ({_DOUBLED})
    )
    WHERE place > 1
        AND occurred_at >= {{start:DateTime64(6, 'UTC')}} AND occurred_at < {{end:DateTime64(6, 'UTC')}}
    GROUP BY merchant_id, customer_id, type ORDER BY merchant_id, customer_id, type
"""

_DELTAS = """usage_windows WHERE stored_at <= {cutoff:DateTime64(6, 'UTC')}
    AND window_start >= {start:DateTime64(6, 'UTC')} AND window_start < {end:DateTime64(6, 'UTC')} AND [merchants]"""
_DELTA = "customer_id, meter_id, window_start, group_key, incarnation, partition, block_first"
# A hash that two deltas share by chance costs a second look, no more.
_ANY_DOUBLED_DELTA = f"""SELECT toUInt8(count() > 0) AS found FROM (
    SELECT cityHash64({_DELTA}) AS h FROM {_DELTAS} GROUP BY h HAVING count() > 1 LIMIT 1)"""
_DOUBLED_DELTAS = f"""
    SELECT toString(m) AS merchant_id, c AS customer_id, toString(i) AS meter_id, toUInt64(sum(n - 1)) AS copies
    FROM (
        SELECT merchant_id AS m, customer_id AS c, meter_id AS i, count() AS n FROM {_DELTAS}
        GROUP BY merchant_id, {_DELTA} HAVING n > 1
    )
    GROUP BY m, c, i ORDER BY m, c, i
"""

_COUNTED = f"""
    SELECT merchant_id, customer_id, occurred_at, key, [value] AS value, [text] AS text FROM usage_events
    WHERE {_STORED} AND [counts]
        AND customer_id IN (SELECT customer_id FROM usage_scopes WHERE question = {{question:String}})
        AND if(action = 'event',
            {_KEY} NOT IN (SELECT k FROM ({_CORRECTED}))
                AND ({_KEY} NOT IN ({_DOUBLED.replace("[slice]", "")}) OR ({_KEY}, {_PLACE}) IN ({_FIRST})),
            ({_KEY}, stored_at, kafka_offset, position) IN ({_CORRECTED}))
"""
# Copies in the very same place are one block stored twice, and alike: either will do.
_EXACT = f"""
    SELECT s.row AS row, toUInt64(count()) AS exact_events, toDecimal128(multiIf(
            any(s.aggregation) = 'count', toDecimal256(count(), 12),
            any(s.aggregation) = 'sum', sum(e.value),
            any(s.aggregation) = 'min', min(e.value),
            any(s.aggregation) = 'max', max(e.value),
            any(s.aggregation) = 'latest', argMax(e.value, (e.occurred_at, e.key)),
            any(s.aggregation) = 'avg', {average_sql("sum(e.value)", "count()")},
            toDecimal256(uniqExact(e.text), 12)
        ), 12) AS exact_quantity
    FROM (SELECT * FROM ([counted]) LIMIT 1 BY key) AS e
    INNER JOIN (SELECT * FROM usage_scopes WHERE question = {{question:String}}) AS s
        ON e.merchant_id = s.merchant_id AND e.customer_id = s.customer_id
    WHERE e.occurred_at >= s.period_start AND e.occurred_at < s.period_end
    GROUP BY row
"""


@dataclass(frozen=True, slots=True)
class Span:
    """Usage of ``[start, end)`` as stored until ``cutoff``, of some merchants (by id) or, with None, of all."""

    start: datetime
    end: datetime
    cutoff: datetime
    merchant_ids: Collection[str] | None = None

    @property
    def named(self) -> list[str] | None:
        """The merchants to name in a question; None to read everybody's rows."""
        few = self.merchant_ids is not None and len(self.merchant_ids) <= MERCHANTS_NAMED_MAX
        return list(self.merchant_ids or ()) if few else None


@dataclass(frozen=True, slots=True, eq=False)
class Doubles:
    """What was stored more than once: events (EXTRA_COPIES) and window deltas (DOUBLED_WINDOWS)."""

    events: pl.DataFrame
    windows: pl.DataFrame

    @property
    def none(self) -> bool:
        """Whether everything is there once."""
        return self.events.is_empty() and self.windows.is_empty()


def find_doubles(store: UsageStore, span: Span, keys_at_once: int = KEYS_AT_ONCE) -> Doubles:
    """Look at every event and window delta of a span for ones that were stored more than once.

    Costs a pass over the keys and one over the deltas; who they belong to is asked only when there are any.
    """
    bound = bounds_of(span)
    events = store.query_frame(of_merchants(_EVENTS, span), named(bound, "since", "until", "merchants"))["events"][0]
    slices = max(1, -(-int(events) // keys_at_once))
    found = [extra_copies(store, span, bound | {"slices": slices, "slice": number}) for number in range(slices)]
    extra = pl.concat(found).group_by("merchant_id", "customer_id", "type", maintain_order=True).agg(pl.sum("copies"))
    inside = named(bound, "start", "end", "cutoff", "merchants")
    doubled = pl.DataFrame(schema=DOUBLED_WINDOWS)
    if store.query_frame(of_merchants(_ANY_DOUBLED_DELTA, span), inside)["found"][0]:
        doubled = store.query_frame(of_merchants(_DOUBLED_DELTAS, span), inside)
    return Doubles(checked(extra, EXTRA_COPIES), checked(doubled, DOUBLED_WINDOWS))


def extra_copies(store: UsageStore, span: Span, bound: Mapping[str, object]) -> pl.DataFrame:
    """EXTRA_COPIES among the keys of one slice."""
    looking = named(bound, "since", "until", "cutoff", "merchants", "slices", "slice")
    if not store.query_frame(of_merchants(_ANY_DOUBLED, span), looking)["found"][0]:
        return pl.DataFrame(schema=EXTRA_COPIES)
    return store.query_frame(of_merchants(_EXTRA, span), bound)


def exact_usage(store: UsageStore, scopes: pl.DataFrame, rules: Sequence[Rule], cutoff: datetime) -> pl.DataFrame:
    """Count scopes of meters with the same rules from the events that count at the cut-off, each once.

    ``scopes`` is as for ``usage_for_period``, and so is the answer, but for its columns: those of EXACT_USAGE. No two
    rules may hold for the same event. Raises ``UsageStoreError`` when a quantity does not fit.
    """
    assert rules and not scopes.is_empty(), "there is something to count"
    question, asked = ask_about(store, scopes)
    start, end = scopes["period_start"].min(), scopes["period_end"].max()
    assert isinstance(start, datetime)
    assert isinstance(end, datetime)
    span = Span(start, end, cutoff, scopes["merchant_id"].unique().to_list())
    worked = [rule_sql(rule, f"r{index}") for index, rule in enumerate(rules)]
    counted = " UNION ALL ".join(counted_sql(sql) for sql in worked)
    bound = {"question": question, **named(bounds_of(span), "since", "until", "cutoff", "merchants")}
    for sql in worked:
        bound |= sql.parameters
    found = store.query_frame(of_merchants(_EXACT.replace("[counted]", counted), span), bound)
    answered = asked.join(found, on="row", how="left", maintain_order="left")
    zero = pl.lit(0).cast(QUANTITY)
    return answered.drop("row").with_columns(
        pl.col("exact_events").fill_null(0).cast(pl.UInt64), pl.col("exact_quantity").fill_null(zero).cast(QUANTITY)
    )


def counted_sql(sql: RuleSql) -> str:
    """The first copies, and last corrections, that one rule counts."""
    return _COUNTED.replace("[value]", sql.value).replace("[text]", sql.text).replace("[counts]", sql.counts)


def bounds_of(span: Span) -> dict[str, object]:
    """A span's parameters: ``since`` and ``until`` with the margin, ``start`` and ``end`` without."""
    bound: dict[str, object] = {
        "start": span.start,
        "end": span.end,
        "since": span.start - MARGIN,
        "until": span.end + MARGIN,
        "cutoff": span.cutoff,
    }
    return bound if span.named is None else bound | {"merchants": span.named}


def of_merchants(sql: str, span: Span) -> str:
    """The question for the span's merchants; only they are read, because rows lie in the order of merchants."""
    condition = "1" if span.named is None else "merchant_id IN {merchants:Array(String)}"
    return sql.replace("[merchants]", condition).replace("[slice]", f"AND ({_SLICE})")


def named(bound: Mapping[str, object], *names: str) -> dict[str, object]:
    """Those of some parameters that a question has, for one that is not asked must not be bound."""
    return {name: bound[name] for name in names if name in bound}
