"""A block's windows made again from what is stored: one function chooses by what the block holds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from runtime.audit.blocks import Block
from runtime.audit.read_rows import Rows
from runtime.audit.rebuild import digest_of_rows, windows_again
from runtime.audit.rebuild_corrected import Earlier, alone_from_events
from streams.compiled import Compiled
from streams.rows import EVENTS

# What to do with a block: nothing, write its windows, or leave it because its events are not those that were sealed.
EQUAL, STALE, DAMAGED = "equal", "stale", "damaged"


@dataclass(frozen=True, slots=True)
class Judged:
    """A block, how it stands, and its rows as they should be (as they are, when it is damaged)."""

    block: Block
    state: str
    rows: Rows


@dataclass(frozen=True, slots=True)
class Sources:
    """What rows are made again from, beside a block's own events. Raises ``Stop`` when something stays away."""

    catalog: Callable[[int], Compiled]
    earlier: Earlier


def judge(block: Block, stored: Rows, sources: Sources) -> Judged:
    """Make a block's windows again and hold them against the seal, then against what is stored."""
    again = rows_again(block, stored, sources)
    if digest_of_rows(again) != block.digest:
        return Judged(block, DAMAGED, stored)
    same = all(again[table].equals(stored[table]) for table in again) or digest_of_rows(stored) == block.digest
    return Judged(block, EQUAL if same else STALE, again)


def rows_again(block: Block, stored: Rows, sources: Sources) -> Rows:
    """The block's events with the windows and distinct values that they make.

    Corrections and fills say windows anew from earlier blocks; what they read of windows must be right by then.
    """
    catalog = sources.catalog(block.catalog_version)
    again = alone_from_events(stored, block, catalog, sources.earlier)
    return windows_again(stored[EVENTS], block, catalog) if again is None else again
