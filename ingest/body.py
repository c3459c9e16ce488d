"""Reading a request's body: packed bytes up to their cap, then unfolded up to theirs, with memory flat throughout."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from core.errors import Refused
from core.limits import BODY_BYTES_MAX, DECOMPRESSED_BYTES_MAX
from ingest.pending import Hold
from ingest.request import Head
from ingest.unpack import unpack

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]

# Unfolding goes on for this long before others get their turn.
STEPS_AT_ONCE = 4
# A body that is refused is read away up to here, so that its sender comes to read the answer.
DRAIN_BYTES_MAX = 4 * BODY_BYTES_MAX
DRAIN_S = 2.0


class SenderGone(Exception):
    """The sender closed the connection before its body was whole."""


class Incoming:
    """A request's body as it arrives; knows when all of it has been taken, after which waiting would be in vain."""

    def __init__(self, receive: Receive) -> None:
        self.receive = receive
        self.ended = False

    async def next_piece(self) -> bytes:
        """The next piece, possibly empty; raises ``SenderGone``."""
        message = await self.receive()
        if message["type"] == "http.disconnect":
            self.ended = True
            raise SenderGone
        self.ended = not message.get("more_body", False)
        piece: bytes = message.get("body", b"")
        return piece


async def read_body(incoming: Incoming, head: Head, hold: Hold, time_limit_s: float) -> bytes:
    """Read and unfold a body.

    Raises ``Refused`` (400, 408, 413), ``Busy`` when there is no room for it, or ``SenderGone``.
    """
    try:
        async with asyncio.timeout(time_limit_s):
            packed = await read_packed(incoming, hold)
    except TimeoutError:
        raise body_too_slow(time_limit_s) from None
    if head.encoding == "identity":
        return packed
    pieces: list[bytes] = []
    for count, step in enumerate(unpack(packed, head.encoding, DECOMPRESSED_BYTES_MAX)):
        hold.grow(len(step))
        pieces.append(step)
        if count % STEPS_AT_ONCE == STEPS_AT_ONCE - 1:
            await asyncio.sleep(0)
    return b"".join(pieces)


async def read_packed(incoming: Incoming, hold: Hold) -> bytes:
    """The bytes as they were sent."""
    room = BODY_BYTES_MAX
    pieces: list[bytes] = []
    while not incoming.ended:
        piece = await incoming.next_piece()
        room -= len(piece)
        if room < 0:
            raise Refused("body_too_large", f"a body may take {BODY_BYTES_MAX} bytes; send it in several requests", 413)
        # What was announced is not counted before it comes: a sender that stalls must not take others' room.
        hold.grow(len(piece))
        pieces.append(piece)
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def body_too_slow(time_limit_s: float) -> Refused:
    """What a sender is told that takes too long."""
    return Refused("body_too_slow", f"the body did not arrive within {time_limit_s:g} seconds", 408)


async def drain(incoming: Incoming) -> None:
    """Read away what is left of a refused body, within bounds: closing at once would cut off the answer."""
    room = DRAIN_BYTES_MAX
    try:
        async with asyncio.timeout(DRAIN_S):
            while room > 0 and not incoming.ended:
                room -= len(await incoming.next_piece())
    except (TimeoutError, SenderGone):
        return
