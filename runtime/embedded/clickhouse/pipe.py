"""The engine writes a result into one end of a pipe while the event loop reads the other: memory stays bounded."""

from __future__ import annotations

import asyncio
import fcntl
import os
import sys
from contextlib import suppress

READ_BYTES = 1024 * 1024
PIPE_BYTES = 1024 * 1024


class ResultPipe:
    """``path`` is what the engine opens; ``finished`` is called, from any thread, when it has written all."""

    def __init__(self) -> None:
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._reader, False)
        if sys.platform == "linux":
            # More than the system's bound for ordinary users is refused; the smaller pipe works as well.
            with suppress(PermissionError):
                fcntl.fcntl(self._writer, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        self.path = f"/dev/fd/{self._writer}"

    def finished(self) -> None:
        """Let the reader see the end."""
        os.close(self._writer)

    async def read(self) -> bytes:
        """Wait for the next bytes; empty at the end."""
        while True:
            try:
                return os.read(self._reader, READ_BYTES)
            except BlockingIOError:
                await self._readable()

    async def read_up_to(self, size: int) -> tuple[list[bytes], bool]:
        """Read until the end or until ``size`` bytes are there; the pieces, and whether it was the end."""
        pieces: list[bytes] = []
        total = 0
        while total < size:
            piece = await self.read()
            if not piece:
                return pieces, True
            pieces.append(piece)
            total += len(piece)
        return pieces, False

    def close(self) -> None:
        """Stop reading; an engine that still writes gets an error and stops."""
        os.close(self._reader)

    async def _readable(self) -> None:
        loop = asyncio.get_running_loop()
        ready: asyncio.Future[None] = loop.create_future()
        loop.add_reader(self._reader, lambda: None if ready.done() else ready.set_result(None))
        try:
            await ready
        finally:
            loop.remove_reader(self._reader)
