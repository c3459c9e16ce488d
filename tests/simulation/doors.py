"""Every way out of a worker, with what can happen there: death, silence, lateness, a long sleep."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from typing import Protocol, TypeVar

import polars as pl
import pyarrow as pa

from core.errors import Transient
from streams.decode import Message
from streams.fills import Fill
from streams.history import Before, EventSpan, History, WindowSpan
from streams.key_index import KeyRun
from streams.ledger import BlockName, Lease, Ledger, Position, Seal
from streams.plan import Intent
from streams.store import BlockStore
from tests.simulation.strand import Killed
from tests.simulation.witness import Witness

Answer = TypeVar("Answer")


class Fates(Protocol):
    """Decides what happens at a door."""

    def draw(self, who: str, what: str) -> str:
        """One of FATES."""

    def land_later(self, what: str, effect: Callable[[], object]) -> None:
        """Let something take effect at some later time, when nobody waits for it any more."""

    def sleep(self, who: str, *, long: bool) -> None:
        """Let the rest of the world go on; ``long`` means that others take this worker for dead."""


# What can happen instead of a call that simply goes well.
FAULTS = (
    "dies before",
    "dies after",
    "dies, late",
    "no answer, nothing done",
    "no answer, but done",
    "no answer, done late",
    "sleeps before",
    "sleeps after",
)
FATES = ("goes well", "others first", *FAULTS)


class Door:
    """One worker's way to the outside."""

    def __init__(self, who: str, fates: Fates) -> None:
        self.who = who
        self._fates = fates

    def call(self, what: str, effect: Callable[[], Answer]) -> Answer:
        """Make a call as fate wants it."""
        fate = self._fates.draw(self.who, what)
        if fate == "others first":
            self._fates.sleep(self.who, long=False)
        elif fate == "sleeps before":
            self._fates.sleep(self.who, long=True)
        elif fate == "dies before":
            raise Killed
        elif fate == "no answer, nothing done":
            raise Transient(fate)
        elif fate == "dies, late":
            self._fates.land_later(f"{what} of {self.who}", effect)
            raise Killed
        elif fate == "no answer, done late":
            self._fates.land_later(f"{what} of {self.who}", effect)
            raise Transient(fate)
        answer = effect()
        if fate == "dies after":
            raise Killed
        if fate == "no answer, but done":
            raise Transient(fate)
        if fate == "sleeps after":
            self._fates.sleep(self.who, long=True)
        return answer


class LedgerDoor:
    """``Ledger`` behind a door. ``at_hand`` gives the messages that the worker has of a partition."""

    def __init__(
        self, door: Door, ledger: Ledger, witness: Witness, at_hand: Callable[[int], tuple[Message, ...]]
    ) -> None:
        self._door = door
        self._ledger = ledger
        self._witness = witness
        self._at_hand = at_hand

    def register(self, topic: str, topic_id: str, partitions: int) -> int:
        """See ``Ledger.register``."""
        return self._door.call("register", lambda: self._ledger.register(topic, topic_id, partitions))

    def claim(self, topic: str, partition: int, owner: str, incarnation: int) -> tuple[Lease, Position]:
        """See ``Ledger.claim``."""

        def effect() -> tuple[Lease, Position]:
            lease, position = self._ledger.claim(topic, partition, owner, incarnation)
            self._witness.claimed(self._door.who, lease)
            return lease, position

        return self._door.call(f"claim {partition}", effect)

    def intend(self, lease: Lease, incarnation: int, first_offset: int, last_offset: int) -> Intent:
        """See ``Ledger.intend``."""

        def effect() -> Intent:
            intent = self._ledger.intend(lease, incarnation, first_offset, last_offset)
            self._witness.wrote(self._door.who, "intend", lease)
            return intent

        return self._door.call(f"intend {lease.partition}:{first_offset}..{last_offset}", effect)

    def seal(self, lease: Lease, intent: Intent, seal: Seal) -> None:
        """See ``Ledger.seal``."""
        waiting = self._at_hand(lease.partition)

        def effect() -> None:
            self._ledger.seal(lease, intent, seal)
            self._witness.wrote(self._door.who, "seal", lease)
            self._witness.sealed(intent, lease.partition, waiting)

        self._door.call(f"seal {lease.partition}:{intent.first_offset}..{intent.last_offset}", effect)

    def abandon(self, lease: Lease, intent: Intent) -> None:
        """See ``Ledger.abandon``."""

        def effect() -> None:
            self._ledger.abandon(lease, intent)
            self._witness.wrote(self._door.who, "abandon", lease)

        self._door.call(f"abandon {lease.partition}:{intent.first_offset}..{intent.last_offset}", effect)

    def abandoned(self, lease: Lease) -> tuple[Intent, ...]:
        """See ``Ledger.abandoned``."""
        return self._door.call(f"read what {lease.partition} gave up", lambda: self._ledger.abandoned(lease))

    def versions(self, lease: Lease, blocks: Collection[BlockName]) -> Mapping[BlockName, int]:
        """See ``Ledger.versions``."""
        return self._door.call(f"read versions of {len(blocks)} blocks", lambda: self._ledger.versions(lease, blocks))

    def fills(self, lease: Lease) -> tuple[Fill, ...]:
        """See ``Ledger.fills``."""
        return self._door.call(f"read fills of {lease.partition}", lambda: self._ledger.fills(lease))

    def enter(self, lease: Lease, incarnation: int) -> None:
        """See ``Ledger.enter``."""

        def effect() -> None:
            self._ledger.enter(lease, incarnation)
            self._witness.wrote(self._door.who, "enter", lease)

        self._door.call(f"enter {lease.partition} in {incarnation}", effect)


class StoreDoor:
    """``BlockStore`` behind a door."""

    def __init__(self, door: Door, store: BlockStore) -> None:
        self._door = door
        self._store = store

    def insert(self, table: str, rows: pa.Table, token: str) -> None:
        """See ``BlockStore.insert``."""
        self._door.call(f"insert {rows.num_rows} rows as {token}", lambda: self._store.insert(table, rows, token))

    def keys(self, partition: int, horizon_from: datetime, leaving_out: Sequence[Intent]) -> KeyRun:
        """See ``BlockStore.keys``."""
        return self._door.call(
            f"read keys of {partition}", lambda: self._store.keys(partition, horizon_from, leaving_out)
        )

    @property
    def history(self) -> History:
        """See ``BlockStore.history``."""
        return HistoryDoor(self._door, self._store.history)

    def forget(self, partition: int, intent: Intent) -> None:
        """See ``BlockStore.forget``."""
        where = f"{intent.incarnation}:{partition}:{intent.first_offset}"
        self._door.call(f"forget {where}", lambda: self._store.forget(partition, intent))


class HistoryDoor:
    """``History`` behind a door."""

    def __init__(self, door: Door, history: History) -> None:
        self._door = door
        self._history = history

    def rows_of(self, before: Before, merchant_ids: Sequence[str], keys: Sequence[bytes]) -> pa.Table:
        """See ``History.rows_of``."""
        return self._door.call(
            f"read rows of {len(keys)} keys", lambda: self._history.rows_of(before, merchant_ids, keys)
        )

    def counted_at(self, before: Before, places: pl.DataFrame) -> pa.Table:
        """See ``History.counted_at``."""
        return self._door.call(
            f"read what counts at {places.height} places", lambda: self._history.counted_at(before, places)
        )

    def counted_between(self, before: Before, span: EventSpan) -> pa.Table:
        """See ``History.counted_between``."""
        return self._door.call("read what counts in a span", lambda: self._history.counted_between(before, span))

    def busy_minutes(self, before: Before, span: EventSpan) -> pl.DataFrame:
        """See ``History.busy_minutes``."""
        return self._door.call("read busy minutes", lambda: self._history.busy_minutes(before, span))

    def windows_between(self, before: Before, span: WindowSpan) -> pl.DataFrame:
        """See ``History.windows_between``."""
        return self._door.call("read windows", lambda: self._history.windows_between(before, span))
