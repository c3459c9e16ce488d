"""The commit protocol with one part wrong on purpose: each is a mistake that somebody could make."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import count

import pyarrow as pa

from streams.desk import Desk, Record
from streams.find_log import FoundLog
from streams.history import Before, History
from streams.key_index import KeyRun
from streams.ledger import Lease, Ledger, Position, Seal
from streams.plan import Intent
from streams.retry import Retry
from streams.rows import EVENTS, WINDOWS
from streams.sequences import SealedSequences
from streams.store import BlockStore
from tests.simulation.build import Acknowledge, Build, Claim
from tests.simulation.wrapped import Histories, Ledgers, Stores
from tests.simulation.wrong_ledgers import ForgetfulLedger, LaxLedger, OpenSeal, Repeating


class EarlyDesk(Desk):
    """Acknowledges messages when they come, not when they are sealed."""

    def __init__(self, claim: Claim, acknowledge: Acknowledge) -> None:
        super().__init__(claim)
        self._acknowledge = acknowledge

    def work(self, records: Sequence[Record]) -> list[object]:
        """Acknowledge, then work."""
        for record in records:
            self._acknowledge(record.receipt)
        super().work(records)
        return []


class FreshTokens(Stores):
    """Every try of an insert into some tables has a token of its own."""

    def __init__(self, store: BlockStore, tables: Sequence[str], numbers: Callable[[], int]) -> None:
        super().__init__(store)
        self._tables = tables
        self._numbers = numbers

    def insert(self, table: str, rows: pa.Table, token: str) -> None:
        """Insert under a token that nobody had."""
        self.store.insert(table, rows, f"{token}#{self._numbers()}" if table in self._tables else token)


class HastyKeys(Stores):
    """Rebuilds the index with the keys of the very block that is to be done again."""

    def keys(self, partition: int, horizon_from: datetime, leaving_out: Sequence[Intent]) -> KeyRun:
        """Leave nothing out."""
        return self.store.keys(partition, horizon_from, ())


class Hindsight(Stores):
    """Lets corrections see rows that they must not see."""

    def __init__(self, store: BlockStore, seen: Callable[[Before], Before]) -> None:
        super().__init__(store)
        self._seen = seen

    @property
    def history(self) -> History:
        """The same, asked otherwise."""
        return Histories(self.store.history, self._seen)


class Hoarder(Stores):
    """Never removes what a block left that was given up."""

    def forget(self, partition: int, intent: Intent) -> None:
        """Keep it."""


@dataclass
class Late:
    """Windows that wait for their block's seal."""

    ledger: Ledger
    store: BlockStore
    waiting: list[tuple[str, pa.Table, str]]


class LateWindows(Stores):
    """Holds windows and distinct values back."""

    def __init__(self, late: Late) -> None:
        super().__init__(late.store)
        self._late = late

    def insert(self, table: str, rows: pa.Table, token: str) -> None:
        """Insert events; keep the others waiting."""
        if table == EVENTS:
            self._late.waiting.clear()
            self.store.insert(table, rows, token)
        else:
            self._late.waiting.append((table, rows, token))


class SealFirst(Ledgers):
    """Seals, and has the windows inserted only then."""

    def __init__(self, late: Late) -> None:
        super().__init__(late.ledger)
        self._late = late

    def seal(self, lease: Lease, intent: Intent, seal: Seal) -> None:
        """Seal, then insert."""
        self.ledger.seal(lease, intent, seal)
        for waiting in self._late.waiting:
            self._late.store.insert(*waiting)


class BlindToTheOld(Ledgers):
    """Passes over the open block of a log that is gone, as if it had never been announced."""

    def claim(self, topic: str, partition: int, owner: str, incarnation: int) -> tuple[Lease, Position]:
        """Hide it, and drop it on the way into the new log."""
        lease, position = self.ledger.claim(topic, partition, owner, incarnation)
        if position.intent is not None and position.incarnation != incarnation:
            self.ledger.abandon(lease, position.intent)
            return lease, replace(position, intent=None)
        return lease, position

    def abandoned(self, lease: Lease) -> tuple[Intent, ...]:
        """Know of none."""
        return ()


class Amnesiac(Ledgers):
    """Does not tell the next owner which envelopes were sealed."""

    def claim(self, topic: str, partition: int, owner: str, incarnation: int) -> tuple[Lease, Position]:
        """Claim with an empty set."""
        lease, position = self.ledger.claim(topic, partition, owner, incarnation)
        return lease, replace(position, sequences=SealedSequences())


class Unmindful(Ledgers):
    """Deletes what a block left when it is given up, and never again."""

    def abandoned(self, lease: Lease) -> tuple[Intent, ...]:
        """Know of none."""
        return ()


class GivenUp(Ledgers):
    """Remembers which blocks the ledger says were given up."""

    def __init__(self, ledger: Ledger) -> None:
        super().__init__(ledger)
        self.intents: set[Intent] = set()

    def abandoned(self, lease: Lease) -> tuple[Intent, ...]:
        """See ``Ledger.abandoned``."""
        found = self.ledger.abandoned(lease)
        self.intents.update(found)
        return found


class TrustingKeys(Stores):
    """Rebuilds the index with whatever rows given-up blocks have again."""

    def __init__(self, store: BlockStore, given_up: GivenUp) -> None:
        super().__init__(store)
        self._given_up = given_up

    def keys(self, partition: int, horizon_from: datetime, leaving_out: Sequence[Intent]) -> KeyRun:
        """Leave only the open block out."""
        open_blocks = [intent for intent in leaving_out if intent not in self._given_up.intents]
        return self.store.keys(partition, horizon_from, open_blocks)


def trusting(ledger: Ledger, store: BlockStore) -> tuple[Ledger, BlockStore]:
    """Believe that what was deleted stays deleted."""
    given_up = GivenUp(ledger)
    return given_up, TrustingKeys(store, given_up)


def find_once(retry: Retry, ledger: Ledger, topic: str, partitions: int, look: Callable[[], str]) -> FoundLog:
    """Number the log without a second look."""
    topic_id = retry("looking at the log", look)
    return FoundLog(topic_id, retry("numbering the log", lambda: ledger.register(topic, topic_id, partitions)))


def seal_first(ledger: Ledger, store: BlockStore) -> tuple[Ledger, BlockStore]:
    """Seal before windows."""
    late = Late(ledger, store, [])
    return SealFirst(late), LateWindows(late)


def hindsight(seen: Callable[[Before], Before]) -> Build:
    """Corrections that look at other rows before them."""
    return Build(doors=lambda ledger, store: (ledger, Hindsight(store, seen)))


def fresh_tokens(*tables: str) -> Build:
    """Inserts into these tables without a token that a second try would have again."""
    numbers = count().__next__
    return Build(doors=lambda ledger, store: (ledger, FreshTokens(store, tables, numbers)))


NEVER = datetime(9999, 1, 1, tzinfo=UTC)

MUTATIONS: dict[str, Build] = {
    "acknowledge before seal": Build(desk=EarlyDesk),
    "token without intent": Build(ledger=ForgetfulLedger),
    "events under a fresh token": fresh_tokens(EVENTS),
    "windows under a fresh token": fresh_tokens(WINDOWS),
    "seal before windows": Build(doors=seal_first),
    "claim without raising the epoch": Build(ledger=LaxLedger),
    "seal without a look at the epoch": Build(ledger=OpenSeal),
    "index rebuilt with the open block": Build(doors=lambda ledger, store: (ledger, HastyKeys(store))),
    "given-up blocks keep their rows": Build(doors=lambda ledger, store: (ledger, Hoarder(store))),
    "old open block passed over": Build(doors=lambda ledger, store: (BlindToTheOld(ledger), store)),
    "given-up blocks deleted once only": Build(doors=lambda ledger, store: (Unmindful(ledger), store)),
    "index rebuilt with given-up blocks": Build(doors=trusting),
    "offsets of a given-up block announced again": Build(ledger=Repeating),
    "log numbered without a second look": Build(find=find_once),
    "no answer counts as the same log": Build(unanswered=True),
    "sealed envelopes forgotten": Build(doors=lambda ledger, store: (Amnesiac(ledger), store)),
    "corrections see their own block": hindsight(lambda before: replace(before, stored_before=NEVER)),
    "corrections see given-up blocks": hindsight(lambda before: replace(before, leaving_out=())),
    "redo under the newest catalog": Build(version=lambda _intended, newest: newest),
}
