"""Usage computed the slow and obvious way, one row at a time in Python decimals: what the views are held against."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal, localcontext
from typing import Any
from zoneinfo import ZoneInfo

from core.period import day_start
from core.quantity import EXACT, parse_quantity

Row = dict[str, Any]
SMALLEST = Decimal("0.000000000001")
WHO = ("merchant_id", "customer_id", "meter_id", "aggregation")


def quantity_of(aggregation: str, windows: list[Row], values: set[str]) -> Decimal:
    """The quantity of some deltas and distinct values under one aggregation."""
    if aggregation == "unique":
        return Decimal(len(values))
    if aggregation == "count":
        return Decimal(sum(row["events"] for row in windows))
    if aggregation == "min":
        return min((row["min"] for row in windows), default=Decimal(0))
    if aggregation == "max":
        return max((row["max"] for row in windows), default=Decimal(0))
    if aggregation == "latest":
        return Decimal(max(windows, key=lambda row: (row["last_at"], row["last_key"]))["last"])
    with localcontext(EXACT):
        total = sum((row["sum"] for row in windows), Decimal(0))
        return average(total, sum(row["events"] for row in windows)) if aggregation == "avg" else total


def average(total: Decimal, events: int) -> Decimal:
    """What was added up by the number of events, with twelve places; halves go away from zero."""
    with localcontext(EXACT):
        return (total / (events or 1)).quantize(SMALLEST, ROUND_HALF_UP)


def naive_usage(
    windows: Iterable[Row], uniques: Iterable[Row], bucket: Callable[[Row], Hashable]
) -> dict[tuple[Hashable, ...], tuple[int, Decimal]]:
    """Events and quantity by merchant, customer, meter, aggregation and whatever ``bucket`` says of a row."""
    rows = defaultdict(list)
    values = defaultdict(set)
    for row in windows:
        rows[(*(row[name] for name in WHO), bucket(row))].append(row)
    for row in uniques:
        key = (row["merchant_id"], row["customer_id"], row["meter_id"], "unique", bucket(row))
        values[key].add(row["value"])
    return {
        key: (sum(row["events"] for row in found), quantity_of(str(key[3]), found, values[key]))
        for key, found in rows.items()
    }


def local(row: Row, zone: str) -> datetime:
    """When a row's window began on the clocks of a zone."""
    instant: datetime = row["window_start"]
    return instant.astimezone(ZoneInfo(zone))


def day_of(row: Row, zone: str) -> datetime:
    """The first instant, in UTC, of the local day that a row's window lies in."""
    return day_start(local(row, zone).date(), zone)


def month_of(row: Row, zone: str) -> datetime:
    """The first instant, in UTC, of the local month that a row's window lies in."""
    return day_start(local(row, zone).date().replace(day=1), zone)


def counting(rows: Iterable[Row], windows: Iterable[Row], cutoff: datetime) -> list[Row]:
    """The rows of windows, or of their distinct values, that count at a cut-off, read off the rule as it is written.

    Of one partition's rows of a window those from before the youngest restating one count no longer; a row without
    events never counts.
    """

    def cell(row: Row) -> tuple[Any, ...]:
        return tuple(
            row[name] for name in ("merchant_id", "customer_id", "meter_id", "window_start", "group_key", "partition")
        )

    restated: dict[tuple[Any, ...], datetime] = {}
    for row in windows:
        if row["restates"] and row["stored_at"] <= cutoff:
            restated[cell(row)] = max(row["stored_at"], restated.get(cell(row), row["stored_at"]))
    return [
        row
        for row in rows
        if row["stored_at"] <= cutoff
        and row.get("events", 1) > 0
        and row["stored_at"] >= restated.get(cell(row), row["stored_at"])
    ]


def alive(rows: Iterable[Row], cutoff: datetime) -> list[Row]:
    """The events that count at a cut-off: of each key the last correction that took effect, else what was stored."""
    by_key: dict[bytes, list[Row]] = defaultdict(list)
    for row in rows:
        if row["stored_at"] <= cutoff:
            by_key[row["key"]].append(row)
    found: list[Row] = []
    for same in by_key.values():
        took_effect = [row for row in same if row["action"] != "event" and row["fate"] in {"stored", "retraction"}]
        if took_effect:
            same = [max(took_effect, key=lambda row: (row["stored_at"], row["kafka_offset"], row["position"]))]  # noqa: PLW2901
        found += [row for row in same if row["fate"] == "stored"]
    return found


def texts_of(event: Row) -> dict[str, str]:
    """An event's properties by name."""
    return {pair["key"]: pair["value"] for pair in event["properties"]}


def counted_once(
    rows: Iterable[Row], asked: Row, cutoff: datetime, text_of: Callable[[Row], str | None]
) -> tuple[int, Decimal]:
    """Events and quantity of a customer's period, of copies the first alone; ``text_of`` has None for no usage."""
    place = ("stored_at", "incarnation", "partition", "kafka_offset", "position")
    firsts: dict[bytes, Row] = {}
    for row in sorted(alive(rows, cutoff), key=lambda row: tuple(row[name] for name in place)):
        firsts.setdefault(row["key"], row)
    found = []
    for row in firsts.values():
        text = text_of(row)
        inside = asked["period_start"] <= row["occurred_at"] < asked["period_end"]
        if text is not None and inside and row["customer_id"] == asked["customer_id"]:
            found.append((row["occurred_at"], row["key"], text))
    values = [parse_quantity(text) for _, _, text in found]
    quantity = {
        "count": Decimal(len(found)),
        "sum": sum(values, Decimal(0)),
        "min": min(values, default=Decimal(0)),
        "max": max(values, default=Decimal(0)),
        "latest": parse_quantity(max(found)[2]) if found else Decimal(0),
        "avg": average(sum(values, Decimal(0)), len(values)),
        "unique": Decimal(len({text for _, _, text in found})),
    }
    return len(found), quantity[asked["aggregation"]]
