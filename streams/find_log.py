"""Which log there is, and which of its incarnations: asked so that nobody numbers a log that is gone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from streams.ledger import Ledger
from streams.retry import Retry


@dataclass(frozen=True, slots=True)
class FoundLog:
    """A topic's id, and the number of the incarnation that it stands for."""

    topic_id: str
    incarnation: int


def find_log(retry: Retry, ledger: Ledger, topic: str, partitions: int, look: Callable[[], str]) -> FoundLog:
    """Look at the topic, have its id numbered, and look again until both looks agree.

    Incarnations must be numbered in the order of their logs. Whoever was frozen between the look and the number
    would give a dead log the highest number; claiming under it would shut everybody else out for good. When the
    second look still finds the same log, every later one is numbered after it.

    ``look`` returns the topic's id and raises ``Transient``. Raises ``Stop`` when the outside stays out of reach.
    """
    topic_id = retry("looking at the log", look)
    while True:
        incarnation = retry("numbering the log", partial(ledger.register, topic, topic_id, partitions))
        looked_at, topic_id = topic_id, retry("looking at the log", look)
        if topic_id == looked_at:
            return FoundLog(topic_id, incarnation)
