"""One kept-alive HTTP/1.1 connection for posting bodies: asyncio streams and httptools, a few microseconds a call."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import httptools

READ_BYTES = 65_536


@dataclass(frozen=True, slots=True)
class Target:
    """Where to post: ``path`` includes the query."""

    host: str
    port: int
    path: str

    @staticmethod
    def of(url: str) -> Target:
        """Read an ``http://host:port/path?query`` address."""
        parts = urlsplit(url)
        if parts.scheme != "http" or not parts.hostname:
            raise ValueError(f"{url!r} is not an http:// address")
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        return Target(parts.hostname, parts.port or 80, path)


@dataclass(slots=True)
class Answer:
    """A response, filled in by the parser."""

    status: int = 0
    headers: dict[bytes, bytes] = field(default_factory=dict)
    body: bytes = b""
    done: bool = False
    keep_alive: bool = True


class _Reading:
    """The parser's callbacks for one response."""

    def __init__(self) -> None:
        self.answer = Answer()
        self.parser = httptools.HttpResponseParser(self)

    def on_header(self, name: bytes, value: bytes) -> None:
        self.answer.headers[name.lower()] = value

    def on_body(self, body: bytes) -> None:
        self.answer.body += body

    def on_message_complete(self) -> None:
        self.answer.done = True
        self.answer.status = self.parser.get_status_code()
        self.answer.keep_alive = self.parser.should_keep_alive()


class Connection:
    """A connection that opens itself on first use and again after a loss. Not for concurrent use."""

    def __init__(self, target: Target, timeout_s: float = 30.0) -> None:
        self.target = target
        self.timeout_s = timeout_s
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def post(self, headers: bytes, body: bytes) -> Answer:
        """Post a body; ``headers`` are whole header lines, each ending in CRLF.

        Raises ``OSError`` (``TimeoutError`` included) when no whole answer came: the server may have acted or not.
        """
        head = b"POST %s HTTP/1.1\r\nHost: %s:%d\r\nContent-Length: %d\r\n%s\r\n" % (
            self.target.path.encode(),
            self.target.host.encode(),
            self.target.port,
            len(body),
            headers,
        )
        try:
            async with asyncio.timeout(self.timeout_s):
                return await self._exchange(head, body)
        except (OSError, asyncio.IncompleteReadError, httptools.HttpParserError) as error:
            await self.close()
            if isinstance(error, OSError):
                raise
            raise ConnectionResetError(f"no whole answer: {error}") from error
        except asyncio.CancelledError:
            await self.close()
            raise

    async def _exchange(self, head: bytes, body: bytes) -> Answer:
        if self._streams is None:
            self._streams = await asyncio.open_connection(self.target.host, self.target.port, limit=2**20)
        reader, writer = self._streams
        writer.writelines((head, body))
        reading = _Reading()
        # The server may answer before it has read the whole body (413, 429) and then close, so read while writing.
        while not reading.answer.done:
            chunk = await reader.read(READ_BYTES)
            if not chunk:
                raise ConnectionResetError("the server closed the connection without a whole answer")
            reading.parser.feed_data(chunk)
        if not reading.answer.keep_alive:
            await self.close()
        return reading.answer

    async def close(self) -> None:
        """Close the connection, if it is open."""
        if self._streams is None:
            return
        writer = self._streams[1]
        self._streams = None
        writer.close()
        try:
            await writer.wait_closed()
        except OSError:
            return
