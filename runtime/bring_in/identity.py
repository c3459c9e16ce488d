"""Who an imported event is: the file's bytes, the event type and the row. The same import again is the same events."""

from __future__ import annotations

import hashlib
from pathlib import Path

DIGEST_CHARS = 32


def file_digest(path: Path) -> str:
    """SHA-256 of a file's bytes, as hex text; reads it once in bounded memory."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def import_id(digest: str, event_type: str) -> str:
    """The common beginning of all ids of one import.

    The event type is part of it, so that one file can be brought in under two types. The columns are not: the same
    rows with another mapping are the same events, and show up as conflicts instead of being counted twice.
    """
    return hashlib.sha256(f"{digest}\0{event_type}".encode()).hexdigest()[:DIGEST_CHARS]


def event_id(import_: str, row: int) -> str:
    """The id of one row's event."""
    return f"{import_}-{row}"
