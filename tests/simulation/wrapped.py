"""A ledger and a store that pass every call on: what a mutation leaves alone."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime

import polars as pl
import pyarrow as pa

from streams.fills import Fill
from streams.history import Before, EventSpan, History, WindowSpan
from streams.key_index import KeyRun
from streams.ledger import BlockName, Lease, Ledger, Position, Seal
from streams.plan import Intent
from streams.store import BlockStore


class Ledgers:
    """``Ledger`` on another one."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger

    def register(self, topic: str, topic_id: str, partitions: int) -> int:
        """See ``Ledger.register``."""
        return self.ledger.register(topic, topic_id, partitions)

    def claim(self, topic: str, partition: int, owner: str, incarnation: int) -> tuple[Lease, Position]:
        """See ``Ledger.claim``."""
        return self.ledger.claim(topic, partition, owner, incarnation)

    def intend(self, lease: Lease, incarnation: int, first_offset: int, last_offset: int) -> Intent:
        """See ``Ledger.intend``."""
        return self.ledger.intend(lease, incarnation, first_offset, last_offset)

    def seal(self, lease: Lease, intent: Intent, seal: Seal) -> None:
        """See ``Ledger.seal``."""
        self.ledger.seal(lease, intent, seal)

    def abandon(self, lease: Lease, intent: Intent) -> None:
        """See ``Ledger.abandon``."""
        self.ledger.abandon(lease, intent)

    def abandoned(self, lease: Lease) -> tuple[Intent, ...]:
        """See ``Ledger.abandoned``."""
        return self.ledger.abandoned(lease)

    def versions(self, lease: Lease, blocks: Collection[BlockName]) -> Mapping[BlockName, int]:
        """See ``Ledger.versions``."""
        return self.ledger.versions(lease, blocks)

    def fills(self, lease: Lease) -> tuple[Fill, ...]:
        """See ``Ledger.fills``."""
        return self.ledger.fills(lease)

    def enter(self, lease: Lease, incarnation: int) -> None:
        """See ``Ledger.enter``."""
        self.ledger.enter(lease, incarnation)


class Stores:
    """``BlockStore`` on another one."""

    def __init__(self, store: BlockStore) -> None:
        self.store = store

    def insert(self, table: str, rows: pa.Table, token: str) -> None:
        """See ``BlockStore.insert``."""
        self.store.insert(table, rows, token)

    def keys(self, partition: int, horizon_from: datetime, leaving_out: Sequence[Intent]) -> KeyRun:
        """See ``BlockStore.keys``."""
        return self.store.keys(partition, horizon_from, leaving_out)

    @property
    def history(self) -> History:
        """See ``BlockStore.history``."""
        return self.store.history

    def forget(self, partition: int, intent: Intent) -> None:
        """See ``BlockStore.forget``."""
        self.store.forget(partition, intent)


class Histories:
    """``History`` on another one, asked for other rows than the caller means."""

    def __init__(self, history: History, seen: Callable[[Before], Before]) -> None:
        self.history = history
        self.seen = seen

    def rows_of(self, before: Before, merchant_ids: Sequence[str], keys: Sequence[bytes]) -> pa.Table:
        """See ``History.rows_of``."""
        return self.history.rows_of(self.seen(before), merchant_ids, keys)

    def counted_at(self, before: Before, places: pl.DataFrame) -> pa.Table:
        """See ``History.counted_at``."""
        return self.history.counted_at(self.seen(before), places)

    def counted_between(self, before: Before, span: EventSpan) -> pa.Table:
        """See ``History.counted_between``."""
        return self.history.counted_between(self.seen(before), span)

    def busy_minutes(self, before: Before, span: EventSpan) -> pl.DataFrame:
        """See ``History.busy_minutes``."""
        return self.history.busy_minutes(self.seen(before), span)

    def windows_between(self, before: Before, span: WindowSpan) -> pl.DataFrame:
        """See ``History.windows_between``."""
        return self.history.windows_between(self.seen(before), span)
