"""What the block ledger promises, whoever keeps it: Postgres, or memory in tests and simulations."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from streams.block import Counts
from streams.dead_letter import DeadLetter
from streams.fills import Fill
from streams.plan import Intent
from streams.sequences import SealedSequences


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to write blocks of one partition, until somebody else claims it with a higher epoch."""

    topic: str
    partition: int
    owner: str
    epoch: int


@dataclass(frozen=True, slots=True)
class Position:
    """Where a partition stands: everything below ``next_offset`` of its incarnation is sealed.

    ``intent`` is a block that was announced and not sealed; it begins at ``next_offset``.
    """

    incarnation: int
    next_offset: int
    intent: Intent | None
    sequences: SealedSequences
    unreadable_run: int
    watermark: datetime | None


@dataclass(frozen=True, slots=True)
class Seal:
    """What is written down when a block is done. ``sequences`` is the partition's whole set, this block included."""

    counts: Counts
    digest: str
    watermark: datetime | None
    sequences: SealedSequences
    unreadable_run: int
    dead_letters: tuple[DeadLetter, ...]
    fills: tuple[Fill, ...] = ()


# A block's incarnation and first offset.
BlockName = tuple[int, int]


@dataclass(frozen=True, slots=True)
class SealedBlock:
    """A block that is done, told apart from any other by when it was announced and what it holds.

    ``next_offset`` is the offset after its last.
    """

    incarnation: int
    next_offset: int
    intended_at: datetime
    digest: str


class SealedBlocks(Protocol):
    """The part of a ledger that says which blocks are sealed. Raises ``Transient`` when out of reach."""

    def last_sealed(self, lease: Lease) -> SealedBlock | None:
        """The partition's youngest sealed block, if it has any."""

    def has_sealed(self, lease: Lease, block: SealedBlock) -> bool:
        """Whether this very block is sealed in the partition."""


class Ledger(Protocol):
    """One row a block, one row a partition. Every call is one transaction.

    Calls raise ``Transient`` when the ledger is out of reach: the same call may then be made again, also when the
    first try did happen. They raise ``Stop`` when the lease is no longer the newest, or when the call does not fit
    what is written: going on could lose or double something.
    """

    def register(self, topic: str, topic_id: str, partitions: int) -> int:
        """The number of the topic's incarnation, a new one if its id was never seen. Counts from 1."""

    def claim(self, topic: str, partition: int, owner: str, incarnation: int) -> tuple[Lease, Position]:
        """Take a partition over, with a higher epoch than anybody before. A new one starts at offset 0."""

    def intend(self, lease: Lease, incarnation: int, first_offset: int, last_offset: int) -> Intent:
        """Announce the next block; it must begin where the sealed part ends. Fixes catalog version and time.

        The time is later than that of every block of the partition before, whatever the clock says.
        Raises ``Stop`` where a block of this incarnation was given up: what is deleted for it would be this one's rows.
        """

    def seal(self, lease: Lease, intent: Intent, seal: Seal) -> None:
        """Write down that a block is done, with its dead letters, and move the partition on."""

    def abandon(self, lease: Lease, intent: Intent) -> None:
        """Give a block up whose log is gone. Its rows must be deleted already."""

    def abandoned(self, lease: Lease) -> tuple[Intent, ...]:
        """The partition's blocks that were given up, the youngest first; at most a hundred."""

    def versions(self, lease: Lease, blocks: Collection[BlockName]) -> Mapping[BlockName, int]:
        """The catalog version of each of the partition's blocks that is named and there."""

    def fills(self, lease: Lease) -> tuple[Fill, ...]:
        """The fills that the partition's blocks did, the oldest first."""

    def enter(self, lease: Lease, incarnation: int) -> None:
        """Move the partition to offset 0 of a newer incarnation; no block may be open."""
