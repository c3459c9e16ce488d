"""The events of a file into a backfill, through the public door."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sqlalchemy import Engine

from core.clock import Clock
from runtime.corrections.send import post
from runtime.own_key import own_key

KEY_NAME = "backfill from the command line"
EVENTS_AT_ONCE = 1_000
REFUSED_SHOWN_MAX = 1_000


@dataclass(frozen=True, slots=True)
class Filled:
    """How many events the door took, and code and message of those that it refused, by their place in the file."""

    accepted: int
    refused: int
    examples: dict[int, tuple[str, str]]


def send_events(
    books: Engine,
    gateway_url: str,
    merchant: str,
    backfill_id: str,
    *,
    events: Sequence[bytes],
    clock: Clock,
    on_progress: Callable[[int], None] = lambda _count: None,
) -> Filled:
    """Send events (JSON texts) into a merchant's backfill.

    Raises ``Refused`` when the backfill takes none, and ``Transient``. Sending the same file again adds nothing.
    """
    accepted, refused, examples = 0, 0, dict[int, tuple[str, str]]()
    with own_key(books, merchant, clock, KEY_NAME) as key:
        for first in range(0, len(events), EVENTS_AT_ONCE):
            batch = events[first : first + EVENTS_AT_ONCE]
            body = b"[" + b",".join(batch) + b"]"
            verdict = asyncio.run(post(f"{gateway_url}/v1/backfills/{backfill_id}/events", key, body, clock))
            accepted += verdict.accepted
            refused += len(verdict.refused)
            for index, why in verdict.refused.items():
                if len(examples) < REFUSED_SHOWN_MAX:
                    examples[first + index] = why
            on_progress(len(batch))
    return Filled(accepted, refused, examples)
