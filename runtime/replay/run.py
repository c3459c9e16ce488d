"""Replays: windows made again from the stored events of their blocks, compared, and written where they differ."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from dataclasses import replace as with_fields
from functools import partial
from time import sleep

from core.db import transaction
from ingest.correction import FillAsked
from runtime.audit.blocks import Block, load_blocks, together
from runtime.audit.rebuild_corrected import Earlier
from runtime.audit.repair_ledger import sole_repair, without_close
from runtime.audit.run import AuditParts
from runtime.audit.scope import open_scope
from runtime.replay.again import DAMAGED, EQUAL, STALE, Judged, Sources, judge
from runtime.replay.choose import Pass, Place, Wanted, choose, load_fills, place_of_block
from runtime.replay.read import TableRead, read_table
from runtime.replay.write import Stores, Written, prove, write_windows
from streams.catalog_cache import CatalogCache
from streams.compiled import Compiled
from streams.retry import Retry, RetryPolicy
from streams.rows import TABLES

# One computes while the other waits for a store.
THREADS = 2
# Of so many events, or of one block, windows are made and inserted together.
ROWS_AT_ONCE = 200_000
Stored = Mapping[str, TableRead]


@dataclass
class Replayed:
    """What a replay has come to. ``stale`` blocks are those that it wrote, or would have written."""

    blocks: int = 0
    events: int = 0
    equal: int = 0
    stale: list[Block] = field(default_factory=list)
    damaged: list[Block] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Watcher:
    """Who hears of a replay as it goes: how many events it will read, and after a while that so many more are done."""

    total: Callable[[int], object] = lambda _events: None
    done: Callable[[int], object] = lambda _events: None


def replay(parts: AuditParts, wanted: Wanted, *, write: bool, watcher: Watcher | None = None) -> Replayed:
    """Make the windows of the wanted blocks again; with ``write`` put those right that differ.

    A block whose events are not those that were sealed is left as it is: nothing proves what its windows were.
    Raises ``Conflict`` while a repair or a close runs, ``Transient`` or ``Stop`` when a store does not answer. It
    can be stopped anywhere and done again.
    """
    parts, watcher = with_fields(parts, topic=wanted.topic), watcher or Watcher()
    retry = Retry(RetryPolicy(), parts.clock, sleep)
    stores = Stores(parts.books, parts.store, parts.topic, retry)
    done = Replayed()
    with alone(parts) if write else ExitStack():
        sources, fills = open_sources(parts, retry), retry("reading fills", lambda: load_asked(parts))
        chosen = retry("choosing blocks", lambda: choose_blocks(parts, wanted, fills))
        watcher.total(sum(block.received for some in chosen for run in some for block in run))
        with ThreadPoolExecutor(THREADS, "replay") as threads, closing(read_ahead(stores, chosen)) as passes:
            proof = threads.submit(prove, stores, [], [])
            for some, stored in passes:
                work = partial(work_through, stores, stored, sources, write=write)
                written: list[Written] = []
                for judged, wrote in threads.map(work, [few for run in some for few in together(run, ROWS_AT_ONCE)]):
                    count(done, judged, {} if write else fills)
                    written += wrote
                    watcher.done(sum(one.block.received for one in judged))
                # What one pass wrote is read back while the next is worked on.
                proof.result()
                proof = threads.submit(prove, stores, some, written)
            proof.result()
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


def work_through(
    stores: Stores, stored: Stored, sources: Sources, few: list[Block], *, write: bool
) -> tuple[list[Judged], list[Written]]:
    """Judge neighbouring blocks, and with ``write`` write those that are stale; how they stood, without their rows."""
    judged = [stores.retry("reading what lay before", partial(judge, block, stored, sources)) for block in few]
    stale = [one for one in judged if one.state == STALE]
    written = write_windows(stores, stale) if write and stale else []
    return [Judged(one.block, one.state) for one in judged], written


def count(done: Replayed, found: list[Judged], unwritten: Mapping[Place, FillAsked]) -> None:
    """Add some blocks to what a replay has come to.

    When nothing is written, a fill that does not come out as it was sealed is no sign of damage if earlier windows of
    its partition were found wrong: it cannot be judged before those are right.
    """
    wrong = {block.partition for block in done.stale}
    for one in found:
        block, state = one.block, one.state
        done.blocks += 1
        done.events += block.received
        done.equal += state == EQUAL
        waits = state == DAMAGED and place_of_block(block) in unwritten and block.partition in wrong
        if state == STALE or waits:
            done.stale.append(block)
        elif state == DAMAGED:
            done.damaged.append(block)
