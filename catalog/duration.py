"""Lengths of time as people write them: ``90m``, ``2h``, ``1d12h``. Days have 24 hours."""

from __future__ import annotations

import re
from datetime import timedelta

UNITS_S = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}
PATTERN = re.compile(r"0|(?:(\d{1,6})d)?(?:(\d{1,6})h)?(?:(\d{1,6})m)?(?:(\d{1,6})s)?", re.ASCII)


def parse_duration(text: str) -> timedelta | None:
    """The length that a text says, ``None`` when it says none; larger units come first, each once."""
    found = PATTERN.fullmatch(text)
    if not text or found is None:
        return None
    counts = (int(group or 0) for group in found.groups())
    return timedelta(seconds=sum(count * unit_s for count, unit_s in zip(counts, UNITS_S.values(), strict=True)))


def duration_text(length: timedelta) -> str:
    """The same as text, in as few units as it takes; ``0s`` for none at all."""
    left_s, parts = int(length.total_seconds()), []
    for unit, unit_s in UNITS_S.items():
        count, left_s = divmod(left_s, unit_s)
        parts += [f"{count}{unit}"] if count else []
    return "".join(parts) or "0s"
