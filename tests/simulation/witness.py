"""What must never happen, noticed while it happens."""

from __future__ import annotations

from dataclasses import dataclass, field

import pyarrow as pa

from streams.decode import Message
from streams.ledger import Lease
from streams.ledger_memory import MemoryLedger
from streams.plan import Intent
from streams.store_memory import MemoryStore

# Incarnation, partition, first offset.
Place = tuple[int, int, int]


@dataclass
class Witness:
    """Gathers defects. ``messages`` are those that each block was sealed with; ``trace`` is the whole story."""

    defects: list[str] = field(default_factory=list)
    trace: list[str] = field(default_factory=list)
    messages: dict[Place, tuple[Message, ...]] = field(default_factory=dict)
    holders: dict[int, str] = field(default_factory=dict)

    def note(self, text: str) -> None:
        """Add to the story."""
        self.trace.append(text)

    def defect(self, text: str) -> None:
        """Something that must never happen."""
        self.defects.append(text)
        self.trace.append(f"DEFECT {text}")

    def claimed(self, who: str, lease: Lease) -> None:
        """A claim took effect."""
        self.holders[lease.partition] = who

    def wrote(self, who: str, what: str, lease: Lease) -> None:
        """The ledger let somebody write."""
        holder = self.holders.get(lease.partition)
        if holder != who:
            self.defect(f"fence: {who} may {what} in partition {lease.partition}, which {holder} claimed after it")

    def sealed(self, intent: Intent, partition: int, waiting: tuple[Message, ...]) -> None:
        """A seal took effect, with the messages that its worker had at hand."""
        count = intent.last_offset - intent.first_offset + 1
        self.messages.setdefault((intent.incarnation, partition, intent.first_offset), waiting[:count])

    def acknowledged(self, ledger: MemoryLedger, topic: str, incarnation: int, partition: int, offset: int) -> None:
        """A worker acknowledges a message: it must be sealed (I6)."""
        row = ledger.partitions.get((topic, partition))
        position = None if row is None else row.position
        if position is None or (position.incarnation, position.next_offset) <= (incarnation, offset):
            self.defect(f"I6: offset {offset} of partition {partition} is acknowledged and not sealed")


class WitnessStore(MemoryStore):
    """The store, telling when rows are dropped in silence because their token was used for other rows."""

    def __init__(self, witness: Witness) -> None:
        super().__init__()
        self._witness = witness
        self._first: dict[tuple[str, str], pa.Table] = {}

    def insert(self, table: str, rows: pa.Table, token: str) -> None:
        """See ``BlockStore.insert``."""
        first = self._first.setdefault((table, token), rows)
        if first is not rows and not first.equals(rows):
            self._witness.defect(f"token: {token} of {table} had other rows before; these are dropped in silence")
        super().insert(table, rows, token)
