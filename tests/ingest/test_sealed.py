"""What the ledger says about sealed envelopes."""

from __future__ import annotations

from uuid import uuid4

from sqlalchemy import Engine, insert

from core.db import transaction
from ingest.sealed import SealedState, read_sealed
from streams.tables import stream_partitions


def test_ranges_hold_their_ends_and_nothing_else() -> None:
    """By partition and producer."""
    producer = uuid4()
    sealed = SealedState({2: {producer.hex: [[1, 3], [7, 7]]}})

    held = [sequence for sequence in range(10) if sealed.holds(2, producer.bytes, sequence)]

    assert held == [1, 2, 3, 7]
    assert not sealed.holds(1, producer.bytes, 1)
    assert not sealed.holds(2, uuid4().bytes, 1)


def test_the_ledgers_own_rows_are_understood(books: Engine) -> None:
    """As the stream writes them; another topic's are not looked at."""
    producer = uuid4()
    row = {"topic": "t", "incarnation": 1, "owner": "", "epoch": 1, "next_offset": 5, "unreadable_run": 0}
    with transaction(books) as connection:
        assert not read_sealed(connection, "t").holds(0, producer.bytes, 1)
        ranges = {producer.hex: [[1, 5]]}
        connection.execute(insert(stream_partitions).values(**row, partition=0, sealed_sequences=ranges))
        connection.execute(insert(stream_partitions).values(**row, partition=1, sealed_sequences={}))
        sealed = read_sealed(connection, "t")
        other = read_sealed(connection, "other")

    assert sealed.holds(0, producer.bytes, 5)
    assert not sealed.holds(0, producer.bytes, 6)
    assert not sealed.holds(1, producer.bytes, 1)
    assert not other.holds(0, producer.bytes, 1)
