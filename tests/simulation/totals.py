"""Windows put together from their deltas, as a reader of the store does it."""

from __future__ import annotations

from core.quantity import EXACT
from streams.rows import UNIQUES, WINDOWS
from streams.store_memory import MemoryStore
from tests.streams.naive import Total, Window


def totals_of(store: MemoryStore) -> dict[Window, Total]:
    """All windows by meter, subject, minute and group."""
    found: dict[Window, Total] = {}
    for row in store.tables[WINDOWS].to_pylist():
        total = found.setdefault((row["meter"], row["subject"], row["window_start"], row["group_key"]), Total())
        total.events += row["events"]
        total.sum = EXACT.add(total.sum, row["sum"])
        if row["aggregation"] not in {"count", "unique"}:
            total.min = row["min"] if total.min is None else min(total.min, row["min"])
            total.max = row["max"] if total.max is None else max(total.max, row["max"])
        if row["aggregation"] == "latest":
            last = (row["last_at"], row["last_key"], row["last"])
            total.last = last if total.last is None else max(total.last, last)
    for row in store.tables[UNIQUES].to_pylist():
        window = (row["meter"], row["subject"], row["window_start"], row["group_key"])
        found.setdefault(window, Total()).values.add(row["value"])
    return found


def as_texts(total: Total) -> list[str]:
    """A window's numbers in one way of writing them."""
    numbers = [total.sum, total.min, total.max, None if total.last is None else total.last[2]]
    last = "" if total.last is None else f"{total.last[0].isoformat()} {total.last[1].hex()}"
    written = ["" if number is None else f"{number:f}" for number in numbers]
    return [str(total.events), *written, last, *sorted(total.values)]
