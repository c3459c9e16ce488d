"""A ledger and a log written by hand, to see what lacks between them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sqlalchemy import Engine, insert, update

from core.db import transaction
from runtime.completeness import Stream
from runtime.read_to_end import Ends
from streams.tables import stream_blocks, stream_incarnations, stream_partitions
from tests.rating.month import NOON

TOPIC = "usage"
Sealed = dict[str, list[list[int]]]
PRODUCER = bytes(15) + b"\1"


class Ledger:
    """A ledger written by hand: one partition of one topic, unless said otherwise."""

    def __init__(self, books: Engine) -> None:
        self.books = books
        self.run(insert(stream_incarnations).values(topic=TOPIC, incarnation=1, topic_id="log-1", partitions=2))

    def run(self, statement: Any) -> None:
        """One statement, committed."""
        with transaction(self.books) as connection:
            connection.execute(statement)

    def block(self, first: int, last: int, state: str = "sealed", partition: int = 0, **given: object) -> None:
        """A block of these offsets."""
        counts = dict.fromkeys(("received", "stored", "duplicates", "conflicts", "held", "rejected", "redelivered"), 0)
        row = {"topic": TOPIC, "incarnation": 1, "partition": partition, "first_offset": first, "last_offset": last}
        row |= {"catalog_version": 1, "epoch": 1, "state": state, "intended_at": NOON, **counts}
        self.run(insert(stream_blocks).values(row | given))

    def stand(self, next_offset: int, incarnation: int = 1, sealed: Sealed | None = None) -> None:
        """The partition's position."""
        row = {"topic": TOPIC, "partition": 0, "incarnation": incarnation, "owner": "w", "epoch": 1}
        self.run(insert(stream_partitions).values(row | {"next_offset": next_offset, "sealed_sequences": sealed or {}}))

    def move(self, next_offset: int, incarnation: int = 1, sealed: Sealed | None = None) -> None:
        """The same, later."""
        at = {"next_offset": next_offset, "incarnation": incarnation, "sealed_sequences": sealed or {}}
        self.run(update(stream_partitions).values(at))


def stream(*ends: int, topic_id: str = "log-1", journal: Path | None = None) -> Stream:
    """A log that ends there."""
    return Stream(TOPIC, lambda: Ends(topic_id, dict(enumerate(ends))), journal)
