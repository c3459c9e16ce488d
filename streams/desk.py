"""A worker's claimed partitions with the messages that wait for them; knows nothing of Kafka.

Different partitions may be worked on by different threads, because a block waits for the stores much of its time; the
blocks of one partition stay one after the other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, fields
from threading import Lock

from ingest.codec import Headers
from streams.block import Counts
from streams.decode import Message, read_message
from streams.partition import Partition


@dataclass(frozen=True, slots=True)
class Record:
    """A message as the driver got it. ``receipt`` is handed back when the message may be acknowledged."""

    partition: int
    offset: int
    value: bytes | None
    headers: Headers
    receipt: object


@dataclass
class Place:
    """One claimed partition, and what arrived for it and is not sealed."""

    partition: Partition
    waiting: list[Message] = field(default_factory=list)
    receipts: list[object] = field(default_factory=list)


class Desk:
    """Feeds partitions. ``claim`` takes one over; it may take long, and raises ``Stop`` when it must not be taken."""

    def __init__(self, claim: Callable[[int], Partition]) -> None:
        self._claim = claim
        self._places: dict[int, Place] = {}
        self._counting = Lock()
        self.totals = Counts()
        self.blocks = 0

    def assign(self, partitions: Iterable[int]) -> dict[int, int]:
        """Own exactly these partitions from now on; returns the first offset that each must be fed with.

        Messages that waited are forgotten: they come again, and their receipts are void. Nobody may be at work.
        """
        self._places = {partition: Place(self._claim(partition)) for partition in sorted(partitions)}
        return self.next_offsets()

    def next_offsets(self) -> dict[int, int]:
        """For each partition the first offset that is not sealed."""
        return {partition: place.partition.next_offset for partition, place in self._places.items()}

    def work(self, records: Sequence[Record]) -> list[object]:
        """Take messages in the order of the log, do all blocks that can be done, and return what may be acknowledged.

        Receipts come in the order of the log within each partition, and only once their block is sealed. No two
        threads may bring messages of the same partition.
        """
        touched: dict[int, Place] = {}
        for record in records:
            place = self._places.get(record.partition)
            if place is not None:
                place.waiting.append(read_message(record.offset, record.value, record.headers))
                place.receipts.append(record.receipt)
                touched[record.partition] = place
        return [receipt for place in touched.values() for receipt in self._advance(place)]

    def _advance(self, place: Place) -> list[object]:
        done: list[object] = []
        while place.waiting:
            advance = place.partition.advance(place.waiting)
            if advance.count == 0:
                break
            done += place.receipts[: advance.count]
            del place.receipts[: advance.count], place.waiting[: advance.count]
            if advance.counts is not None:
                with self._counting:
                    self.totals = added(self.totals, advance.counts)
                    self.blocks += 1
        return done


def added(left: Counts, right: Counts) -> Counts:
    """Both together."""
    return Counts(*(getattr(left, part.name) + getattr(right, part.name) for part in fields(Counts)))
