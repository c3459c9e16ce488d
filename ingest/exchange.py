"""One request that is answered straight on its connection, without an ASGI application in between."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from http import HTTPStatus
from typing import Protocol

from ingest.metrics import GatewayMetrics
from ingest.pending import Hold
from ingest.problems import Answer
from ingest.request import Head

STATUS_LINES = {
    status.value: b"HTTP/1.1 %d %s\r\n" % (status.value, status.phrase.encode("latin-1")) for status in HTTPStatus
}
GOODBYE = b"connection: close\r\n"


class Wire(Protocol):
    """What an exchange needs of its connection."""

    def write(self, data: bytes) -> None:
        """Send."""

    def close(self) -> None:
        """Send what was written, then close."""

    def is_closing(self) -> bool:
        """Whether nothing can be sent any more."""


class Unawaited:
    """Stands where uvicorn keeps the event that its own requests wait for."""

    def set(self) -> None:
        """Nobody waits."""


UNAWAITED = Unawaited()


class Exchange:
    """A request from its head to its answer. The attributes in the first block are those that uvicorn looks at."""

    __slots__ = (
        "begun_s", "disconnected", "head", "hold", "keep_alive", "merchant_id", "message_event", "metrics",
        "on_response", "pieces", "response_complete", "timer", "wire",
    )  # fmt: skip

    def __init__(
        self,
        wire: Wire,
        on_response: Callable[[], None],
        metrics: GatewayMetrics,
        head: Head,
        merchant_id: str,
        *,
        keep_alive: bool,
    ) -> None:
        self.response_complete = False
        self.disconnected = False
        self.keep_alive = keep_alive
        self.message_event = UNAWAITED

        self.wire = wire
        self.on_response = on_response
        self.metrics = metrics
        self.head = head
        self.merchant_id = merchant_id
        self.hold: Hold | None = None
        self.pieces: list[bytes] = []
        self.begun_s = 0.0
        # Runs while the body is late.
        self.timer: asyncio.TimerHandle | None = None

    def answer(self, answer: Answer) -> None:
        """Write an answer, once; the bytes are those that uvicorn would have written."""
        lines = [b"content-type: %s\r\ncontent-length: %d\r\n" % (answer.content_type, len(answer.body))]
        lines += [b"%s: %s\r\n" % header for header in answer.headers]
        self.answer_written(answer.status, b"".join(lines), answer.body)

    def answer_written(self, status: int, lines: bytes, body: bytes) -> None:
        """``answer`` for headers that are lines already."""
        if self.response_complete:
            return
        self.end()
        self.metrics.count_request(status)
        if self.disconnected or self.wire.is_closing():
            return
        goodbye = b"" if self.keep_alive else GOODBYE
        self.wire.write(b"".join((STATUS_LINES[status], lines, goodbye, b"\r\n", body)))
        if not self.keep_alive:
            self.wire.close()
        self.on_response()

    def end(self) -> None:
        """Nothing is held for it any more."""
        self.response_complete = True
        self.pieces.clear()
        if self.timer:
            self.timer.cancel()
            self.timer = None
        if self.hold:
            self.hold.release()
            self.hold = None
