"""The only place that reads a clock.

Everything else takes a ``Clock`` or is handed ``now``, so that tests and the simulator move time by hand.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """A source of wall-clock time and of a steady count for measuring how long things take."""

    def now(self) -> datetime:
        """The present instant in UTC, with microseconds."""

    def steady_s(self) -> float:
        """Seconds on a clock that never steps back; only differences mean anything."""


class SystemClock:
    """The machine's own clock."""

    def now(self) -> datetime:
        """The present instant in UTC."""
        return datetime.now(UTC)

    def steady_s(self) -> float:
        """Seconds of the monotonic clock."""
        return time.monotonic()


@dataclass
class ManualClock:
    """A clock that stands still until it is moved."""

    instant: datetime
    steady: float = 0.0

    def now(self) -> datetime:
        """The instant last set."""
        return self.instant

    def steady_s(self) -> float:
        """Seconds advanced so far."""
        return self.steady

    def advance(self, **delta: float) -> None:
        """Move on by a ``timedelta`` given as keywords, such as ``seconds=1``."""
        step = timedelta(**delta)
        self.instant += step
        self.steady += step.total_seconds()
