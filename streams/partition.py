"""A claimed partition at work: messages in, blocks out, one after the other. The driver only feeds it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from core.errors import Stop
from core.limits import BLOCK_EVENTS_MAX
from streams.block import HORIZON_S, BlockResult, Counts, Known
from streams.decode import Message
from streams.key_index import KeyIndex
from streams.key_keeper import KeyKeeper
from streams.ledger import Lease, Position, SealedBlock
from streams.plan import AtHand, Form, Hole, Intent, Redo, Skip, Wait, plan_next
from streams.sink import Parts, write_block


@dataclass(frozen=True, slots=True)
class Claimed:
    """A partition that is ours: the lease, where it stands, and the other half of its next block's input.

    ``keeper`` puts older keys into files; without one all stay in memory.
    """

    lease: Lease
    position: Position
    known: Known
    keeper: KeyKeeper | None = None


@dataclass(frozen=True, slots=True)
class Advance:
    """``count`` messages from the front are sealed; ``counts`` is the block's line if one was written."""

    count: int
    counts: Counts | None = None


class Partition:
    """Keeps a partition's place between its blocks. Not for use by two threads at once.

    ``log_unchanged`` is asked before a block is done again: if the log was made anew in the meantime, other messages
    stand at the same offsets, and the old tokens would swallow them. It must be sure: without an answer it may not
    return, and raises ``Stop``.
    """

    def __init__(
        self,
        parts: Parts,
        claimed: Claimed,
        *,
        log_unchanged: Callable[[], bool] = lambda: True,
        rows_max: int = BLOCK_EVENTS_MAX,
    ) -> None:
        self._parts = parts
        self._log_unchanged = log_unchanged
        self._rows_max = rows_max
        self.claimed = claimed

    @property
    def next_offset(self) -> int:
        """The first offset that is not sealed."""
        return self.claimed.position.next_offset

    def advance(self, messages: Sequence[Message]) -> Advance:
        """Do one step with the messages at hand, which are in the order of the log.

        Says how many of them, from the front, are sealed and may be acknowledged; 0 when more must come first.
        Raises ``Stop`` over a hole, when the partition has a new owner, or when a store stayed out of reach.
        """
        position, lease = self.claimed.position, self.claimed.lease
        step = plan_next(
            position.next_offset,
            position.intent,
            [AtHand(message.offset, message.rows, message.alone) for message in messages],
            self._rows_max,
        )
        match step:
            case Skip(count):
                return Advance(count)
            case Wait():
                return Advance(0)
            case Hole(expected, found):
                raise Stop(f"offset {expected} of {lease} is missing: the log goes on at {found}")
            case Redo(_, count) if not self._log_unchanged():
                raise Stop(f"the log of {lease} changed before {count} messages could be done again")
            case Form(_, _, count) | Redo(_, count):
                return Advance(count, self._write(step, messages[:count]))

    def _write(self, step: Form | Redo, messages: Sequence[Message]) -> Counts:
        lease, position, known = self.claimed.lease, self.claimed.position, self.claimed.known
        intent, result = write_block(self._parts, lease, position.incarnation, step, messages=messages, known=known)
        sequences = known.sequences.with_added(result.sequences)
        marks = [mark for mark in (position.watermark, result.watermark) if mark is not None]
        self.claimed = Claimed(
            lease,
            Position(
                incarnation=position.incarnation,
                next_offset=intent.last_offset + 1,
                intent=None,
                sequences=sequences,
                unreadable_run=result.unreadable_run,
                watermark=max(marks, default=None),
            ),
            Known(self._index_after(intent, result), sequences, result.unreadable_run),
            self.claimed.keeper,
        )
        return result.counts

    def _index_after(self, intent: Intent, result: BlockResult) -> KeyIndex:
        index, keeper = self.claimed.known.index, self.claimed.keeper
        since_s = int(intent.intended_at.timestamp()) - HORIZON_S
        if keeper is None:
            return index.with_added(result.claimed, since_s)
        block = SealedBlock(intent.incarnation, intent.last_offset + 1, intent.intended_at, result.digest)
        return keeper.with_added(index, result.claimed, block, since_s)
