"""Ledgers with one rule missing."""

from __future__ import annotations

from dataclasses import replace

from streams.ledger import Lease, Position, Seal
from streams.ledger_memory import MemoryBlock, MemoryLedger, MemoryPartition
from streams.plan import Intent


class ForgetfulLedger(MemoryLedger):
    """Announces nothing: a block's ends, time and version are whatever its last try made them."""

    def intend(self, lease: Lease, incarnation: int, first_offset: int, last_offset: int) -> Intent:
        """Say what the block would be, and write nothing down."""
        self._held(lease)
        return Intent(incarnation, first_offset, last_offset, self._catalog_version(), self._clock.now())

    def seal(self, lease: Lease, intent: Intent, seal: Seal) -> None:
        """Announce and seal in one."""
        row = self._held(lease)
        if row.position.next_offset == intent.first_offset:
            row.blocks.append(MemoryBlock(intent, lease.epoch))
            row.position = replace(row.position, intent=intent)
        super().seal(lease, intent, seal)


class LaxLedger(MemoryLedger):
    """Lets everybody who ever claimed a partition write in it."""

    def claim(self, topic: str, partition: int, owner: str, incarnation: int) -> tuple[Lease, Position]:
        """Claim without raising the epoch."""
        lease, position = super().claim(topic, partition, owner, incarnation)
        self.partitions[topic, partition].epoch = 1
        return replace(lease, epoch=1), position

    def _held(self, lease: Lease) -> MemoryPartition:
        row = self.partitions[lease.topic, lease.partition]
        row.owner = lease.owner
        return super()._held(lease)


class OpenSeal(MemoryLedger):
    """Takes a seal from whoever brings it."""

    def seal(self, lease: Lease, intent: Intent, seal: Seal) -> None:
        """Seal as if the present owner did."""
        row = self.partitions[lease.topic, lease.partition]
        super().seal(replace(lease, owner=row.owner, epoch=row.epoch), intent, seal)


class Repeating(MemoryLedger):
    """Announces a block where another was given up."""

    def intend(self, lease: Lease, incarnation: int, first_offset: int, last_offset: int) -> Intent:
        """Announce as if nothing had been given up."""
        row = self.partitions[lease.topic, lease.partition]
        given_up = [block for block in row.blocks if block.state == "abandoned"]
        row.blocks = [block for block in row.blocks if block.state != "abandoned"]
        try:
            return super().intend(lease, incarnation, first_offset, last_offset)
        finally:
            # Behind the others, where whoever looks for the new block does not find them first.
            row.blocks += given_up
