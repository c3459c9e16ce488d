"""``History`` on ClickHouse. Values are bound by the server; long lists go in several questions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

import polars as pl
import pyarrow as pa

from streams.history import DECIDERS, MINUTE_US, WINDOW_LABELS, Before, EventSpan, WindowSpan, counting
from streams.read_back import read_as, select_list
from streams.rows import EVENTS_SCHEMA

Query = Callable[[str, Mapping[str, object] | None], pl.DataFrame]

# Parameters travel in the address of the request: a text of 64 kB, and as many places as stay below that.
KEYS_AT_ONCE = 2_000
PLACES_AT_ONCE = 64

BEFORE = """
    t.partition = {partition:UInt16} AND t.stored_at < fromUnixTimestamp64Micro({before_us:Int64}, 'UTC')
    AND (t.incarnation, t.block_first) NOT IN (
        SELECT block.1, block.2
        FROM (SELECT arrayJoin(arrayZip({out_incarnations:Array(UInt32)}, {out_firsts:Array(UInt64)})) AS block))
"""
# One text of hexadecimal digits, which costs a third of a list of them.
KEYS = """
    SELECT arrayJoin(arrayMap(at -> toFixedString(unhex(substring({keys:String}, 32 * at + 1, 32)), 16),
        range(intDiv(length({keys:String}), 32))))
"""
ROWS_OF_KEYS = f"""
    SELECT {select_list(EVENTS_SCHEMA)} FROM usage_events AS t
    WHERE t.merchant_id IN {{merchants:Array(String)}} AND {BEFORE} AND t.key IN ({KEYS})
"""
AT_PLACES = f"""
    t.fate = 'stored' AND {BEFORE}
    AND t.merchant_id IN {{merchants:Array(String)}} AND t.subject IN {{subjects:Array(String)}}
    AND t.occurred_at >= fromUnixTimestamp64Micro({{from_us:Int64}}, 'UTC')
    AND t.occurred_at < fromUnixTimestamp64Micro({{to_us:Int64}}, 'UTC')
    AND (toString(t.merchant_id), t.subject, intDiv(toUnixTimestamp64Micro(t.occurred_at), {MINUTE_US})) IN (
        SELECT place.1, place.2, place.3 FROM (SELECT arrayJoin(arrayZip({{place_merchants:Array(String)}},
            {{place_subjects:Array(String)}}, {{place_minutes:Array(Int64)}})) AS place))
"""
IN_SPAN = f"""
    t.fate = 'stored' AND {BEFORE}
    AND t.merchant_id IN {{merchants:Array(String)}} AND t.type = {{type:String}}
    AND t.occurred_at >= fromUnixTimestamp64Micro({{from_us:Int64}}, 'UTC')
    AND t.occurred_at < fromUnixTimestamp64Micro({{to_us:Int64}}, 'UTC')
"""
WINDOWS_BETWEEN = f"""
    SELECT DISTINCT
        t.customer_id AS customer_id, t.subject AS subject, toString(t.meter) AS meter,
        toString(t.aggregation) AS aggregation, intDiv(toInt64(toUnixTimestamp(t.window_start)), 60) AS minute,
        toString(t.group_key) AS group_key
    FROM usage_windows AS t
    WHERE t.merchant_id = {{merchant:String}} AND t.meter_id = {{meter:String}} AND {BEFORE}
        AND t.window_start >= toDateTime({{from_s:Int64}}, 'UTC') AND t.window_start < toDateTime({{to_s:Int64}}, 'UTC')
"""


class ClickHouseHistory:
    """Asks through ``UsageStore.query_frame``."""

    def __init__(self, query: Query) -> None:
        self._query = query

    def rows_of(self, before: Before, merchant_ids: Sequence[str], keys: Sequence[bytes]) -> pa.Table:
        """See ``History.rows_of``."""
        found = [EVENTS_SCHEMA.empty_table()]
        for start in range(0, len(keys), KEYS_AT_ONCE):
            asked = "".join(key.hex() for key in keys[start : start + KEYS_AT_ONCE])
            bound = {**bound_before(before), "merchants": list(merchant_ids), "keys": asked}
            found.append(read_as(self._query(ROWS_OF_KEYS, bound), EVENTS_SCHEMA))
        return pa.concat_tables(found).combine_chunks()

    def counted_at(self, before: Before, places: pl.DataFrame) -> pa.Table:
        """See ``History.counted_at``."""
        found = [EVENTS_SCHEMA.empty_table()]
        # Neighbours in the table's order are asked for together.
        for some in places.sort("merchant_id", "subject", "minute").iter_slices(PLACES_AT_ONCE):
            merchants, subjects, minutes = (some[name].to_list() for name in ("merchant_id", "subject", "minute"))
            bound = {
                **bound_before(before),
                "merchants": sorted(set(merchants)),
                "subjects": sorted(set(subjects)),
                "from_us": min(minutes) * MINUTE_US,
                "to_us": (max(minutes) + 1) * MINUTE_US,
                "place_merchants": merchants,
                "place_subjects": subjects,
                "place_minutes": minutes,
            }
            found.append(self._counted(AT_PLACES, bound))
        return pa.concat_tables(found).combine_chunks()

    def counted_between(self, before: Before, span: EventSpan) -> pa.Table:
        """See ``History.counted_between``."""
        return self._counted(IN_SPAN, {**bound_before(before), **bound_span(span)})

    def busy_minutes(self, before: Before, span: EventSpan) -> pl.DataFrame:
        """See ``History.busy_minutes``."""
        minute = f"intDiv(toUnixTimestamp64Micro(t.occurred_at), {MINUTE_US})"
        sql = f"SELECT {minute} AS minute, count() AS events FROM usage_events AS t WHERE {IN_SPAN} GROUP BY minute"
        return self._query(sql, {**bound_before(before), **bound_span(span)}).cast(
            {"minute": pl.Int64, "events": pl.UInt64}
        )

    def windows_between(self, before: Before, span: WindowSpan) -> pl.DataFrame:
        """See ``History.windows_between``."""
        bound = {
            **bound_before(before),
            "merchant": span.merchant_id,
            "meter": span.meter_id,
            "from_s": microseconds(span.starts_at) // 1_000_000,
            "to_s": microseconds(span.ends_at) // 1_000_000,
        }
        return as_schema(self._query(WINDOWS_BETWEEN, bound), WINDOW_LABELS)

    def _counted(self, candidates: str, bound: Mapping[str, object]) -> pa.Table:
        """The candidates, and the last correction of each of their keys: nearly always there are none."""
        found = read_as(
            self._query(f"SELECT {select_list(EVENTS_SCHEMA)} FROM usage_events AS t WHERE {candidates}", bound),
            EVENTS_SCHEMA,
        )
        deciders = f"""
            SELECT t.key AS key, max((t.stored_at, t.kafka_offset, t.position)) AS place,
                toUnixTimestamp64Micro(place.1) AS stored_us, place.2 AS kafka_offset, place.3 AS position
            FROM usage_events AS t
            WHERE t.action != 'event' AND t.fate IN ('stored', 'retraction') AND {BEFORE}
                AND t.merchant_id IN {{merchants:Array(String)}}
                AND t.key IN (SELECT t.key FROM usage_events AS t WHERE {candidates})
            GROUP BY key
        """
        chosen = f"SELECT key, stored_us, kafka_offset, position FROM ({deciders})"
        return counting(found, as_schema(self._query(chosen, bound), DECIDERS))


def as_schema(frame: pl.DataFrame, schema: Mapping[str, pl.DataType]) -> pl.DataFrame:
    """The columns of a schema, in its types."""
    return frame.select(pl.col(name).cast(kind) for name, kind in schema.items())


def bound_before(before: Before) -> dict[str, object]:
    """What BEFORE is bound to."""
    return {
        "partition": before.partition,
        "before_us": microseconds(before.stored_before),
        "out_incarnations": [intent.incarnation for intent in before.leaving_out],
        "out_firsts": [intent.first_offset for intent in before.leaving_out],
    }


def bound_span(span: EventSpan) -> dict[str, object]:
    """What IN_SPAN is bound to."""
    return {
        "merchants": [span.merchant_id],
        "type": span.event_type,
        "from_us": microseconds(span.starts_at),
        "to_us": microseconds(span.ends_at),
    }


def microseconds(at: datetime) -> int:
    """An instant counted from 1970, exactly."""
    whole: int = pa.scalar(at, pa.timestamp("us", "UTC")).value
    return whole
