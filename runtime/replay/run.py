"""Replays: windows made again from the stored events of their blocks, compared, and written where they differ."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from dataclasses import replace as with_fields
from functools import partial
from itertools import chain
from time import sleep

from core.db import transaction
from ingest.correction import FillAsked
from runtime.audit.blocks import Block, Place, load_blocks, place_of_block
from runtime.audit.rebuild_corrected import Earlier, load_fills
from runtime.audit.repair_ledger import sole_repair, without_close
from runtime.audit.rewrite import Stores
from runtime.audit.run import AuditParts
from runtime.audit.scope import open_scope
from runtime.replay.again import DAMAGED, EQUAL, STALE, Judged, Sources, judge
from runtime.replay.choose import Pass, Wanted, choose
from runtime.replay.read import TableRead, read_table
from runtime.replay.write import put_right
from runtime.watcher import Watcher
from streams.catalog_cache import CatalogCache
from streams.compiled import Compiled
from streams.retry import Retry, RetryPolicy
from streams.rows import TABLES

# Each works on a block.
THREADS = 2
Stored = Mapping[str, TableRead]


@dataclass
class Replayed:
    """What a replay has come to. ``stale`` blocks are those that it wrote, or would have written."""

    blocks: int = 0
    events: int = 0
    equal: int = 0
    stale: list[Block] = field(default_factory=list)
    damaged: list[Block] = field(default_factory=list)


def replay(parts: AuditParts, wanted: Wanted, *, write: bool, watcher: Watcher | None = None) -> Replayed:
    """Make the windows of the wanted blocks again; with ``write`` put those right that differ.

    A block whose events are not those that were sealed is left as it is: nothing proves what its windows were.
    Raises ``Conflict`` while a repair or a close runs, ``Transient`` or ``Stop`` when a store does not answer. It
    can be stopped anywhere and done again. ``watcher`` is told of events.
    """
    parts, watcher = with_fields(parts, topic=wanted.topic), watcher or Watcher()
    retry = Retry(RetryPolicy(), parts.clock, sleep)
    stores = Stores(parts.books, parts.store, parts.topic, retry)
    done = Replayed()
    with alone(parts) if write else ExitStack():
        sources, fills = open_sources(parts, retry), retry("reading fills", lambda: load_asked(parts))
        chosen = retry("choosing blocks", lambda: choose_blocks(parts, wanted, fills))
        watcher.total(sum(block.received for some in chosen for run in some for block in run))
        with (
            ThreadPoolExecutor(THREADS, "replay") as threads,
            ThreadPoolExecutor(1, "replay-write") as writer,
            closing(read_ahead(stores, chosen)) as passes,
        ):
            writing = writer.submit(put_right, stores, [], [])
            for some, stored in passes:
                if some_in(fills, some):
                    # It says windows anew from those of the blocks before it.
                    writing.result()
                stale = []
                for judged in threads.map(partial(judge_patiently, retry, stored, sources), chain.from_iterable(some)):
                    count(done, judged, {} if write else fills)
                    if judged.state == STALE:
                        stale.append(judged)
                    watcher.done(judged.block.received)
                # What one pass comes to is written, and read back, while the next is worked on.
                writing.result()
                writing = writer.submit(put_right, stores, some, stale if write else [])
            writing.result()
    return done


@contextmanager
def alone(parts: AuditParts) -> Iterator[None]:
    """No other repair, and no close: until the end readers may see too little, and a bill must not."""
    with sole_repair(parts.books, parts.topic), without_close(parts.books):
        yield


def open_sources(parts: AuditParts, retry: Retry) -> Sources:
    """What blocks are made again from."""
    cache = CatalogCache(parts.books)

    def catalog(version: int) -> Compiled:
        return retry("reading the catalog", lambda: cache(version))

    return Sources(catalog, Earlier(parts.books, parts.store, parts.topic, catalog, parts.clock))


def load_asked(parts: AuditParts) -> dict[Place, FillAsked]:
    """The topic's fills by their blocks."""
    with transaction(parts.books) as connection:
        return load_fills(connection, parts.topic)


def choose_blocks(parts: AuditParts, wanted: Wanted, fills: Mapping[Place, FillAsked]) -> list[Pass]:
    """The wanted blocks among those that are sealed now."""
    scope = open_scope(parts.books, parts.topic, parts.clock.now())
    with transaction(parts.books) as connection:
        sealed = load_blocks(connection, scope)
    return choose(parts.store, wanted, sealed, fills)


def read_ahead(stores: Stores, chosen: Sequence[Pass]) -> Generator[tuple[Pass, Stored], None, None]:
    """Each pass with its rows; those of the next are read while it is worked on."""
    with ThreadPoolExecutor(1, "replay-read") as reader:
        waiting = deque(chosen)
        ahead = reader.submit(read_pass, stores, waiting[0]) if waiting else None
        while ahead is not None:
            some, stored = waiting.popleft(), ahead.result()
            ahead = reader.submit(read_pass, stores, waiting[0]) if waiting else None
            yield some, stored


def read_pass(stores: Stores, some: Pass) -> Stored:
    """What is stored of the blocks of a pass."""
    return {table: stores.retry("reading blocks", partial(read_table, stores.usage, table, some)) for table in TABLES}


def some_in(fills: Mapping[Place, FillAsked], some: Pass) -> bool:
    """Whether a pass has a block that filled a meter."""
    return any(place_of_block(block) in fills for run in some for block in run)


def judge_patiently(retry: Retry, stored: Stored, sources: Sources, block: Block) -> Judged:
    """Judge a block, however long a store takes to answer what lay before it."""
    return retry("reading what lay before", lambda: judge(block, stored, sources))


def count(done: Replayed, one: Judged, unwritten: Mapping[Place, FillAsked]) -> None:
    """Add a block to what a replay has come to.

    When nothing is written, a fill that does not come out as it was sealed is no sign of damage if earlier windows of
    its partition were found wrong: it cannot be judged before those are right.
    """
    block = one.block
    done.blocks += 1
    done.events += block.received
    done.equal += one.state == EQUAL
    waits = (
        one.state == DAMAGED
        and place_of_block(block) in unwritten
        and any(block.partition == other.partition for other in done.stale)
    )
    if one.state == STALE or waits:
        done.stale.append(block)
    elif one.state == DAMAGED:
        done.damaged.append(block)
