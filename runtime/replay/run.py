"""Replays: windows made again from the stored events of their blocks, compared, and written where they differ."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from dataclasses import replace as with_fields
from functools import partial
from time import sleep

from core.db import transaction
from ingest.correction import FillAsked
from runtime.audit.blocks import Block, load_blocks
from runtime.audit.read_rows import Rows, read_rows, rows_of_block
from runtime.audit.rebuild_corrected import Earlier
from runtime.audit.repair_ledger import sole_repair, without_close
from runtime.audit.run import AuditParts
from runtime.audit.scope import open_scope
from runtime.replay.again import DAMAGED, EQUAL, STALE, Judged, Sources, judge
from runtime.replay.choose import Place, Wanted, choose, load_fills, place_of_block
from runtime.replay.write import Stores, write_windows
from streams.catalog_cache import CatalogCache
from streams.compiled import Compiled
from streams.retry import Retry, RetryPolicy
from streams.rows import UNIQUES, WINDOWS


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
        batches = retry("choosing blocks", lambda: choose_blocks(parts, wanted, fills))
        watcher.total(sum(block.received for some in batches for block in some))
        for some in batches:
            found = list(judge_all(stores, some, sources))
            count(done, found, {} if write else fills)
            if write:
                put_right(stores, found)
            watcher.done(sum(block.received for block in some))
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


def choose_blocks(parts: AuditParts, wanted: Wanted, fills: Mapping[Place, FillAsked]) -> list[list[Block]]:
    """The wanted blocks among those that are sealed now."""
    scope = open_scope(parts.books, parts.topic, parts.clock.now())
    with transaction(parts.books) as connection:
        sealed = load_blocks(connection, scope)
    return choose(parts.store, wanted, sealed, fills)


@dataclass(frozen=True, slots=True)
class Found:
    """A block as it was judged, and how many rows its tables had of it."""

    judged: Judged
    had: dict[str, int]


def judge_all(stores: Stores, some: list[Block], sources: Sources) -> Iterator[Found]:
    """Read neighbouring blocks and judge each."""
    first, last = some[0], some[-1]
    rows: Rows = stores.retry(
        "reading blocks",
        lambda: read_rows(stores.usage, first.incarnation, first.partition, first.first_offset, last.first_offset),
    )
    for block in some:
        own = rows_of_block(rows, block.first_offset)
        judged = stores.retry("reading what lay before", partial(judge, block, own, sources))
        yield Found(judged, {table: own[table].num_rows for table in (WINDOWS, UNIQUES)})


def count(done: Replayed, found: list[Found], unwritten: Mapping[Place, FillAsked]) -> None:
    """Add some blocks to what a replay has come to.

    When nothing is written, a fill that does not come out as it was sealed is no sign of damage if earlier windows of
    its partition were found wrong: it cannot be judged before those are right.
    """
    wrong = {block.partition for block in done.stale}
    for one in found:
        block, state = one.judged.block, one.judged.state
        done.blocks += 1
        done.events += block.received
        done.equal += state == EQUAL
        waits = state == DAMAGED and place_of_block(block) in unwritten and block.partition in wrong
        if state == STALE or waits:
            done.stale.append(block)
        elif state == DAMAGED:
            done.damaged.append(block)


def put_right(stores: Stores, found: list[Found]) -> None:
    """Write the windows of those blocks that are stale."""
    stale = [one for one in found if one.judged.state == STALE]
    if stale:
        had = {table: any(one.had[table] for one in stale) for table in (WINDOWS, UNIQUES)}
        write_windows(stores, [one.judged for one in stale], had)
