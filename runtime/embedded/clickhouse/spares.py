"""Connections of earlier reads, with the database and settings that the next one wants.

Opening a connection and setting it up takes the engine two milliseconds of CPU, half of what a small read costs. A read
leaves nothing behind on its connection: no table, no setting, no value. One that failed may have, and is closed; and
after any other statement all are, because the database might be gone that they are in.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from runtime.embedded.clickhouse.connection import Connection
from runtime.embedded.clickhouse.request import PARAMETER, Ask

KEPT_MAX = 16

Wanted = tuple[str | None, frozenset[tuple[str, str]]]


@dataclass
class Spares:
    """Those of one process. Used from the event loop alone."""

    age: int = 0
    _kept: list[tuple[Wanted, Connection]] = field(default_factory=list)

    def take(self, wanted: Wanted) -> Connection | None:
        """One that is set up as wanted, the last used first."""
        for index in range(len(self._kept) - 1, -1, -1):
            if self._kept[index][0] == wanted:
                return self._kept.pop(index)[1]
        return None

    def keep(self, wanted: Wanted, connection: Connection, age: int) -> Connection | None:
        """Keep a connection that was taken, or opened, at an ``age``; returns one that is to be closed."""
        if age != self.age:
            return connection
        self._kept.append((wanted, connection))
        return self._kept.pop(0)[1] if len(self._kept) > KEPT_MAX else None

    def release(self) -> list[Connection]:
        """Forget all, those in use too; returns the ones that are to be closed."""
        kept, self._kept = self._kept, []
        self.age += 1
        return [connection for _, connection in kept]


def wanted_by(ask: Ask) -> Wanted | None:
    """How the connection of a read must be set up; None when it needs one of its own."""
    settings = {name: value for name, value in ask.settings.items() if not name.startswith(PARAMETER)}
    if ask.session_id or "readonly" in settings:
        return None
    return ask.database, frozenset(settings.items())
