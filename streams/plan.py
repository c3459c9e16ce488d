"""What to do next with a partition: a pure decision from the ledger's position and the offsets at hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from core.limits import BLOCK_EVENTS_MAX


@dataclass(frozen=True, slots=True)
class Intent:
    """A block that was announced. Its rows are a function of its offsets, the ledger and the catalog version.

    ``intended_at`` is the rows' ``stored_at``; both ends of the offsets are included.
    """

    incarnation: int
    first_offset: int
    last_offset: int
    catalog_version: int
    intended_at: datetime


@dataclass(frozen=True, slots=True)
class AtHand:
    """A message that has arrived: its offset, and how many rows it will make (1 when it is unreadable).

    One that stands ``alone`` makes a block of its own: what it corrects must lie in sealed blocks.
    """

    offset: int
    rows: int
    alone: bool = False


@dataclass(frozen=True, slots=True)
class Skip:
    """The first ``count`` messages were sealed before: acknowledge them and forget them."""

    count: int


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing can be done with what has arrived so far."""


@dataclass(frozen=True, slots=True)
class Form:
    """The first ``count`` messages, offsets ``first`` to ``last``, make the next block."""

    first: int
    last: int
    count: int


@dataclass(frozen=True, slots=True)
class Redo:
    """The first ``count`` messages are exactly those of the open intent: do it again."""

    intent: Intent
    count: int


@dataclass(frozen=True, slots=True)
class Hole:
    """``expected`` did not come, ``found`` did. Going on would lose what lies between."""

    expected: int
    found: int


Step = Skip | Wait | Form | Redo | Hole


def plan_next(
    next_offset: int, intent: Intent | None, at_hand: Sequence[AtHand], rows_max: int = BLOCK_EVENTS_MAX
) -> Step:
    """Decide the next step of a partition.

    ``next_offset`` is the first offset that is not sealed; ``intent`` is the open block, which then begins there.
    ``at_hand`` are the messages in the order of delivery. A block holds as many whole messages as fit in
    ``rows_max`` rows, and at least one; a message that stands alone shares it with none.
    """
    assert intent is None or intent.first_offset == next_offset, "an open block begins where the sealed part ends"
    sealed = count_below(at_hand, next_offset)
    if sealed:
        return Skip(sealed)
    run = contiguous(at_hand, next_offset)
    if not run:
        return Hole(next_offset, at_hand[0].offset) if at_hand else Wait()
    if intent is not None:
        return redo_or_wait(intent, at_hand, run)
    count = fitting(at_hand[:run], rows_max)
    return Form(next_offset, next_offset + count - 1, count)


def redo_or_wait(intent: Intent, at_hand: Sequence[AtHand], run: int) -> Step:
    """A redo covers exactly the offsets of its intent: wait until all are here."""
    needed = intent.last_offset - intent.first_offset + 1
    if run >= needed:
        return Redo(intent, needed)
    if run < len(at_hand):
        return Hole(intent.first_offset + run, at_hand[run].offset)
    return Wait()


def count_below(at_hand: Sequence[AtHand], offset: int) -> int:
    """How many messages at the front lie before ``offset``."""
    count = 0
    while count < len(at_hand) and at_hand[count].offset < offset:
        count += 1
    return count


def contiguous(at_hand: Sequence[AtHand], first: int) -> int:
    """How many messages at the front have the offsets ``first``, ``first + 1``, ..."""
    count = 0
    while count < len(at_hand) and at_hand[count].offset == first + count:
        count += 1
    return count


def fitting(at_hand: Sequence[AtHand], rows_max: int) -> int:
    """How many messages at the front make a block of ``rows_max`` rows; at least one."""
    rows = 0
    for count, message in enumerate(at_hand):
        rows += message.rows
        if count > 0 and (rows > rows_max or message.alone or at_hand[0].alone):
            return count
    return len(at_hand)
