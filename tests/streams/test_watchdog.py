"""The watchdog: it complains when something waits and nothing is sealed, and about nothing else."""

from __future__ import annotations

from dataclasses import replace

from streams.watchdog import Sight, Watchdog

LIMIT_S = 60.0
BUSY = Sight(sealed=5, lag=10, joined=True)


def looks(watchdog: Watchdog, sight: Sight, start_s: int, seconds: int) -> list[str | None]:
    """One look a second."""
    return [watchdog.complaint(float(second), sight) for second in range(start_s, start_s + seconds)]


def test_messages_that_wait_for_longer_than_the_limit_are_complained_about() -> None:
    """Not before the limit; the sentence says how many wait, and since when."""
    watchdog = Watchdog(LIMIT_S, 0.0)

    said = looks(watchdog, BUSY, 0, 63)

    assert said[:61] == [None] * 61
    assert said[62] is not None and "10 messages wait" in said[62] and "the log does not bring them" in said[62]


def test_what_is_in_hand_is_named() -> None:
    """Whoever reads the last line of the log must know where to look."""
    said = looks(Watchdog(LIMIT_S, 0.0), replace(BUSY, in_hand="a block"), 0, 63)[-1]

    assert said is not None and "in the middle of a block" in said and "ClickHouse" in said


def test_a_sealed_block_is_progress_however_long_the_queue() -> None:
    """One block a minute is slow, and no reason to leave."""
    watchdog = Watchdog(LIMIT_S, 0.0)

    said = [watchdog.complaint(float(second), replace(BUSY, sealed=second // 59)) for second in range(600)]

    assert set(said) == {None}


def test_a_worker_without_lag_may_wait_for_ever() -> None:
    """Quiet is no fault, and the time of quiet is not counted against the first message after it."""
    watchdog = Watchdog(LIMIT_S, 0.0)

    assert set(looks(watchdog, replace(BUSY, lag=0), 0, 1_000)) == {None}
    assert set(looks(watchdog, BUSY, 1_000, 59)) == {None}


def test_a_worker_that_gets_no_answer_to_its_join_leaves() -> None:
    """Before it knows its partitions it cannot know of any lag."""
    said = looks(Watchdog(LIMIT_S, 0.0), Sight(sealed=0, lag=0, joined=False), 0, 63)[-1]

    assert said is not None and "no partitions were assigned" in said


def test_a_worker_that_was_frozen_gets_its_time_all_the_same() -> None:
    """What it slept through is not what it waited for."""
    watchdog = Watchdog(LIMIT_S, 0.0)
    looks(watchdog, BUSY, 0, 30)

    assert watchdog.complaint(10_000.0, BUSY) is None
    assert set(looks(watchdog, BUSY, 10_000, 20)) == {None}
