"""Times as their senders write them, as whole microseconds since 1970. No float is involved."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from ingest.event import INSTANT

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
RFC_3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d(?::\d\d(?:\.\d{1,40})?)?(?:[Zz]|[+-]\d\d(?::?\d\d)?)?", re.ASCII)
UNIX_SECONDS = re.compile(r"(\d{1,11})(?:\.(\d{1,40}))?", re.ASCII)
MILLISECONDS = re.compile(r"\d{12,14}", re.ASCII)

# Below this many, building a column costs more than it saves.
COLUMN_MIN = 8
# A text this long that Arrow accepts has a date, a time and a zone.
COLUMN_TEXT_MIN = 20


def read_time(value: object) -> int:
    """Read RFC 3339 text (no zone means UTC) or Unix seconds (a number or its text), cut to microseconds.

    Raises ``ValueError`` with a sentence for the sender.
    """
    if type(value) is int:
        return read_unix(str(value))
    if not isinstance(value, str):
        raise ValueError("a time is RFC 3339 text or a number of Unix seconds")  # noqa: TRY004 - bad input, not a bug
    return read_text(value) if RFC_3339.fullmatch(value) else read_unix(value)


def read_unix(text: str) -> int:
    """Unix seconds as decimal text."""
    match = UNIX_SECONDS.fullmatch(text)
    if not match:
        hint = "; Unix times are in seconds, not milliseconds" if MILLISECONDS.fullmatch(text) else ""
        raise ValueError(f"{text[:40]!r} is neither RFC 3339 nor Unix seconds{hint}")
    whole, fraction = match.groups()
    return int(whole) * 1_000_000 + int((fraction or "")[:6].ljust(6, "0"))


def read_text(text: str) -> int:
    """A date and time of RFC 3339's pattern; a leap second counts as the last microsecond before it."""
    leap = text[17:19] == "60"
    try:
        instant = datetime.fromisoformat(f"{text[:17]}59.999999{zone_of(text)}" if leap else text.upper())
    except ValueError:
        raise ValueError(f"{text[:40]!r} is not a date and time that exists") from None
    if instant.tzinfo is None:
        instant = instant.replace(tzinfo=UTC)
    return micros_of(instant)


def micros_of(instant: datetime) -> int:
    """Microseconds since 1970 of an instant with a zone."""
    gap = instant - EPOCH
    return (gap.days * 86_400 + gap.seconds) * 1_000_000 + gap.microseconds


def instant_of(micros: int) -> datetime:
    """The instant so many microseconds after 1970."""
    return EPOCH + timedelta(microseconds=micros)


def zone_of(text: str) -> str:
    """What stands after the seconds and their fraction."""
    return text[19:].lstrip(".0123456789").upper()


def read_column(times: list[Any]) -> list[int] | None:
    """Read many RFC 3339 texts at once, or return ``None`` when they must be read one by one."""
    try:
        if len(times) < COLUMN_MIN or min(map(len, times)) < COLUMN_TEXT_MIN:
            return None
        instants = pc.cast(pa.array(times, pa.string()), INSTANT)
    except (TypeError, pa.ArrowException):
        return None
    micros: list[int] = instants.cast(pa.int64()).to_numpy().tolist()
    return micros
