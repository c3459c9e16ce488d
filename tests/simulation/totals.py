"""Windows put together from their deltas, as a reader of the store does it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from core.quantity import EXACT
from streams.rows import UNIQUES, WINDOWS
from streams.store_memory import MemoryStore
from tests.streams.naive import Total, Window

Row = dict[str, Any]
PLACE = ("partition", "merchant_id", "customer_id", "meter_id", "window_start", "group_key")


def totals_of(store: MemoryStore) -> dict[Window, Total]:
    """All windows by meter, subject, minute and group."""
    found: dict[Window, Total] = {}
    windows, uniques = (store.tables[table].to_pylist() for table in (WINDOWS, UNIQUES))
    restated: dict[tuple[object, ...], datetime] = {}
    for row in windows:
        if row["restates"]:
            restated[place_of(row)] = max(row["stored_at"], restated.get(place_of(row), row["stored_at"]))
    for row in still_counting(windows, restated):
        if not row["events"]:
            continue
        total = found.setdefault((row["meter"], row["subject"], row["window_start"], row["group_key"]), Total())
        total.events += row["events"]
        total.sum = EXACT.add(total.sum, row["sum"])
        if row["aggregation"] not in {"count", "unique"}:
            total.min = row["min"] if total.min is None else min(total.min, row["min"])
            total.max = row["max"] if total.max is None else max(total.max, row["max"])
        if row["aggregation"] == "latest":
            last = (row["last_at"], row["last_key"], row["last"])
            total.last = last if total.last is None else max(total.last, last)
    for row in still_counting(uniques, restated):
        window = (row["meter"], row["subject"], row["window_start"], row["group_key"])
        found.setdefault(window, Total()).values.add(row["value"])
    return found


def still_counting(rows: list[Row], restated: dict[tuple[object, ...], datetime]) -> list[Row]:
    """Those that were not overtaken: of one partition's rows of a window, none before the youngest restating one."""
    return [row for row in rows if place_of(row) not in restated or row["stored_at"] >= restated[place_of(row)]]


def place_of(row: Row) -> tuple[object, ...]:
    """A window of one partition."""
    return tuple(row[name] for name in PLACE)


def as_texts(total: Total) -> list[str]:
    """A window's numbers in one way of writing them."""
    numbers = [total.sum, total.min, total.max, None if total.last is None else total.last[2]]
    last = "" if total.last is None else f"{total.last[0].isoformat()} {total.last[1].hex()}"
    written = ["" if number is None else f"{number:f}" for number in numbers]
    return [str(total.events), *written, last, *sorted(total.values)]
