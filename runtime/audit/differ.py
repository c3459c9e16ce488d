"""Where two versions of a block's rows part: the first row that differs, in words, with the events behind it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from core.quantity import plain_text
from runtime.audit.read_rows import Rows
from streams.rows import EVENTS, STORED, UNIQUES, WINDOWS

NAMES = {
    EVENTS: ("kafka_offset", "position"),
    WINDOWS: ("merchant_id", "meter", "subject", "window_start", "group_key"),
    UNIQUES: ("merchant_id", "meter", "subject", "window_start", "group_key", "value"),
}
EVENTS_SHOWN_MAX = 10

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Difference:
    """The first row that differs: ``expected`` is None when it should not be there, ``found`` when it is missing."""

    table: str
    expected: Row | None
    found: Row | None
    count: int

    @property
    def row(self) -> Row:
        """Whichever of the two is there."""
        row = self.expected or self.found
        assert row is not None, "a difference has at least one side"
        return row

    def sentence(self) -> str:
        """What differs, for people."""
        where = ", ".join(f"{name} {shown(self.row[name])}" for name in NAMES[self.table])
        if self.found is None:
            said = "is missing"
        elif self.expected is None:
            said = "should not be there"
        else:
            pairs = zip(self.expected.items(), self.found.values(), strict=True)
            name, wanted, got = next((name, wanted, got) for (name, wanted), got in pairs if wanted != got)
            said = f"has {name} {shown(got)} instead of {shown(wanted)}"
        return f"{self.table}: the row of {where} {said} ({self.count} rows differ)"


def first_difference(expected: Rows, found: Rows) -> Difference | None:
    """The first differing row, windows before distinct values, events before both; None when all agree."""
    for table in (EVENTS, WINDOWS, UNIQUES):
        difference = differ(table, expected[table], found[table])
        if difference is not None:
            return difference
    return None


def differ(table: str, expected: pa.Table, found: pa.Table) -> Difference | None:
    """Compare one table's rows, matched by what names them."""
    if expected.equals(found):
        return None
    names = NAMES[table]
    wanted, got = by_name(expected, names), by_name(found, names)
    first: tuple[Row | None, Row | None] | None = None
    count = 0
    for key in sorted(wanted.keys() | got.keys()):
        left, right = wanted.get(key, []), got.get(key, [])
        for place in range(max(len(left), len(right))):
            one = left[place] if place < len(left) else None
            other = right[place] if place < len(right) else None
            if one != other:
                count += 1
                first = first or (one, other)
    return None if first is None else Difference(table, first[0], first[1], count)


def by_name(table: pa.Table, names: tuple[str, ...]) -> dict[tuple[Any, ...], list[Row]]:
    """Rows by what names them; copies of a row stay apart."""
    rows: dict[tuple[Any, ...], list[Row]] = {}
    for row in table.to_pylist():
        rows.setdefault(tuple(row[name] for name in names), []).append(row)
    return rows


def events_behind(difference: Difference, events: pa.Table) -> tuple[str, ...]:
    """Ids of stored events that lie behind a differing row: the event itself, or those of the window's minute."""
    row = difference.row
    if difference.table == EVENTS:
        return (row["event_id"],)
    minute = row["window_start"]
    found = [
        event["event_id"]
        for event in events.to_pylist()
        if event["fate"] == STORED
        and (event["merchant_id"], event["customer_id"]) == (row["merchant_id"], row["customer_id"])
        and event["occurred_at"].replace(second=0, microsecond=0) == minute
    ]
    return tuple(found[:EVENTS_SHOWN_MAX])


def shown(value: Any) -> str:
    """A value for people."""
    if isinstance(value, bytes):
        return value.hex()
    if hasattr(value, "isoformat"):
        return str(value.isoformat())
    if hasattr(value, "as_tuple"):
        return plain_text(value)
    return str(value)[:80] if value != "" else "''"
