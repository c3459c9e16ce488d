"""Which columns make an event, and how a row becomes one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from core.errors import Refused
from runtime.bring_in.identity import event_id
from runtime.bring_in.row import Row, RowFailure
from runtime.bring_in.times import zoned_text

# The property that a SKU, and the flat form of an event, keep their quantity in.
VALUE_PROPERTY = "amount"


@dataclass(frozen=True, slots=True)
class Mapping:
    """How columns become events. ``properties`` are (property, column); none at all takes every other column."""

    type: str
    time: str
    subject: str | None
    subject_column: str | None
    properties: tuple[tuple[str, str], ...]
    source: str
    zone: ZoneInfo


def make_mapping(
    *,
    type_: str,
    time: str,
    subject: str | None = None,
    subject_column: str | None = None,
    value: str | None = None,
    properties: tuple[str, ...] = (),
    source: str = "import",
    zone: str = "UTC",
) -> Mapping:
    """Build a mapping from what the command line says; raises ``Refused`` for what contradicts itself.

    ``value`` is a column sent as the property ``amount``; each of ``properties`` is ``COLUMN`` or ``NAME=COLUMN``.
    """
    if (subject is None) == (subject_column is None):
        raise Refused("subject_unclear", "give either a subject for all rows or the column that names it")
    pairs = [(VALUE_PROPERTY, value)] if value else []
    for text in properties:
        name, separator, column = text.partition("=")
        pairs.append((name, column if separator else name))
    names = [name for name, _column in pairs]
    if len(set(names)) != len(names) or "" in names:
        raise Refused("properties_repeated", "each property needs a name of its own")
    try:
        zone_info = ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise Refused("zone_unknown", f"{zone!r} is not a zone of the IANA database") from error
    return Mapping(type_, time, subject, subject_column, tuple(pairs), source, zone_info)


def check_columns(mapping: Mapping, columns: list[str] | None) -> None:
    """Raise ``Refused`` when the file's header lacks a column that the mapping names."""
    if columns is None:
        return
    needed = [mapping.time, *(column for _name, column in mapping.properties)]
    if mapping.subject_column:
        needed.append(mapping.subject_column)
    missing = [column for column in needed if column not in columns]
    if missing:
        raise Refused("column_missing", f"the file has no column {', '.join(missing)}; it has {', '.join(columns)}")


def event_of(mapping: Mapping, import_: str, row: Row) -> dict[str, Any] | RowFailure:
    """The event that a row stands for, in the plain form, or why there is none."""
    if row.fault:
        return RowFailure(row.number, "row_unreadable", row.fault)
    fields = row.fields
    subject = mapping.subject if mapping.subject_column is None else fields.get(mapping.subject_column)
    if not subject:
        return RowFailure(row.number, "subject_missing", f"{mapping.subject_column} is empty")
    time = fields.get(mapping.time)
    if not time:
        return RowFailure(row.number, "time_missing", f"{mapping.time} is empty")
    try:
        time = zoned_text(time, mapping.zone)
    except ValueError as error:
        return RowFailure(row.number, "time_invalid", str(error))
    return {
        "id": event_id(import_, row.number),
        "source": mapping.source,
        "type": mapping.type,
        "subject": subject,
        "time": time,
        "properties": _properties(mapping, fields),
    }


def _properties(mapping: Mapping, fields: dict[str, str]) -> dict[str, str]:
    if mapping.properties:
        return {name: fields[column] for name, column in mapping.properties if column in fields}
    return {name: text for name, text in fields.items() if name not in (mapping.time, mapping.subject_column)}
