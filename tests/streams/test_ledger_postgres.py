"""What the ledger in Postgres owes to those who wait for a worker that is no longer there."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import Self

import pytest
from sqlalchemy import Engine

from core.errors import Stop, Transient
from streams.block import Counts
from streams.dead_letter import DeadLetter
from streams.ledger import Seal
from streams.ledger_postgres import PostgresLedger
from streams.sequences import SealedSequences
from tests.streams.builders import NOON

WITHIN_S = 30
LETTER = DeadLetter(3, 7, "mer_a", "evt", "value_missing", "what", {"id": "a"}, None)


class Frozen(tuple[DeadLetter, ...]):
    """Dead letters that whoever writes them cannot go on with until ``thawed``: it stands within its transaction."""

    began: Event
    thawed: Event

    @classmethod
    def of(cls, *letters: DeadLetter) -> Self:
        """Letters that nobody has begun with."""
        made = cls(letters)
        made.began, made.thawed = Event(), Event()
        return made

    def __len__(self) -> int:
        self.began.set()
        self.thawed.wait(WITHIN_S)
        return super().__len__()


def test_a_worker_frozen_within_a_transaction_keeps_no_partition(books: Engine) -> None:
    """Postgres gives up on it, another takes the partition over, and the first is told so when it goes on."""
    ledger, letters = PostgresLedger(books, idle_timeout_ms=500), Frozen.of(LETTER)
    lease, _ = ledger.claim("usage", 2, "w1", 1)
    intent = ledger.intend(lease, 1, 0, 9)
    seal = Seal(Counts(received=1, rejected=1), "d", NOON, SealedSequences(), 0, letters)
    with ThreadPoolExecutor(1) as frozen:
        late = frozen.submit(ledger.seal, lease, intent, seal)
        assert letters.began.wait(WITHIN_S)

        successor, position = ledger.claim("usage", 2, "w2", 1)

        assert position.intent == intent
        letters.thawed.set()
        with pytest.raises(Transient):
            late.result(WITHIN_S)
    with pytest.raises(Stop, match="no longer ours"):
        ledger.seal(lease, intent, seal)
    ledger.seal(successor, position.intent, seal)
    assert ledger.claim("usage", 2, "w3", 1)[1].next_offset == 10
