"""Which envelopes the stream has sealed, read from its ledger: the journal may forget those."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field

from sqlalchemy import Connection, text

# The stages share no code here: the ledger's table is the hand-off.
QUERY = text("SELECT partition, sealed_sequences FROM stream_partitions WHERE topic = :topic")

Ranges = Mapping[str, list[list[int]]]


@dataclass(frozen=True, slots=True)
class SealedState:
    """By partition and producer (32 hex digits): ascending ranges ``[first, last]`` of sealed sequences."""

    partitions: Mapping[int, Ranges] = field(default_factory=dict)

    def holds(self, partition: int, producer: bytes, sequence: int) -> bool:
        """Whether this envelope's block is sealed."""
        ranges = self.partitions.get(partition, {}).get(producer.hex(), [])
        place = bisect_right(ranges, sequence, key=first_of) - 1
        return place >= 0 and sequence <= ranges[place][1]


def first_of(pair: list[int]) -> int:
    """A range's first sequence."""
    return pair[0]


def read_sealed(connection: Connection, topic: str) -> SealedState:
    """What is sealed of a topic; empty before the stream has begun."""
    return SealedState({row.partition: row.sealed_sequences for row in connection.execute(QUERY, {"topic": topic})})
