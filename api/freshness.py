"""Until when an answer about usage is complete.

``complete_until`` is an instant T for which holds: every event that a gateway acknowledged before T is in the answer.
It is the least over all partitions of

    the instant at which we looked   when everything that the log held then is sealed; so idle partitions hold nothing
                                     back
    the ledger's watermark           otherwise: the youngest receipt among the sealed events. What is not sealed lies
                                     behind them in the log, so it was written after them, and acknowledged later still

Gateways' clocks are taken to agree. A statement that was true stays true, so the greatest one made is given.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from threading import Lock

from sqlalchemy import Connection, Engine, text

from core.clock import Clock
from core.db import transaction

# After a log was made anew, its gateway first has to send its journal again; until then empty does not mean done.
SETTLING = timedelta(seconds=60)
LOOK_EVERY_S = 1.0

INCARNATION = text("""
    SELECT incarnation, topic_id, partitions, created_at FROM stream_incarnations
    WHERE topic = :topic ORDER BY incarnation DESC LIMIT 1
""")
PLACES = text("SELECT partition, incarnation, next_offset, watermark FROM stream_partitions WHERE topic = :topic")


@dataclass(frozen=True, slots=True)
class LogEnds:
    """The log as it was when, or after, we looked: its id, and the offset after the last message of each partition."""

    looked_at: datetime
    topic_id: str
    ends: Mapping[int, int]


LookAtLog = Callable[[], LogEnds | None]


def complete_until(connection: Connection, topic: str, log: LogEnds | None) -> datetime | None:
    """See above; None when nothing can be promised. ``log`` must have been looked at before ``connection`` reads."""
    newest = connection.execute(INCARNATION, {"topic": topic}).one_or_none()
    if newest is None:
        # No worker has ever begun: complete is only what is empty.
        return log.looked_at if log is not None and not any(log.ends.values()) else None
    settled = newest.incarnation == 1 or log is None or log.looked_at - newest.created_at > SETTLING
    ends = log.ends if log is not None and settled and log.topic_id == newest.topic_id else {}
    places = {row.partition: row for row in connection.execute(PLACES, {"topic": topic})}
    marks: list[datetime | None] = []
    for partition in range(newest.partitions):
        place, end = places.get(partition), ends.get(partition)
        sealed = place.next_offset if place is not None and place.incarnation == newest.incarnation else 0
        if log is not None and end is not None and sealed >= end:
            marks.append(log.looked_at)
        else:
            marks.append(None if place is None else place.watermark)
    known = [mark for mark in marks if mark is not None]
    return min(known) if known and len(known) == len(marks) else None


class Freshness:
    """Remembers the log for a second and the best promise for ever. May be shared by threads."""

    def __init__(self, books: Engine, topic: str, look_at_log: LookAtLog, clock: Clock) -> None:
        self._books = books
        self._topic = topic
        self._look_at_log = look_at_log
        self._clock = clock
        self._lock = Lock()
        self._best: datetime | None = None
        self._asked_s: float | None = None

    def complete_until(self) -> datetime | None:
        """The instant until which an answer that is asked for after this call is complete. Raises ``Transient``."""
        with self._lock:
            now_s = self._clock.steady_s()
            if self._asked_s is None or now_s - self._asked_s >= LOOK_EVERY_S:
                log = self._look_at_log()
                with transaction(self._books) as connection:
                    found = complete_until(connection, self._topic, log)
                self._best = max((mark for mark in (self._best, found) if mark is not None), default=None)
                self._asked_s = self._clock.steady_s()
            return self._best
