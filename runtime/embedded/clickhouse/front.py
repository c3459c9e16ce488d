"""What all requests share: the engine, its sessions, threads to run queries in, and who may ask."""

from __future__ import annotations

import asyncio
import hmac
import socket
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import partial
from typing import TypeVar

from core.clock import Clock
from runtime.embedded.clickhouse.connection import Connection, Engine
from runtime.embedded.clickhouse.errors import (
    AUTHENTICATION_FAILED,
    READONLY,
    TOO_MANY_SIMULTANEOUS_QUERIES,
    refusal,
)
from runtime.embedded.clickhouse.request import Ask
from runtime.embedded.clickhouse.room import Room
from runtime.embedded.clickhouse.sessions import Sessions
from runtime.embedded.clickhouse.settled import InForce, settle_fresh, settle_session
from runtime.embedded.clickhouse.spares import Spares, Wanted, wanted_by
from runtime.embedded.clickhouse.statement import Kind, Statement, first_word

Answer = TypeVar("Answer")

WAITING_MAX = 200
READ_ONLY_MESSAGE = (
    "Cannot execute query in readonly mode. For queries over HTTP, method GET implies readonly."
    " You should use method POST for modifying queries"
)


class Lease:
    """A connection on loan to one request.

    ``let_go`` comes before the last bytes of the reply: the client may use its session again as soon as it has them.
    """

    def __init__(
        self,
        connection: Connection,
        in_force: InForce | None = None,
        give_back: Callable[[], None] | None = None,
        *,
        settled: bool = False,
    ) -> None:
        self.connection = connection
        # Whether its only statement was a read that ended well.
        self.unspoilt = False
        self._in_force = in_force
        self._give_back = give_back
        self._settled = settled

    def settle(self, ask: Ask, statement: Statement) -> None:
        """Put the request's database and settings in force; raises ``EngineError``."""
        if self._settled:
            return
        if self._in_force is None:
            settle_fresh(self.connection, ask)
        else:
            settle_session(self.connection, self._in_force, ask, statement)

    def let_go(self) -> None:
        """Give a session back, once."""
        give_back, self._give_back = self._give_back, None
        if give_back is not None:
            give_back()


class Front:
    """Everything that outlives a request."""

    def __init__(self, engine: Engine, room: Room, clock: Clock, *, threads: int, user: str, password: str) -> None:
        self.engine = engine
        self.room = room
        self.sessions = Sessions(clock)
        self.spares = Spares()
        self.server: Mapping[str, str] = {"name": socket.gethostname(), "timezone": engine.timezone}
        self._account = (user, password)
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="query")
        self._gate = asyncio.Semaphore(threads)
        self._waiting = 0

    def check_account(self, ask: Ask) -> None:
        """Raise ``EngineError`` unless user and password are the ones that this server was started with."""
        user_ok = hmac.compare_digest(ask.user.encode("utf-8", "surrogateescape"), self._account[0].encode())
        password_ok = hmac.compare_digest(ask.password.encode("utf-8", "surrogateescape"), self._account[1].encode())
        if not (user_ok and password_ok):
            raise refusal(
                AUTHENTICATION_FAILED,
                f"{ask.user}: Authentication failed: password is incorrect, or there is no user with such name",
            )

    async def run(self, job: Callable[[], Answer]) -> Answer:
        """Run a blocking job in one of the threads."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, job)

    async def run_aside(self, job: Callable[[], Answer]) -> Answer:
        """Run a short job that must not wait behind the queries."""
        return await asyncio.to_thread(job)

    @asynccontextmanager
    async def lease(self, ask: Ask, *, read: bool = False) -> AsyncIterator[Lease]:
        """A connection for one request: the session's own, or a fresh one, or for a read an unspoilt one.

        Waits for its turn.
        """
        if self._waiting >= WAITING_MAX:
            raise refusal(TOO_MANY_SIMULTANEOUS_QUERIES, f"Too many simultaneous queries. {WAITING_MAX} are waiting")
        self._waiting += 1
        try:
            await self._gate.acquire()
        finally:
            self._waiting -= 1
        try:
            if ask.session_id:
                lease = await self._lease_session(ask)
                try:
                    yield lease
                finally:
                    lease.let_go()
            else:
                async with self._lease_alone(wanted_by(ask) if read else None) as lease:
                    yield lease
        finally:
            self._gate.release()

    @asynccontextmanager
    async def _lease_alone(self, wanted: Wanted | None) -> AsyncIterator[Lease]:
        spare = self.spares.take(wanted) if wanted else None
        age = self.spares.age
        connection = await self.run(self.engine.open) if spare is None else spare
        lease = Lease(connection, settled=spare is not None)
        try:
            yield lease
        finally:
            keep = wanted if lease.unspoilt else None
            left = self.spares.keep(keep, connection, age) if keep else connection
            if left is not None:
                await self.run(left.close)

    async def close_spares(self) -> None:
        """Let go of all connections of earlier reads: what they were set up for may have changed."""
        for connection in self.spares.release():
            await self.run(connection.close)

    async def _lease_session(self, ask: Ask) -> Lease:
        assert ask.session_id is not None
        # One user's session is not another's.
        name = f"{ask.user}/{ask.session_id}"
        if not ask.session_check and not self.sessions.knows(name):
            spare = await self.run(self.engine.open)
            if not self.sessions.add(name, spare):
                await self.run(spare.close)
        session = self.sessions.take(name, ask.session_timeout_s)
        give_back = partial(self.sessions.give_back, name, close=ask.close_session)
        return Lease(session.connection, session.in_force, give_back)

    def close(self) -> None:
        """Cancel what runs; end the threads, the sessions and the engine."""
        self.engine.cancel("")
        self._pool.shutdown()
        self.sessions.close_all()
        for connection in self.spares.release():
            connection.close()
        self.engine.close()


def check_read_only(connection: Connection, ask: Ask, statement: Statement) -> None:
    """Raise ``EngineError`` when a request that may not change anything wants to."""
    in_session = ask.session_id is not None and ask.settings.get("readonly", "0") != "0"
    if not (ask.read_only or in_session):
        return
    harmless = first_word(statement.head) in ("SET", "USE")
    if statement.kind is Kind.DATA_INSERT or not (harmless or connection.only_reads(statement.head)):
        raise refusal(READONLY, READ_ONLY_MESSAGE)
