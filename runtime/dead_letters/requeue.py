"""Sends the events of dead letters again, mended, through the public door and under the ids that they had.

    1. begin   the decision and the properties to set are written down
    2. send    with a key that is made for this, and ended after it
    3. end     accepted letters are requeued; refused ones wait again

A crash between 1 and 3 leaves letters that are being sent: the next requeue sends the very same events, of which the
stream keeps one. An event that the stream rejects once more becomes a new letter.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import Engine

from core.clock import Clock
from core.db import transaction
from runtime.dead_letters.decide import begin_requeue, end_requeue
from runtime.dead_letters.letters import Letter
from runtime.own_key import own_key
from runtime.traffic.connection import Connection, Target
from runtime.traffic.deliver import Verdict, deliver

KEY_NAME = "requeue of dead letters"
EVENTS_AT_ONCE = 500
GIVE_UP_S = 60.0

OnStep = Callable[[str], None]
Why = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Requeued:
    """What became of letters, by id: accepted by the door, refused with code and message, requeued before."""

    accepted: tuple[str, ...]
    refused: dict[str, Why]
    before: tuple[str, ...]


def requeue(
    books: Engine,
    gateway_url: str,
    clock: Clock,
    ids: Sequence[str],
    changes: Mapping[str, str],
    *,
    on_step: OnStep = lambda _step: None,
) -> Requeued:
    """Send letters again with some properties set; safe to repeat, also after it was killed.

    Raises what ``begin_requeue`` raises, and ``Transient`` when the gateway gives no answer: then some letters are
    left as being sent, and the same call finishes them.
    """
    with transaction(books) as connection:
        letters = begin_requeue(connection, ids, changes)
    sent = {letter.dead_letter_id for letter in letters}
    accepted: list[str] = []
    refused: dict[str, Why] = {}
    for merchant, some in by_merchant(letters):
        with own_key(books, merchant, clock, KEY_NAME) as key:
            for first in range(0, len(some), EVENTS_AT_ONCE):
                batch = some[first : first + EVENTS_AT_ONCE]
                on_step("send")
                verdict = asyncio.run(send(gateway_url, key, [event_of(letter) for letter in batch], clock))
                on_step("end")
                bad = {batch[index].dead_letter_id: why for index, why in verdict.refused.items()}
                good = [letter.dead_letter_id for letter in batch if letter.dead_letter_id not in bad]
                with transaction(books) as connection:
                    end_requeue(connection, good, list(bad))
                accepted += good
                refused |= bad
    return Requeued(tuple(accepted), refused, tuple(one for one in dict.fromkeys(ids) if one not in sent))


def by_merchant(letters: Sequence[Letter]) -> Iterator[tuple[str, list[Letter]]]:
    """Letters by their merchant's code."""
    groups: dict[str, list[Letter]] = defaultdict(list)
    for letter in letters:
        groups[letter.merchant].append(letter)
    yield from sorted(groups.items())


def event_of(letter: Letter) -> dict[str, Any]:
    """The event of a letter with its changes, in the plain form: the same id and source, and so the same key."""
    assert letter.payload is not None, "letters without an event are refused before"
    return {**letter.payload, "properties": {**letter.payload["properties"], **letter.changes}}


async def send(gateway_url: str, key: str, events: Sequence[dict[str, Any]], clock: Clock) -> Verdict:
    """Post events until the door answers; raises ``Transient`` when it does not."""
    # Letters may have waited for longer than the door's usual limit.
    connection = Connection(Target.of(f"{gateway_url}/v1/events?backfill=true"))
    try:
        return await deliver(
            connection,
            b"Authorization: Bearer %s\r\nContent-Type: application/json\r\n" % key.encode(),
            orjson.dumps(events),
            clock=clock,
            give_up_at_s=clock.steady_s() + GIVE_UP_S,
            on_retry=lambda _maybe_stored: None,
        )
    finally:
        await connection.close()
