"""What counts after corrections: window deltas that no later row restates, and events that nothing took back."""

BLOCKING = False

# While nothing was ever corrected, the question is answered before the query is planned, and the first half of each
# view is then all that it was without corrections. From the first correction on the second half takes its place. It
# is a join, so that a filter on the merchant, customer, meter or minute reaches the restated windows as well.
_ANY_RESTATED = "(SELECT count() FROM (SELECT 1 FROM usage_windows WHERE restates = 1[until] LIMIT 1))"
_CORRECTS = "action <> 'event' AND fate IN ('stored', 'retraction')"
_ANY_CORRECTED = f"(SELECT count() FROM (SELECT 1 FROM usage_events WHERE {_CORRECTS}[until] LIMIT 1))"

_WINDOW = ("merchant_id", "customer_id", "meter_id", "window_start", "group_key", "partition")
_RESTATED = f"""
    SELECT {", ".join(_WINDOW)}, max(stored_at) AS since FROM usage_windows WHERE restates = 1[until]
    GROUP BY {", ".join(_WINDOW)}
"""
_WHO = "w.merchant_id AS merchant_id, w.customer_id AS customer_id, w.subject AS subject, w.meter_id AS meter_id"
_WHEN = "w.window_start AS window_start, w.group_key AS group_key, w.stored_at AS stored_at"
_OF_WINDOW = f"""
    {_WHO}, w.meter AS meter, w.aggregation AS aggregation, {_WHEN}, w.events AS events, w.sum AS sum, w.min AS min,
    w.max AS max, w.last_at AS last_at, w.last_key AS last_key, w.last AS last, '' AS value, false AS is_value
"""
_OF_VALUE = f"""
    {_WHO}, w.meter AS meter, 'unique' AS aggregation, {_WHEN}, 0 AS events, 0 AS sum, 0 AS min,
    0 AS max, toDateTime64(0, 6, 'UTC') AS last_at, toFixedString('', 16) AS last_key, 0 AS last, w.value AS value,
    true AS is_value
"""


def _counting(columns: str, table: str, condition: str = "1") -> str:
    """The rows of a table of deltas that count. ``ifNull`` is for clients that set ``join_use_nulls``."""
    same = " AND ".join(f"w.{name} = r.{name}" for name in _WINDOW)
    return f"""
        SELECT {columns} FROM {table} AS w WHERE {_ANY_RESTATED} = 0[of_w]
        UNION ALL
        SELECT {columns} FROM {table} AS w LEFT ANY JOIN ({_RESTATED}) AS r ON {same}
        WHERE {_ANY_RESTATED} > 0 AND w.stored_at >= ifNull(r.since, toDateTime64(0, 6, 'UTC')) AND {condition}[of_w]
    """


# A window that lost all its events is restated with none, and then says nothing.
_DELTAS = f"{_counting(_OF_WINDOW, 'usage_windows', 'w.events > 0')} UNION ALL {_counting(_OF_VALUE, 'usage_uniques')}"

_EVENT = ", ".join(
    f"e.{name} AS {name}"
    for name in (
        *("merchant_id", "event_id", "source", "type", "subject", "customer_id", "occurred_at", "received_at"),
        *("stored_at", "properties", "fate", "reason", "key", "body_hash", "incarnation", "partition", "block_first"),
        *("kafka_offset", "position", "action", "correction_id"),
    )
)
_COUNTED = f"""
    SELECT {_EVENT} FROM usage_events AS e WHERE e.fate = 'stored' AND {_ANY_CORRECTED} = 0[of_e]
    UNION ALL
    SELECT {_EVENT} FROM usage_events AS e LEFT ANY JOIN (
        SELECT merchant_id, key, max((stored_at, kafka_offset, position)) AS place, 1 AS corrected
        FROM usage_events WHERE {_CORRECTS}[until] GROUP BY merchant_id, key
    ) AS c ON e.merchant_id = c.merchant_id AND e.key = c.key
    WHERE e.fate = 'stored' AND {_ANY_CORRECTED} > 0[of_e] AND (
        ifNull(c.corrected, 0) = 0
        OR (e.action <> 'event' AND (e.stored_at, e.kafka_offset, e.position) = c.place)
    )
"""


def _now(view: str) -> str:
    return view.replace("[until]", "").replace("[of_w]", "").replace("[of_e]", "")


def _at(view: str) -> str:
    until = "stored_at <= {cutoff:DateTime64(6, 'UTC')}"
    for place, condition in {"[until]": until, "[of_w]": f"w.{until}", "[of_e]": f"e.{until}"}.items():
        view = view.replace(place, f" AND {condition}")
    return view


_VIEWS = {
    "usage_deltas": _now(_DELTAS),
    "usage_deltas_at": _at(_DELTAS),
    "usage_counted": _now(_COUNTED),
    "usage_counted_at": _at(_COUNTED),
}
_DELTAS_BEFORE = """
    SELECT
        merchant_id, customer_id, subject, meter_id, meter, aggregation, window_start, group_key,
        stored_at, events, sum, min, max, last_at, last_key, last, '' AS value, false AS is_value
    FROM usage_windows
    UNION ALL
    SELECT
        merchant_id, customer_id, subject, meter_id, meter, 'unique', window_start, group_key,
        stored_at, 0, 0, 0, 0, toDateTime64(0, 6, 'UTC'), toFixedString('', 16), 0, value, true
    FROM usage_uniques
"""

# The parts of past months are never merged again: without their indexes every question would read them to its end.
FORWARD = [
    "ALTER TABLE usage_windows MATERIALIZE INDEX restates_index",
    "ALTER TABLE usage_events MATERIALIZE INDEX action_index",
    *(f"CREATE OR REPLACE VIEW {name} AS {select}" for name, select in _VIEWS.items()),
]
BACKWARD = [
    *(f"DROP VIEW IF EXISTS {name}" for name in ("usage_counted_at", "usage_counted", "usage_deltas_at")),
    f"CREATE OR REPLACE VIEW usage_deltas AS {_DELTAS_BEFORE}",
]
