"""A disagreement between two places, named so that it can be looked up, counted and mended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

# Along the life of an event: the first finding of an audit is the one nearest to the log.
Code = Literal[
    # The log is shorter than what was sealed from it: it was cut, or made anew under the same id.
    "log_shorter",
    # The log let go of messages that were never sealed.
    "log_expired",
    # Offsets between two blocks, or between the last block and the partition's position, belong to no block.
    "hole",
    # Two blocks claim the same offsets.
    "overlap",
    # A block was announced long ago and never sealed.
    "block_open",
    # What a block says that it received is not what the log holds at its offsets.
    "block_unlike_log",
    # A block's events are not those that were sealed.
    "events_differ",
    # Rows of a block that the ledger does not have.
    "rows_without_block",
    # The ledger's fates of a block are not those of its events.
    "fates_differ",
    # Rejected events and dead letters are not the same.
    "dead_letters_differ",
    # An event is counted more than once.
    "event_doubled",
    # A block's windows are not what its events add up to.
    "windows_differ",
    # All windows of a meter are not what all events add up to.
    "meter_differs",
    # A charge line's quantity is not what the windows add up to at its cut-off.
    "charge_differs",
    # Invoices do not repeat their charge lines, do not add up, or have gaps in their numbers.
    "invoices_differ",
]
Repair = Literal["windows", "block", "hole", "leftovers"]

Place = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Finding:
    """``message`` is a sentence; ``place`` says where; ``events`` are ids of some events behind it.

    ``repair`` names what would mend it, if something would. ``merchant_id`` is empty for what concerns everybody.
    """

    code: Code
    message: str
    place: Place
    events: tuple[str, ...] = ()
    merchant_id: str = ""
    repair: Repair | None = None


@dataclass(frozen=True, slots=True)
class Part:
    """What one check found, and the figures it came to on the way."""

    findings: list[Finding]
    figures: dict[str, int] = field(default_factory=dict)
