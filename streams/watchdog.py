"""Says when a worker must leave: messages wait, and nothing moves."""

from __future__ import annotations

from dataclasses import dataclass

# A worker that was frozen, or whose loop was, has not been waiting in vain: of a longer pause only so much counts.
LOOK_S_MAX = 5.0
NO_ANSWER = "a store took a call and does not answer. See whether Postgres, ClickHouse and the disk answer"


@dataclass(frozen=True, slots=True)
class Sight:
    """What is seen of a worker at one moment.

    ``sealed`` is how many blocks it has sealed, ``lag`` how many messages the log holds beyond what is sealed.
    ``joined`` says that it knows its partitions. ``in_hand`` is what it is doing, in words, if anything.
    """

    sealed: int
    lag: int
    joined: bool
    in_hand: str | None = None


class Watchdog:
    """Counts the seconds in which something should have moved and did not.

    Only what is sealed is progress. Whether offsets were committed to the log does not matter: they are a hint.
    """

    def __init__(self, limit_s: float, now_s: float) -> None:
        self._limit_s = limit_s
        self._looked_s = now_s
        self._waited_s = 0.0
        self._sealed = 0

    def complaint(self, now_s: float, sight: Sight) -> str | None:
        """Take a look; what is wrong, once it has been so for longer than the limit."""
        passed_s = min(now_s - self._looked_s, LOOK_S_MAX)
        self._looked_s = now_s
        if sight.sealed != self._sealed or (sight.joined and sight.lag == 0):
            self._sealed, self._waited_s = sight.sealed, 0.0
            return None
        self._waited_s += passed_s
        return explain(sight, self._waited_s) if self._waited_s > self._limit_s else None


def explain(sight: Sight, waited_s: float) -> str:
    """What is wrong, and where to look."""
    waiting = f"nothing was sealed for {waited_s:.0f} s while {sight.lag} messages wait"
    if sight.in_hand is not None:
        return f"{waiting}, in the middle of {sight.in_hand}: {NO_ANSWER}"
    if not sight.joined:
        return f"no partitions were assigned for {waited_s:.0f} s. See whether the broker answers, and its group"
    return f"{waiting}: the log does not bring them. See whether the broker answers"
