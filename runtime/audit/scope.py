"""What an audit looks at: a cut through a running system on which all stores must agree."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import Engine

from rating.freeze import freeze_now

BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Scope:
    """The blocks of a topic that were announced from ``since`` on and until ``cutoff``; all of those are sealed.

    ``whole`` says that nothing lies before ``since``.
    """

    topic: str
    since: datetime
    cutoff: datetime

    @property
    def whole(self) -> bool:
        """Whether the audit goes back to the beginning."""
        return self.since <= BEGINNING


def open_scope(books: Engine, topic: str, now: datetime, since: datetime | None = None) -> Scope:
    """Fix the cut-off as a close does: no block can appear at or before it any more.

    Raises ``Transient`` when the ledger stays locked by others.
    """
    return Scope(topic, since or BEGINNING, freeze_now(books, now).cutoff)
