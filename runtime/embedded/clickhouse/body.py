"""The body of a request, read piece by piece as the server hands it over, and unpacked."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from runtime.embedded.clickhouse.decoding import Decoder, decoder_for
from runtime.embedded.clickhouse.errors import QUERY_IS_TOO_LARGE, refusal

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

QUERY_BYTES_MAX = 16 * 1024 * 1024


class ClientGoneError(Exception):
    """The client closed the connection before its body was complete."""


class Body:
    """``next_raw`` gives pieces as sent, ``decoder`` unpacks them; ``next_text`` does both."""

    def __init__(self, receive: Receive, encoding: str) -> None:
        self._receive = receive
        self._more = True
        self.decoder: Decoder = decoder_for(encoding)

    async def next_raw(self) -> bytes | None:
        """The next piece as sent, maybe empty; ``None`` at the end. Raises ``ClientGoneError``."""
        if not self._more:
            return None
        message = await self._receive()
        if message["type"] != "http.request":
            raise ClientGoneError
        self._more = message.get("more_body", False)
        piece: bytes = message.get("body", b"")
        return piece

    async def next_plain(self) -> bytes | None:
        """The next piece unpacked; ``None`` at the end. Raises ``EngineError`` for a body that cannot be unpacked."""
        raw = await self.next_raw()
        if raw is None:
            self.decoder.finish()
            return None
        return self.decoder.decode(raw)

    async def rest(self) -> bytes:
        """All that is left, unpacked; raises ``EngineError`` when it is too long for a statement."""
        pieces = []
        total = 0
        while (piece := await self.next_plain()) is not None:
            total += len(piece)
            if total > QUERY_BYTES_MAX:
                raise refusal(QUERY_IS_TOO_LARGE, f"The query is longer than {QUERY_BYTES_MAX} bytes")
            pieces.append(piece)
        return b"".join(pieces)
