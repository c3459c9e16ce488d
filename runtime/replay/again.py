"""A block's windows made again from what is stored: one function chooses by what the block holds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from runtime.audit.blocks import Block
from runtime.audit.read_rows import Rows
from runtime.audit.rebuild import digest_of_rows, windows_again
from runtime.audit.rebuild_corrected import Earlier, alone_from_events
from runtime.replay.read import TableRead, prints_of
from streams.compiled import Compiled
from streams.rows import EVENTS, UNIQUES, WINDOWS
from streams.texts import U64

MADE = (WINDOWS, UNIQUES)
# What to do with a block: nothing, write its windows, or leave it because its events are not those that were sealed.
EQUAL, STALE, DAMAGED = "equal", "stale", "damaged"


@dataclass(frozen=True, slots=True)
class Judged:
    """A block and how it stands.

    Of a stale one also which tables have rows of it, the rows as they should be, and the prints of these.
    """

    block: Block
    state: str
    had: frozenset[str] = frozenset()
    rows: Mapping[str, pa.Table] = field(default_factory=dict)
    prints: Mapping[str, U64] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Sources:
    """What rows are made again from, beside a block's own events. Raises ``Stop`` when something stays away."""

    catalog: Callable[[int], Compiled]
    earlier: Earlier


def judge(block: Block, stored: Mapping[str, TableRead], sources: Sources) -> Judged:
    """Make a block's windows again and hold them against the seal, then against what is stored."""
    again = rows_again(block, {EVENTS: stored[EVENTS].of_block(block)}, sources)
    if digest_of_rows(again) != block.digest:
        return Judged(block, DAMAGED)
    prints = {table: prints_of(again[table]) for table in MADE}
    there = {table: stored[table].of_block(block) for table in MADE}
    if all(np.array_equal(prints_of(there[table]), prints[table]) for table in MADE):
        return Judged(block, EQUAL)
    had = frozenset(table for table in MADE if there[table].num_rows)
    return Judged(block, STALE, had, {table: again[table] for table in MADE}, prints)


def rows_again(block: Block, stored: Rows, sources: Sources) -> Rows:
    """The block's events with the windows and distinct values that they make.

    Corrections and fills say windows anew from earlier blocks; what they read of windows must be right by then.
    """
    catalog = sources.catalog(block.catalog_version)
    again = alone_from_events(stored, block, catalog, sources.earlier)
    return windows_again(stored[EVENTS], block, catalog) if again is None else again
