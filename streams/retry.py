"""Asking an outside part again, for a while."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from core.clock import Clock
from core.errors import Stop, Transient
from core.logs import get_logger

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Waits double from ``first_wait_s`` to ``wait_s_max``; nothing is tried again once ``give_up_s`` have passed."""

    first_wait_s: float = 0.05
    wait_s_max: float = 2.0
    give_up_s: float = 45.0


@dataclass(frozen=True, slots=True)
class Retry:
    """How to be patient: by which policy, clock and way of waiting."""

    policy: RetryPolicy
    clock: Clock
    wait: Callable[[float], object]

    def __call__(self, what: str, call: Callable[[], Answer]) -> Answer:
        """Make the call until it answers. Raises ``Stop`` when it stayed out of reach for too long.

        The call must be harmless to repeat: a try that failed may have happened all the same.
        """
        began_s = self.clock.steady_s()
        wait_s = self.policy.first_wait_s
        while True:
            try:
                return call()
            except Transient as error:
                waited_s = self.clock.steady_s() - began_s
                if waited_s + wait_s > self.policy.give_up_s:
                    raise Stop(f"{what} did not succeed within {waited_s:.0f} s: {error}") from error
                get_logger("streams").warning("trying again", what=what, error=str(error), wait_s=wait_s)
            self.wait(wait_s)
            wait_s = min(2 * wait_s, self.policy.wait_s_max)
