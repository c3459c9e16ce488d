"""Taking a partition over: epoch, incarnation, and what the blocks before left behind."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from core.clock import Clock
from core.limits import BLOCK_EVENTS_MAX
from core.logs import get_logger
from streams.block import HORIZON_S, Known
from streams.key_files import KeyFiles
from streams.key_index import KeyIndex
from streams.key_keeper import KeyKeeper
from streams.ledger import Lease, Position
from streams.partition import Claimed, Partition
from streams.plan import Intent
from streams.sink import Parts
from streams.store import horizon_start


@dataclass(frozen=True, slots=True)
class LogSeen:
    """The log that a worker reads: the topic, and which of its incarnations the worker found when it started."""

    topic: str
    incarnation: int


def claim_partition(
    parts: Parts,
    log: LogSeen,
    partition: int,
    *,
    owner: str,
    now: datetime,
    held: Claimed | None = None,
    files: KeyFiles | None = None,
) -> Claimed:
    """Claim a partition for this incarnation of its topic.

    If its last block was announced in an earlier incarnation and never sealed, that log is gone and the block can
    never be done again: its rows are deleted and it is given up. Whoever wrote those messages to the log writes them
    to the new one.

    ``held`` is where we left the partition when we had it before. If nobody else had it since, its keys are still
    good; otherwise they are read from the store, where a block's redo finds those of its own time.
    """
    retry, ledger = parts.retry, parts.ledger
    lease, position = retry("claiming", lambda: ledger.claim(log.topic, partition, owner, log.incarnation))
    if position.incarnation != log.incarnation:
        position = change_incarnation(parts, lease, position, log.incarnation)
    elif held is not None and (held.lease.epoch, held.position) == (lease.epoch - 1, position):
        if held.keeper is not None:
            held.keeper.renew(lease)
        return Claimed(lease, position, held.known, held.keeper)
    if held is not None and held.keeper is not None:
        held.keeper.close()
    given_up = retry("reading given-up blocks", lambda: ledger.abandoned(lease))
    for intent in given_up:
        # An insert that was under way when the block was given up may have ended since.
        forget(parts, lease, intent)
    asked_at = now if position.intent is None else position.intent.intended_at
    # One may also end between these lines: its keys are nobody's, and its events come again in the new log.
    leaving_out = given_up if position.intent is None else (*given_up, position.intent)
    index, keeper = load_index(parts, lease, asked_at, leaving_out, files)
    get_logger("streams").info(
        "claimed",
        partition=partition,
        epoch=lease.epoch,
        incarnation=position.incarnation,
        next_offset=position.next_offset,
        open_block=position.intent is not None,
        known=len(index),
        in_files=0 if keeper is None else sum(len(segment.run) for segment in keeper.segments),
    )
    return Claimed(lease, position, Known(index, position.sequences, position.unreadable_run), keeper)


def load_index(
    parts: Parts, lease: Lease, asked_at: datetime, leaving_out: Sequence[Intent], files: KeyFiles | None
) -> tuple[KeyIndex, KeyKeeper | None]:
    """The keys that the partition's blocks claimed within the horizon before ``asked_at``, but for some blocks'."""
    since = horizon_start(asked_at)
    if files is not None:
        return files.load(parts.retry, lease, since, leaving_out)
    keys = parts.retry("reading keys", lambda: parts.store.keys(lease.partition, since, leaving_out))
    return KeyIndex().with_added(keys, int(asked_at.timestamp()) - HORIZON_S), None


def forget(parts: Parts, lease: Lease, intent: Intent) -> None:
    """Delete what a given-up block left in the store."""
    parts.retry("deleting a block", lambda: parts.store.forget(lease.partition, intent))


def change_incarnation(parts: Parts, lease: Lease, position: Position, incarnation: int) -> Position:
    """Leave the old log behind and begin the new one at offset 0."""
    intent = position.intent
    if intent is not None:
        # Deleted before it is given up: until then the ledger still says that the rows may be there.
        forget(parts, lease, intent)
        parts.retry("giving a block up", lambda: parts.ledger.abandon(lease, intent))
    parts.retry("changing incarnation", lambda: parts.ledger.enter(lease, incarnation))
    get_logger("streams").warning(
        "the log was made anew",
        partition=lease.partition,
        left_at=f"{position.incarnation}:{position.next_offset}",
        gave_up_block=intent is not None,
    )
    return replace(position, incarnation=incarnation, next_offset=0, intent=None, unreadable_run=0)


class Claims:
    """Claims partitions for one worker, and remembers what it had of them, so that a rebalance costs little.

    Without ``files`` all keys stay in memory.
    """

    def __init__(
        self,
        parts: Parts,
        log: LogSeen,
        *,
        owner: str,
        clock: Clock,
        log_unchanged: Callable[[], bool] = lambda: True,
        rows_max: int = BLOCK_EVENTS_MAX,
        files: KeyFiles | None = None,
    ) -> None:
        self._parts = parts
        self._files = files
        self._log = log
        self._owner = owner
        self._clock = clock
        self._log_unchanged = log_unchanged
        self._rows_max = rows_max
        self._had: dict[int, Partition] = {}

    def claim(self, partition: int) -> Partition:
        """Take a partition over, ready for messages from its ``next_offset`` on."""
        had = self._had.pop(partition, None)
        claimed = claim_partition(
            self._parts,
            self._log,
            partition,
            owner=self._owner,
            now=self._clock.now(),
            held=None if had is None else had.claimed,
            files=self._files,
        )
        ours = Partition(self._parts, claimed, log_unchanged=self._log_unchanged, rows_max=self._rows_max)
        self._had[partition] = ours
        return ours
