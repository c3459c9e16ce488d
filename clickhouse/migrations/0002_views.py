"""The views that analysts may build on. Their columns are a promise; ``clickhouse/README.md`` documents each."""

BLOCKING = False

# Windows and distinct values in one row shape, so that every view groups once and joins nothing.
_DELTAS = """
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

# ClickHouse sums Decimal(38) in 128 bits and wraps without a word. In 256 bits no sum of ours can, and narrowing
# the result again raises DECIMAL_OVERFLOW instead of showing a wrong number.
_QUANTITY = """
    toDecimal128(multiIf(
        aggregation = 'count', toDecimal256(sum(d.events), 12),
        aggregation = 'sum', sum(toDecimal256(d.sum, 12)),
        aggregation = 'min', toDecimal256(min(d.min), 12),
        aggregation = 'max', toDecimal256(max(d.max), 12),
        aggregation = 'latest', toDecimal256(argMax(d.last, (d.last_at, d.last_key)), 12),
        toDecimal256(uniqExactIf(d.value, d.is_value), 12)
    ), 12) AS quantity
"""
_WHO = """
    d.merchant_id AS merchant_id, d.customer_id AS customer_id, d.subject AS subject,
    d.meter_id AS meter_id, d.meter AS meter, d.aggregation AS aggregation
"""
_WHO_KEYS = "merchant_id, customer_id, subject, meter_id, meter, aggregation"
_NUMBERS = f"sum(d.events) AS events, {_QUANTITY}"

_ZONE = "{zone:String}"


def _usage(buckets: dict[str, str], *, source: str = "usage_deltas AS d", where: str = "1") -> str:
    """A SELECT of exact usage by customer, meter and the given buckets (column name: expression)."""
    named = "".join(f"{expression} AS {name}, " for name, expression in buckets.items())
    keys = ", ".join([_WHO_KEYS, *buckets])
    return f"SELECT {_WHO}, {named}{_NUMBERS} FROM {source} WHERE {where} GROUP BY {keys}"


def _hour(zone: str) -> dict[str, str]:
    return {"starts_at": f"toTimeZone(toStartOfHour(d.window_start, {zone}), 'UTC')"}


def _day(zone: str) -> dict[str, str]:
    return {
        "day": f"toDate(d.window_start, {zone})",
        "starts_at": f"toTimeZone(toStartOfDay(d.window_start, {zone}), 'UTC')",
    }


def _month(zone: str) -> dict[str, str]:
    first = f"toStartOfMonth(d.window_start, {zone})"
    return {"month": first, "starts_at": f"toTimeZone(toDateTime({first}, {zone}), 'UTC')"}


def _group(buckets: dict[str, str]) -> dict[str, str]:
    dimensions = "JSONExtract(toString(d.group_key), 'Map(String, String)')"
    return buckets | {"group_key": "d.group_key", "dimensions": dimensions}


def _any_bucket() -> str:
    """Usage between two instants by a grain, zone and grouping chosen at the call; what ``millrace usage`` reads."""
    first = f"toStartOfMonth(d.window_start, {_ZONE})"
    starts_at = f"""multiIf(
        {{grain:String}} = 'minute', d.window_start,
        {{grain:String}} = 'hour', toTimeZone(toStartOfHour(d.window_start, {_ZONE}), 'UTC'),
        {{grain:String}} = 'day', toTimeZone(toStartOfDay(d.window_start, {_ZONE}), 'UTC'),
        {{grain:String}} = 'month', toTimeZone(toDateTime({first}, {_ZONE}), 'UTC'),
        {{since:DateTime('UTC')}})"""
    group_key = "if({by_group:Bool}, d.group_key, '')"
    between = "d.window_start >= {since:DateTime('UTC')} AND d.window_start < {until:DateTime('UTC')}"
    return _usage({"starts_at": starts_at, "group_key": group_key}, where=between)


def _month_of_each_customer(at: str) -> str:
    """Usage of the calendar month around an instant, each customer's month in the customer's own zone.

    Only ``formatDateTime`` takes another zone for every row, hence the comparison of texts. The range around it
    spares reading other months.
    """
    zone = "if(c.zone = '', 'UTC', c.zone)"
    month_text = f"formatDateTime({at}, '%Y-%m-01', {zone})"
    source = """usage_deltas AS d LEFT JOIN
        (SELECT merchant_id, customer_id, toString(zone) AS zone FROM customers FINAL) AS c
        ON d.merchant_id = c.merchant_id AND d.customer_id = c.customer_id"""
    where = f"""d.window_start > {at} - INTERVAL 33 DAY AND d.window_start < {at} + INTERVAL 33 DAY
        AND formatDateTime(d.window_start, '%Y-%m-01', {zone}) = {month_text}"""
    return _usage({"zone": zone, "month": f"toDate({month_text})"}, source=source, where=where)


_FATES = """
    SELECT
        merchant_id, toDate(received_at, 'UTC') AS day, type, toString(fate) AS fate, reason,
        count() AS events, min(occurred_at) AS first_occurred_at, max(occurred_at) AS last_occurred_at
    FROM usage_events AS e
    GROUP BY merchant_id, day, type, fate, reason
"""
_TOTAL = {"first_window": "min(d.window_start)", "last_window": "max(d.window_start)"}


def _total() -> str:
    spans = ", ".join(f"{expression} AS {name}" for name, expression in _TOTAL.items())
    return f"SELECT {_WHO}, {spans}, {_NUMBERS} FROM usage_deltas AS d GROUP BY {_WHO_KEYS}"


_VIEWS = {
    "usage_deltas": _DELTAS,
    "usage_buckets": _any_bucket(),
    "usage_by_minute": _usage({"starts_at": "d.window_start"}),
    "usage_by_hour": _usage({"starts_at": "toStartOfHour(d.window_start)"}),
    "usage_by_hour_in": _usage(_hour(_ZONE)),
    "usage_by_day": _usage({"day": "toDate(d.window_start)", "starts_at": "toStartOfDay(d.window_start)"}),
    "usage_by_day_in": _usage(_day(_ZONE)),
    "usage_by_month": _usage(_month("'UTC'")),
    "usage_by_month_in": _usage(_month(_ZONE)),
    "usage_by_group": _usage(_group({"day": "toDate(d.window_start)", "starts_at": "toStartOfDay(d.window_start)"})),
    "usage_by_group_in": _usage(_group(_day(_ZONE))),
    "usage_total": _total(),
    "usage_month_at": _month_of_each_customer("{at:DateTime('UTC')}"),
    "usage_current_period": _month_of_each_customer("now('UTC')"),
    "event_fates": _FATES,
}

FORWARD = [f"CREATE OR REPLACE VIEW {name} AS {select}" for name, select in _VIEWS.items()]
BACKWARD = [f"DROP VIEW IF EXISTS {name}" for name in reversed(_VIEWS)]
