"""A log's number is only good if the log is still the one that was looked at."""

from __future__ import annotations

from collections.abc import Callable

from core.clock import ManualClock
from core.errors import Transient
from streams.find_log import FoundLog, find_log
from streams.ledger import Ledger
from streams.ledger_memory import MemoryLedger
from streams.retry import Retry, RetryPolicy
from tests.streams.builders import NOON, advance


def looks(*answers: str) -> Callable[[], str]:
    """Gives one answer after the other; "" is silence."""
    left = list(answers)

    def look() -> str:
        answer = left.pop(0)
        if not answer:
            raise Transient("the broker does not answer")
        return answer

    return look


def find(ledger: Ledger, look: Callable[[], str]) -> FoundLog:
    """Find the log of a topic of two partitions."""
    clock = ManualClock(NOON)
    return find_log(Retry(RetryPolicy(), clock, lambda wait_s: advance(clock, wait_s)), ledger, "usage", 2, look)


def test_a_log_that_stays_is_numbered_once(ledger: Ledger) -> None:
    """Every worker finds the same number, however often the broker has to be asked."""
    assert find(ledger, looks("a", "a")) == FoundLog("a", 1)
    assert find(ledger, looks("", "a", "", "", "a")) == FoundLog("a", 1)


def test_a_log_that_was_made_anew_meanwhile_is_numbered_after_the_other() -> None:
    """The worker goes on with the log that is there."""
    ledger = MemoryLedger(ManualClock(NOON), lambda: 1)

    assert find(ledger, looks("a", "b", "b")) == FoundLog("b", 2)


def test_a_number_given_too_late_shuts_nobody_out() -> None:
    """Somebody numbers a dead log after the living one: nobody claims under that number, and the next log is higher."""
    ledger = MemoryLedger(ManualClock(NOON), lambda: 1)
    living = find(ledger, looks("b", "b"))

    sleeper = find(ledger, looks("a", "b", "b"))
    ledger.claim("usage", 0, "sleeper", sleeper.incarnation)
    ledger.claim("usage", 0, "other", living.incarnation)

    assert sleeper == living
    assert find(ledger, looks("c", "c")).incarnation > living.incarnation
