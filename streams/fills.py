"""Fills that were done: which rule measures an event that was stored before one."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Fill:
    """A meter counted a partition's events of [``starts_at``, ``ends_at``) anew, under ``catalog_version``.

    It did so for the events stored before ``filled_at``, the time of its block.
    """

    fill_id: str
    merchant_id: str
    meter_id: str
    starts_at: datetime
    ends_at: datetime
    catalog_version: int
    filled_at: datetime
