"""The hand-moved clock."""

from __future__ import annotations

from datetime import UTC, datetime

from core.clock import ManualClock, SystemClock


def test_a_manual_clock_moves_only_when_told() -> None:
    """Both its readings advance together."""
    clock = ManualClock(datetime(2024, 12, 31, 23, 59, 59, tzinfo=UTC))

    clock.advance(seconds=1)

    assert clock.now() == datetime(2025, 1, 1, tzinfo=UTC)
    assert clock.steady_s() == 1


def test_the_system_clock_speaks_utc() -> None:
    """No naive time enters the system."""
    clock = SystemClock()

    assert clock.now().tzinfo is UTC
    assert clock.steady_s() <= clock.steady_s()
