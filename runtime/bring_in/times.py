"""Times without a zone get the zone that the importer was told; all else is left to the gateway as it stands."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

NAIVE = re.compile(r"(\d{4}-\d\d-\d\d)(?:[Tt ](\d\d:\d\d(?::\d\d)?)(\.\d+)?)?", re.ASCII)


def zoned_text(text: str, zone: ZoneInfo) -> str:
    """A date, or a date and time without a zone, with the offset that held there and then; other text unchanged.

    In UTC a date and time stays as it is too: that is how the gateway reads it.

    Digits of the second are kept, however many. Of an hour that a clock change repeats, the first is meant. Raises
    ``ValueError`` for a time that such a change left out, or that no calendar has.
    """
    if zone.key == "UTC" and len(text) > len("2023-11-16"):
        return text
    match = NAIVE.fullmatch(text)
    if match is None:
        return text
    day, clock, fraction = match[1], match[2] or "00:00:00", match[3] or ""
    clock = clock if len(clock) == 8 else f"{clock}:00"
    local = datetime.fromisoformat(f"{day}T{clock}").replace(tzinfo=zone)
    if local.astimezone(UTC).astimezone(zone).replace(tzinfo=None) != local.replace(tzinfo=None):
        raise ValueError(f"{text} does not exist in {zone.key}: the clocks went over it")
    return f"{day}T{clock}{fraction}{offset_text(local.utcoffset() or timedelta(0))}"


def offset_text(offset: timedelta) -> str:
    """``+01:00``; raises ``ValueError`` for offsets of old times that are no whole minutes."""
    minutes, rest = divmod(int(offset.total_seconds()), 60)
    if rest:
        raise ValueError("this place had no offset in whole minutes at that time; give times with their zone")
    sign, minutes = ("-", -minutes) if minutes < 0 else ("+", minutes)
    return f"{sign}{minutes // 60:02d}:{minutes % 60:02d}"
