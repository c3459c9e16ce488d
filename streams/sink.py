"""One block to the stores, in steps whose order is the whole promise.

    1 intent    the ledger fixes offsets, catalog version and time of the block
    2 events    the block's events are inserted under the token of the block
    3 windows   then its window deltas and distinct values, each table under a token of its own
    4 seal      the ledger writes the counts and moves the partition on, with the dead letters
    5 ack       the caller acknowledges the messages to the log

A crash between

    before 1    nothing happened: the messages come again and make the same or another block
    1 and 2     the intent is open: the next owner does exactly these offsets again
    2 and 3     the same; the events' token is known, so they are not stored twice
    3 and 4     the same; all tokens are known, nothing is stored, the block is sealed
    4 and 5     the messages come again and are skipped, because they lie below the sealed part's end

Rows are a function of the block's offsets, the ledger and the catalog version, so a second try makes the same bytes:
a token with other rows would be dropped in silence. A block of corrections reads earlier rows too: only those of sealed
blocks, which do not change.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from streams.block import BlockResult, Known, process_block
from streams.compiled import Compiled
from streams.correct import process_corrections
from streams.dead_letter import refuse_poison
from streams.decode import Message, Readable
from streams.fill import process_fill
from streams.ledger import Lease, Ledger, Seal
from streams.past import past_of
from streams.plan import Form, Intent, Redo
from streams.retry import Retry
from streams.rows import EVENTS, UNIQUES, WINDOWS
from streams.store import BlockStore, block_tokens
from streams.window import BlockPlace

Moment = Literal["before_intent", "after_intent", "after_events", "after_windows", "after_seal", "after_ack"]


def no_failpoint(_moment: Moment) -> None:
    """Let everything happen."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What a block needs from outside. ``failpoint`` is called at each moment between two steps, for tests.

    Above ``dead_letter_percent_max`` of rejected events a block is not written: see ``refuse_poison``.
    """

    ledger: Ledger
    store: BlockStore
    catalog: Callable[[int], Compiled]
    retry: Retry
    failpoint: Callable[[Moment], None] = no_failpoint
    dead_letter_percent_max: int = 100


def write_block(
    parts: Parts, lease: Lease, incarnation: int, step: Form | Redo, *, messages: Sequence[Message], known: Known
) -> tuple[Intent, BlockResult]:
    """Take the messages of ``step`` through steps 1 to 4. Raises ``Stop`` when going on could lose or double."""
    parts.failpoint("before_intent")
    intent = step.intent if isinstance(step, Redo) else announce(parts, lease, incarnation, step)
    parts.failpoint("after_intent")
    result = compute(parts, lease, intent, messages, known)
    tokens = block_tokens(lease.topic, lease.partition, intent)
    insert(parts, EVENTS, result, tokens)
    parts.failpoint("after_events")
    insert(parts, WINDOWS, result, tokens)
    insert(parts, UNIQUES, result, tokens)
    parts.failpoint("after_windows")
    seal = Seal(
        counts=result.counts,
        digest=result.digest,
        watermark=result.watermark,
        sequences=known.sequences.with_added(result.sequences),
        unreadable_run=result.unreadable_run,
        dead_letters=result.dead_letters,
        fills=result.fills,
    )
    parts.retry("sealing a block", lambda: parts.ledger.seal(lease, intent, seal))
    parts.failpoint("after_seal")
    return intent, result


def compute(parts: Parts, lease: Lease, intent: Intent, messages: Sequence[Message], known: Known) -> BlockResult:
    """The block's rows, by the kind of its messages."""
    catalog = parts.retry("reading the catalog", lambda: parts.catalog(intent.catalog_version))
    place = BlockPlace(intent.intended_at, intent.incarnation, lease.partition, intent.first_offset)
    first = messages[0]
    if not (isinstance(first, Readable) and first.alone):
        result = process_block(messages, place, catalog, known)
        refuse_poison(result.events, parts.dead_letter_percent_max)
        return result
    assert len(messages) == 1, "a message that stands alone is a block of its own"
    past = past_of(parts.ledger, parts.store.history, parts.catalog, parts.retry, lease=lease, intent=intent)
    process = process_fill if first.envelope.kind == "fill" else process_corrections
    return process(first, place, catalog, known, past)


def announce(parts: Parts, lease: Lease, incarnation: int, step: Form) -> Intent:
    """Step 1."""
    return parts.retry("announcing a block", lambda: parts.ledger.intend(lease, incarnation, step.first, step.last))


def insert(parts: Parts, table: str, result: BlockResult, tokens: dict[str, str]) -> None:
    """Step 2 or 3 for one table."""
    rows = {EVENTS: result.events, WINDOWS: result.windows, UNIQUES: result.uniques}[table]
    parts.retry(f"inserting into {table}", lambda: parts.store.insert(table, rows, tokens[table]))
