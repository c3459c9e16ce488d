"""How a world's workers are put together: from the product's own parts, or with one of them wrong on purpose."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from core.clock import Clock
from streams.desk import Desk
from streams.find_log import FoundLog, find_log
from streams.ledger import Ledger
from streams.ledger_memory import MemoryLedger
from streams.partition import Partition
from streams.retry import Retry
from streams.store import BlockStore

Claim = Callable[[int], Partition]
Acknowledge = Callable[[object], None]


def right_ledger(clock: Clock, catalog_version: Callable[[], int]) -> MemoryLedger:
    """The product's ledger in memory."""
    return MemoryLedger(clock, catalog_version)


def right_doors(ledger: Ledger, store: BlockStore) -> tuple[Ledger, BlockStore]:
    """Nothing between a worker and its doors."""
    return ledger, store


def right_desk(claim: Claim, _acknowledge: Acknowledge) -> Desk:
    """The product's desk: its worker acknowledges what ``work`` returns."""
    return Desk(claim)


def right_version(intended: int, _newest: int) -> int:
    """A block is made with the catalog version of its intent."""
    return intended


@dataclass(frozen=True)
class Build:
    """The parts that a mutation may replace."""

    ledger: Callable[[Clock, Callable[[], int]], MemoryLedger] = right_ledger
    doors: Callable[[Ledger, BlockStore], tuple[Ledger, BlockStore]] = right_doors
    desk: Callable[[Claim, Acknowledge], Desk] = right_desk
    version: Callable[[int, int], int] = right_version
    find: Callable[[Retry, Ledger, str, int, Callable[[], str]], FoundLog] = find_log
    # What a look at the log says before a redo when the broker does not answer; None asks until it does.
    unanswered: bool | None = None
