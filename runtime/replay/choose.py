"""Which blocks a replay makes again: all of a topic, or those with events in a span, of a merchant, of a partition."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import chain, groupby

from clickhouse.client import UsageStore
from ingest.correction import FillAsked
from runtime.audit.blocks import Block, Place, place_of_block

# A pass reads so many bytes of events at once, or one block. Each looks through the parts in which its rows lie: few
# large ones cost less than many small ones. These are 700,000 events or more.
BYTES_AT_ONCE = 200_000_000
# Half of a part's rows cost as much to look through as all of them: a part so many times larger is still read at once.
PART_TIMES_MAX = 2
# Each is a condition of its own on every row that is looked through.
RUNS_AT_ONCE = 32
PARTS = """
    SELECT toInt64(incarnation) AS incarnation, toInt64(partition) AS partition, toInt64(block_first) AS first_offset,
        toString(_part) AS part
    FROM usage_events GROUP BY incarnation, partition, block_first, part ORDER BY count()
"""
# What is read at once: runs of blocks of one partition each.
Pass = list[list[Block]]
BYTES_AND_ROWS = """
    SELECT sum(data_uncompressed_bytes) AS bytes, sum(rows) AS rows
    FROM system.parts WHERE active AND database = currentDatabase() AND table = 'usage_events'
"""
PLACES = """
    SELECT DISTINCT toInt64(incarnation) AS incarnation, toInt64(partition) AS partition,
        toInt64(block_first) AS first_offset
    FROM usage_events WHERE {conditions}
"""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to make again: events that occurred from ``since`` on and before ``until``. None leaves a side open."""

    topic: str
    since: datetime | None = None
    until: datetime | None = None
    merchant_id: str | None = None
    partition: int | None = None

    @property
    def all_events(self) -> bool:
        """Whether a block belongs to it whatever its events are."""
        return self.since is None and self.until is None and self.merchant_id is None

    def fills(self, asked: FillAsked) -> bool:
        """Whether a fill said windows of the span and merchant anew."""
        begun = self.until is None or asked.starts_at < self.until
        ended = self.since is not None and asked.ends_at <= self.since
        return begun and not ended and self.merchant_id in {None, asked.merchant_id}


def choose(store: UsageStore, wanted: Wanted, sealed: list[Block], fills: Mapping[Place, FillAsked]) -> list[Pass]:
    """The blocks to make again among all that are ``sealed``, in passes: each is read at once, one after the other.

    Raises ``Transient``. A block is chosen by the events that are stored of it: one that has lost them all is
    chosen only when everything is. A block that filled a meter comes alone: those before it must be right by then.
    """
    here = sealed if wanted.partition is None else [block for block in sealed if block.partition == wanted.partition]
    if wanted.all_events:
        return list(passes(list(neighbours(here, None)), fills, events_at_once(store), parts_of(store)))
    places = places_of(store, wanted) | {place for place, asked in fills.items() if wanted.fills(asked)}
    return list(passes(list(neighbours(here, places)), fills, events_at_once(store), {}))


def events_at_once(store: UsageStore) -> int:
    """How many events of the size that they have on the average a pass may read."""
    stored_bytes, rows = store.query_frame(BYTES_AND_ROWS).row(0)
    return int(BYTES_AT_ONCE * max(rows, 1) // max(stored_bytes, 1))


def parts_of(store: UsageStore) -> dict[Place, str]:
    """The part in which most of each block's events lie now."""
    return {(row[0], row[1], row[2]): row[3] for row in store.query_frame(PARTS).iter_rows()}


def places_of(store: UsageStore, wanted: Wanted) -> set[Place]:
    """Incarnation, partition and first offset of each block that holds events of the span and merchant."""
    conditions = {
        "occurred_at >= {since:DateTime64(6, 'UTC')}": ("since", wanted.since),
        "occurred_at < {until:DateTime64(6, 'UTC')}": ("until", wanted.until),
        "merchant_id = {merchant_id:String}": ("merchant_id", wanted.merchant_id),
    }
    asked = {text: pair for text, pair in conditions.items() if pair[1] is not None}
    found = store.query_frame(PLACES.replace("{conditions}", " AND ".join(asked)), dict(asked.values()))
    return set(found.iter_rows())


def neighbours(blocks: Iterable[Block], places: set[Place] | None) -> Iterator[list[Block]]:
    """The blocks at some places, in lists of one partition between which other blocks lie."""
    run: list[Block] = []
    for block in blocks:
        chosen = places is None or place_of_block(block) in places
        if run and (not chosen or place_of_block(run[-1])[:2] != place_of_block(block)[:2]):
            yield run
            run = []
        if chosen:
            run.append(block)
    if run:
        yield run


def passes(
    runs: Sequence[list[Block]], fills: Mapping[Place, FillAsked], events_max: int, part_of: Mapping[Place, str]
) -> Iterator[Pass]:
    """Runs of neighbours in passes, with those blocks that filled a meter in passes of their own.

    In the order in which blocks were made, across partitions, those of a part of ClickHouse together: few rows are then
    read for nothing.
    """
    run_of = {place_of_block(block): number for number, run in enumerate(runs) for block in run}
    in_time = sorted(chain.from_iterable(runs), key=lambda block: (block.intended_at, place_of_block(block)))

    def fill_at(block: Block) -> Place | None:
        place = place_of_block(block)
        return place if place in fills else None

    for _place, some in groupby(in_time, fill_at):
        yield from bounded(by_part(some, part_of), run_of, events_max)


def by_part(blocks: Iterable[Block], part_of: Mapping[Place, str]) -> Iterable[list[Block]]:
    """Blocks in lists of those that share a part; each by itself of which that is not known."""
    found: dict[Place | str, list[Block]] = defaultdict(list)
    for block in blocks:
        place = place_of_block(block)
        found[part_of.get(place, place)].append(block)
    return found.values()


def bounded(groups: Iterable[list[Block]], run_of: Mapping[Place, int], events_max: int) -> Iterator[Pass]:
    """Groups that follow each other in passes that are not too large; one that is so by itself in several.

    A single block is never parted.
    """
    found: dict[int, list[Block]] = {}
    events = 0
    for group in groups:
        whole = sum(block.received for block in group)
        most = max(events_max, min(whole, PART_TIMES_MAX * events_max)) if len(group) > 1 else events_max
        for number, block in enumerate(group):
            run = run_of[place_of_block(block)]
            full = events + (block.received if number else whole) > (most if number else events_max)
            if found and (full or len(found) + (run not in found) > RUNS_AT_ONCE):
                yield list(found.values())
                found, events = {}, 0
            found.setdefault(run, []).append(block)
            events += block.received
    if found:
        yield list(found.values())
