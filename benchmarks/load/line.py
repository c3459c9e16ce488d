"""One kept-alive connection that has at most one request under way."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import cast

from benchmarks.load.wire import Answer, read_answer

SEND_BUFFER_BYTES = 1 << 20


@dataclass(eq=False, slots=True)
class Job:
    """A request on its way. ``stripe`` is that of the pool whose bytes it is, none for bytes of its own."""

    data: memoryview
    round: int
    request: int
    merchant: int
    due_s: float
    stripe: int | None = None
    sent_s: float = 0.0
    tries: int = 0
    statuses: list[int] = field(default_factory=list)


# The answer, or None when the connection was lost without one.
OnAnswer = Callable[["Line", Job, Answer | None], None]


class Line(asyncio.Protocol):
    """Connects once; ``on_answer`` is called for each request that was sent."""

    def __init__(self, on_answer: OnAnswer) -> None:
        self.on_answer = on_answer
        self.transport: asyncio.Transport | None = None
        self.buffer = b""
        self.job: Job | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A whole body then goes out in one call."""
        # uvloop's transports are not asyncio's by inheritance.
        self.transport = cast("asyncio.Transport", transport)
        raw: socket.socket = transport.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)

    @property
    def is_open(self) -> bool:
        """Whether a request can be sent."""
        return self.transport is not None and not self.transport.is_closing()

    def send(self, job: Job) -> None:
        """Send a request; the connection must be open and idle."""
        assert self.transport is not None
        assert self.job is None, "one request at a time"
        self.job = job
        self.transport.write(job.data)

    def data_received(self, data: bytes) -> None:
        """Bytes of an answer."""
        self.buffer += data
        answer = read_answer(self.buffer)
        if answer is None or self.job is None:
            return
        self.buffer = self.buffer[answer.size :]
        job, self.job = self.job, None
        assert self.transport is not None
        # Answered before all of it was taken: what is left must not be sent from bytes that soon say something else.
        if answer.closes or self.transport.get_write_buffer_size():
            self.transport.abort()
        self.on_answer(self, job, answer)

    def connection_lost(self, exc: Exception | None) -> None:
        """Whatever was under way has no answer."""
        del exc
        job, self.job = self.job, None
        self.transport = None
        if job is not None:
            self.on_answer(self, job, None)

    def close(self) -> None:
        """Let go of the connection."""
        if self.transport is not None:
            self.transport.close()
