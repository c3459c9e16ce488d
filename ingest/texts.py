"""Checks of the texts that name things: ids, sources, types and subjects."""

from __future__ import annotations

import re
from collections.abc import Sequence

from core.errors import Problem

# C0, DEL and C1. They break logs and terminals, and NUL cannot be kept in Postgres.
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def is_plain_ascii(body: bytes) -> bool:
    """Whether no text in a JSON body can hold anything but printable ASCII: no escapes, no DEL, no other bytes."""
    return b"\\" not in body and body.isascii() and b"\x7f" not in body


def find_text_faults(
    column: Sequence[str | None], field: str, bytes_max: int, *, plain_ascii: bool, empty_ok: bool = False
) -> dict[int, Problem]:
    """Faults by row of a column of names; fast when the body held printable ASCII only and all is well."""
    if plain_ascii:
        try:
            lengths = set(map(len, column))  # type: ignore[arg-type] # a missing one raises, and is found below
        except TypeError:
            lengths = {-1}
        if max(lengths, default=0) <= bytes_max and (min(lengths, default=1) > 0 or (empty_ok and -1 not in lengths)):
            return {}
    faults = ((row, text_fault(text, field, bytes_max, empty_ok=empty_ok)) for row, text in enumerate(column))
    return {row: fault for row, fault in faults if fault}


def text_fault(text: str | None, field: str, bytes_max: int, *, empty_ok: bool) -> Problem | None:
    """What is wrong with one name."""
    if text is None:
        return Problem(f"{field}_missing", f"the event has no {field}", field)
    if not text:
        return None if empty_ok else Problem(f"{field}_empty", f"{field} is empty", field)
    if len(text) > bytes_max or len(text.encode()) > bytes_max:
        return Problem(f"{field}_too_long", f"{field} may take {bytes_max} bytes", field)
    if CONTROL.search(text):
        return Problem(f"{field}_control_character", f"{field} holds a control character", field)
    return None
