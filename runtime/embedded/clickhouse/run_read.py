"""Runs a query whose result streams to the client."""

from __future__ import annotations

import asyncio
import tempfile
from dataclasses import dataclass
from secrets import token_hex

from core.logs import get_logger
from runtime.embedded.clickhouse.body import Receive, Send
from runtime.embedded.clickhouse.chdb_types import Result
from runtime.embedded.clickhouse.errors import EngineError
from runtime.embedded.clickhouse.front import Front, Lease
from runtime.embedded.clickhouse.pipe import ResultPipe
from runtime.embedded.clickhouse.reply import (
    Headers,
    chosen_encoding,
    common_headers,
    late_error,
    outfile_compression,
    summary,
)
from runtime.embedded.clickhouse.request import Ask
from runtime.embedded.clickhouse.statement import Statement

# Until so much has come, an error can still become the reply's status.
HELD_BACK_BYTES = 1024 * 1024
HELD_IN_MEMORY_BYTES = 64 * 1024 * 1024
COPY_BYTES = 1024 * 1024


async def run_read(front: Front, lease: Lease, ask: Ask, statement: Statement, io: tuple[Receive, Send]) -> None:
    """Answer with the query's result; raises ``EngineError`` as long as nothing has been sent."""
    encoding = chosen_encoding(ask.accept)
    output_format = statement.output_format or ask.default_format or "TabSeparated"
    pipe = ResultPipe()
    mark = token_hex(16)
    sql = statement.into(pipe.path, outfile_compression(encoding), output_format, mark)

    def job() -> Result:
        try:
            lease.settle(ask, statement)
            result = lease.connection.query(sql, output_format, ask.parameters)
            lease.unspoilt = True
            return result
        finally:
            pipe.finished()

    headers = common_headers(front.server, ask.query_id, output_format)
    if encoding:
        headers.append((b"content-encoding", encoding.encode()))
    running = asyncio.ensure_future(front.run(job))
    reading = Reading(front, lease, pipe, running, headers, io[1])
    watching = asyncio.ensure_future(cancel_when_gone(front, mark, io[0]))
    try:
        await (reading.send_when_complete() if ask.wait_end else reading.send_as_it_comes())
    finally:
        watching.cancel()
        pipe.close()
        await asyncio.wait([running])


@dataclass
class Reading:
    """A query that runs, the pipe that its result comes through, and where it goes."""

    front: Front
    lease: Lease
    pipe: ResultPipe
    running: asyncio.Future[Result]
    headers: Headers
    send: Send

    async def send_when_complete(self) -> None:
        """Hold the whole result back, on disk when it is large, so that every error has its status."""
        with tempfile.SpooledTemporaryFile(HELD_IN_MEMORY_BYTES) as held:
            while piece := await self.pipe.read():
                held.write(piece)
            await self.begin_complete(held.tell())
            held.seek(0)
            while piece := held.read(COPY_BYTES):
                await self.piece(piece)
            await self.end()

    async def send_as_it_comes(self) -> None:
        """Send a small result as a whole, a large one while it is made."""
        pieces, ended = await self.pipe.read_up_to(HELD_BACK_BYTES)
        tag = token_hex(8)
        if ended:
            await self.begin_complete(sum(map(len, pieces)))
        else:
            self.headers.append((b"x-clickhouse-exception-tag", tag.encode()))
            await self.begin()
        for piece in pieces:
            await self.piece(piece)
        if not ended and not await self.pass_on_rest(tag):
            return
        await self.end()

    async def pass_on_rest(self, tag: str) -> bool:
        """Send what still comes; ``False`` when the query failed."""
        while piece := await self.pipe.read():
            await self.piece(piece)
        try:
            await self.running
        except EngineError as error:
            if not any(name == b"content-encoding" for name, _ in self.headers):
                await self.piece(late_error(error, self.front.engine.version, tag))
            # The reply stays without its end, so that no client takes half a result for a whole one.
            get_logger("clickhouse").warning("query_failed_late", code=error.code, text=error.text)
            return False
        self.lease.let_go()
        return True

    async def begin_complete(self, size: int) -> None:
        """Begin the reply with a result that is all there; raises ``EngineError`` when there is none."""
        result = await self.running
        self.lease.let_go()
        self.headers += [
            (b"content-length", str(size).encode()),
            (b"x-clickhouse-summary", summary(result, size)),
        ]
        await self.begin()

    async def begin(self) -> None:
        """Send the status and the headers."""
        await self.send({"type": "http.response.start", "status": 200, "headers": self.headers})

    async def piece(self, data: bytes) -> None:
        """Send the next bytes of the body."""
        await self.send({"type": "http.response.body", "body": data, "more_body": True})

    async def end(self) -> None:
        """Send the end."""
        await self.send({"type": "http.response.body", "body": b""})


async def cancel_when_gone(front: Front, mark: str, receive: Receive) -> None:
    """Stop the query when the client closes its connection: the engine would go on without anybody to read."""
    while (await receive())["type"] != "http.disconnect":
        pass
    await front.run_aside(lambda: front.engine.cancel(mark))
