"""Runs an insert whose data stream in.

They are gathered in a file that has no name, and the engine inserts that file: its own way of taking an insert piece by
piece reports errors of the data, but none of the table (no room, too many parts, a constraint). Nothing has begun when
a client goes away in the middle.
"""

from __future__ import annotations

import errno
import tempfile
from contextlib import suppress
from typing import IO

from runtime.embedded.clickhouse.body import Body
from runtime.embedded.clickhouse.chdb_types import Result
from runtime.embedded.clickhouse.errors import NOT_ENOUGH_SPACE, refusal
from runtime.embedded.clickhouse.front import Front, Lease
from runtime.embedded.clickhouse.request import Ask
from runtime.embedded.clickhouse.room import Room
from runtime.embedded.clickhouse.statement import Statement

# So much of a body is gathered before a thread takes it over; most inserts need one.
BATCH_BYTES = 32 * 1024 * 1024
# No room, and no more room for this user.
FULL = (errno.ENOSPC, errno.EDQUOT)


async def run_insert(front: Front, insert: Insert) -> Result:
    """Insert the data; when this returns they are in the table. Raises ``EngineError``, ``ClientGoneError``."""
    try:
        while not await insert.gather():
            await front.run(insert.push)
        return await front.run(insert.finish)
    finally:
        await front.run(insert.close)


class Insert:
    """One insert on its way."""

    def __init__(self, lease: Lease, ask: Ask, statement: Statement, data: tuple[bytes, Body], room: Room) -> None:
        self._lease = lease
        self._ask = ask
        self._statement = statement
        # What came with the statement is unpacked already, the body is not.
        self._first, self._body = data
        self._room = room
        self._pieces: list[bytes] = []
        self._file: IO[bytes] | None = None

    async def gather(self) -> bool:
        """Wait for a batch of the body; whether that was all."""
        total = 0
        while total < BATCH_BYTES:
            piece = await self._body.next_raw()
            if piece is None:
                return True
            self._pieces.append(piece)
            total += len(piece)
        return False

    def push(self) -> None:
        """Unpack what was gathered and put it into the file; raises ``EngineError`` when there is no room."""
        self._room.check()
        pieces, self._pieces = self._pieces, []
        try:
            file = self._opened()
            for raw in pieces:
                file.write(self._body.decoder.decode(raw))
            file.flush()
        except OSError as error:
            if error.errno not in FULL:
                raise
            raise refusal(NOT_ENOUGH_SPACE, f"The disk is full. Next step: {self._room.next_step}") from None
        self._room.check()

    def finish(self) -> Result:
        """Add the rest, insert the file and wait until it is in the table."""
        self.push()
        self._body.decoder.finish()
        self._lease.settle(self._ask, self._statement)
        file = self._opened()
        file.seek(0)
        sql = self._statement.out_of(f"/dev/fd/{file.fileno()}")
        return self._lease.connection.query(sql, "Null", self._ask.parameters)

    def close(self) -> None:
        """Let the file go."""
        if self._file is not None:
            # What could not be written is of no use.
            with suppress(OSError):
                self._file.close()

    def _opened(self) -> IO[bytes]:
        if self._file is None:
            # On the engine's disk, where the room was checked.
            self._file = tempfile.TemporaryFile(dir=self._room.folder)  # noqa: SIM115 - ``close`` is its end
            self._file.write(self._first)
        return self._file
