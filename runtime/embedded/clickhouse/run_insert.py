"""Runs an insert whose data stream in."""

from __future__ import annotations

from runtime.embedded.clickhouse.body import Body
from runtime.embedded.clickhouse.chdb_types import Result
from runtime.embedded.clickhouse.front import Front, Lease
from runtime.embedded.clickhouse.request import PARAMETER, Ask
from runtime.embedded.clickhouse.statement import Statement

# So much of a body is gathered before a thread takes it over; most inserts need one.
BATCH_BYTES = 32 * 1024 * 1024


async def run_insert(front: Front, insert: Insert) -> Result:
    """Insert the data; when this returns they are in the table. Raises ``EngineError``, ``ClientGoneError``."""
    try:
        ended = await insert.gather()
        await front.run(insert.begin)
        while not ended:
            await front.run(insert.push)
            ended = await insert.gather()
        return await front.run(insert.finish)
    except BaseException:
        await front.run(insert.abandon)
        raise


class Insert:
    """One insert on its way."""

    def __init__(self, lease: Lease, ask: Ask, statement: Statement, data: tuple[bytes, Body]) -> None:
        self._lease = lease
        self._connection = lease.connection
        self._ask = ask
        self._statement = statement
        # What came with the statement is unpacked already, the body is not.
        self._first, self._body = data
        self._pieces: list[bytes] = []
        self._handle: object | None = None

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

    def begin(self) -> None:
        """Open the insert."""
        self._lease.settle(self._ask, self._statement)
        # The engine takes no values along with an insert; they stay on the connection, where only inserts see them.
        self._connection.apply({PARAMETER + name: value for name, value in self._ask.parameters.items()})
        assert self._statement.output_format is not None
        self._handle = self._connection.begin_insert(self._statement.head, self._statement.output_format)
        if self._first:
            self._connection.append(self._handle, self._first)

    def push(self) -> None:
        """Unpack and hand over what was gathered."""
        pieces, self._pieces = self._pieces, []
        for raw in pieces:
            piece = self._body.decoder.decode(raw)
            if piece:
                self._connection.append(self._handle, piece)

    def finish(self) -> Result:
        """Hand over the rest and wait until it is in the table."""
        self.push()
        self._body.decoder.finish()
        handle, self._handle = self._handle, None
        return self._connection.end_insert(handle)

    def abandon(self) -> None:
        """Drop the insert."""
        if self._handle is not None:
            self._connection.cancel_insert(self._handle)
            self._handle = None
        self._connection.discard_rest()
