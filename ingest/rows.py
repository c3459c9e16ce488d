"""Accepted events of one request, until they are gathered into an envelope."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol


class Accepted(Protocol):
    """Accepted events in either form: rows of the slow lane, or a sheet of the fast one."""

    @property
    def keys(self) -> Sequence[bytes]:
        """Their keys, in order."""

    def __len__(self) -> int:
        """How many they are."""


@dataclass(slots=True)
class Rows:
    """One list entry an event.

    The texts that are hashed are also the columns: ``identities`` hold merchant, source and id, ``bodies`` hold type,
    subject, time as given, the property names and then their values, sorted by name. Each is UTF-8 with NUL between
    its parts, which hold none themselves; Arrow cuts them into columns later, for thousands of events at once.
    ``keys`` and ``body_hashes`` hold 16 and 8 bytes, big endian.
    """

    received_us: int
    keys: list[bytes] = field(default_factory=list)
    body_hashes: list[bytes] = field(default_factory=list)
    identities: list[bytes] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    occurred_us: list[int] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.keys)
