"""The block ledger in memory: for simulations and tests, held to the same contract as the one in Postgres."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Literal

from core.clock import Clock
from core.errors import Stop
from streams.dead_letter import DeadLetter
from streams.fills import Fill
from streams.ledger import BlockName, Lease, Position, Seal, SealedBlock
from streams.plan import Intent
from streams.sequences import SealedSequences

TICK = timedelta(microseconds=1)


@dataclass
class MemoryBlock:
    """One row a block."""

    intent: Intent
    epoch: int
    state: Literal["intent", "sealed", "abandoned"] = "intent"
    seal: Seal | None = None


@dataclass
class MemoryPartition:
    """One row a partition, and its blocks."""

    owner: str
    epoch: int
    position: Position
    blocks: list[MemoryBlock] = field(default_factory=list)


class MemoryLedger:
    """``streams.ledger.Ledger`` for one process. ``catalog_version`` is asked at every intent."""

    def __init__(self, clock: Clock, catalog_version: Callable[[], int]) -> None:
        self._clock = clock
        self._catalog_version = catalog_version
        self._incarnations: dict[str, list[tuple[str, int]]] = {}
        self.partitions: dict[tuple[str, int], MemoryPartition] = {}
        self.dead_letters: list[DeadLetter] = []

    def register(self, topic: str, topic_id: str, partitions: int) -> int:
        """See ``Ledger.register``. Raises ``Stop`` when the number of partitions changed."""
        known = self._incarnations.setdefault(topic, [])
        for number, (seen_id, _) in enumerate(known, start=1):
            if seen_id == topic_id:
                return number
        if known and known[-1][1] != partitions:
            raise Stop(f"topic {topic} had {known[-1][1]} partitions and now has {partitions}")
        known.append((topic_id, partitions))
        return len(known)

    def claim(self, topic: str, partition: int, owner: str, incarnation: int) -> tuple[Lease, Position]:
        """See ``Ledger.claim``."""
        fresh = Position(incarnation, 0, None, SealedSequences(), 0, None)
        row = self.partitions.setdefault((topic, partition), MemoryPartition(owner, 0, fresh))
        if row.position.incarnation > incarnation:
            raise Stop(f"partition {partition} is already in incarnation {row.position.incarnation} of {topic}")
        row.owner, row.epoch = owner, row.epoch + 1
        return Lease(topic, partition, owner, row.epoch), row.position

    def intend(self, lease: Lease, incarnation: int, first_offset: int, last_offset: int) -> Intent:
        """See ``Ledger.intend``."""
        row = self._held(lease)
        found = row.position.intent
        if found is not None:
            if (found.incarnation, found.first_offset, found.last_offset) == (incarnation, first_offset, last_offset):
                return found
            raise Stop(f"block {found.first_offset}..{found.last_offset} of {lease} is still open")
        if (row.position.incarnation, row.position.next_offset) != (incarnation, first_offset):
            raise Stop(f"{lease} stands at {row.position.incarnation}:{row.position.next_offset}")
        if any(
            (block.intent.incarnation, block.intent.first_offset) == (incarnation, first_offset) for block in row.blocks
        ):
            raise Stop(f"block {incarnation}:{first_offset} of {lease} was given up: its log is gone")
        now = max([self._clock.now(), *(block.intent.intended_at + TICK for block in row.blocks[-1:])])
        intent = Intent(incarnation, first_offset, last_offset, self._catalog_version(), now)
        row.blocks.append(MemoryBlock(intent, lease.epoch))
        row.position = replace(row.position, intent=intent)
        return intent

    def seal(self, lease: Lease, intent: Intent, seal: Seal) -> None:
        """See ``Ledger.seal``."""
        row = self._held(lease)
        block = self._block(row, lease, intent)
        if block.state != "intent":
            if block.state != "sealed" or block.seal is None or block.seal.digest != seal.digest:
                raise Stop(f"block {intent.first_offset}..{intent.last_offset} of {lease} was sealed otherwise")
            return
        block.state, block.seal, block.epoch = "sealed", seal, lease.epoch
        self.dead_letters.extend(seal.dead_letters)
        marks = [mark for mark in (row.position.watermark, seal.watermark) if mark is not None]
        row.position = Position(
            incarnation=row.position.incarnation,
            next_offset=intent.last_offset + 1,
            intent=None,
            sequences=seal.sequences,
            unreadable_run=seal.unreadable_run,
            watermark=max(marks, default=None),
        )

    def abandon(self, lease: Lease, intent: Intent) -> None:
        """See ``Ledger.abandon``."""
        row = self._held(lease)
        block = self._block(row, lease, intent)
        if block.state == "intent":
            block.state, block.epoch = "abandoned", lease.epoch
            row.position = replace(row.position, intent=None)

    def abandoned(self, lease: Lease) -> tuple[Intent, ...]:
        """See ``Ledger.abandoned``."""
        blocks = self.partitions[lease.topic, lease.partition].blocks
        return tuple(block.intent for block in reversed(blocks) if block.state == "abandoned")[:100]

    def versions(self, lease: Lease, blocks: Collection[BlockName]) -> dict[BlockName, int]:
        """See ``Ledger.versions``."""
        intents = [block.intent for block in self.partitions[lease.topic, lease.partition].blocks]
        known = {(intent.incarnation, intent.first_offset): intent.catalog_version for intent in intents}
        return {name: known[name] for name in blocks if name in known}

    def fills(self, lease: Lease) -> tuple[Fill, ...]:
        """See ``Ledger.fills``."""
        seals = [block.seal for block in self.partitions[lease.topic, lease.partition].blocks]
        return tuple(fill for seal in seals if seal is not None for fill in seal.fills)

    def last_sealed(self, lease: Lease) -> SealedBlock | None:
        """See ``SealedBlocks.last_sealed``."""
        return max(self._sealed(lease), key=lambda block: (block.incarnation, block.next_offset), default=None)

    def has_sealed(self, lease: Lease, block: SealedBlock) -> bool:
        """See ``SealedBlocks.has_sealed``."""
        return block in self._sealed(lease)

    def _sealed(self, lease: Lease) -> list[SealedBlock]:
        return [
            SealedBlock(
                block.intent.incarnation, block.intent.last_offset + 1, block.intent.intended_at, block.seal.digest
            )
            for block in self.partitions[lease.topic, lease.partition].blocks
            if block.state == "sealed" and block.seal is not None
        ]

    def enter(self, lease: Lease, incarnation: int) -> None:
        """See ``Ledger.enter``."""
        row = self._held(lease)
        if row.position.incarnation == incarnation:
            return
        if row.position.incarnation > incarnation or row.position.intent is not None:
            raise Stop(f"{lease} cannot go from incarnation {row.position.incarnation} to {incarnation}")
        row.position = replace(row.position, incarnation=incarnation, next_offset=0, unreadable_run=0)

    def _held(self, lease: Lease) -> MemoryPartition:
        row = self.partitions.get((lease.topic, lease.partition))
        if row is None or (row.owner, row.epoch) != (lease.owner, lease.epoch):
            raise Stop(f"{lease} is no longer ours")
        return row

    def _block(self, row: MemoryPartition, lease: Lease, intent: Intent) -> MemoryBlock:
        for block in row.blocks:
            if block.intent == intent:
                return block
        raise Stop(f"{lease} never announced block {intent.first_offset}..{intent.last_offset}")
