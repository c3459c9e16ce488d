"""ClickHouse's HTTP interface as an ASGI application."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from core.logs import get_logger
from runtime.embedded.clickhouse.body import Body, ClientGoneError, Receive, Send
from runtime.embedded.clickhouse.chdb_types import Result
from runtime.embedded.clickhouse.errors import AUTHENTICATION_FAILED, EngineError
from runtime.embedded.clickhouse.form import ExternalTable, take_form
from runtime.embedded.clickhouse.front import Front, Lease, check_read_only
from runtime.embedded.clickhouse.guard import comes_from_a_page
from runtime.embedded.clickhouse.intake import take_in
from runtime.embedded.clickhouse.reply import (
    Headers,
    chosen_encoding,
    common_headers,
    error_headers,
    packed,
    summary,
)
from runtime.embedded.clickhouse.request import Ask, read_ask
from runtime.embedded.clickhouse.run_insert import Insert, run_insert
from runtime.embedded.clickhouse.run_read import run_read
from runtime.embedded.clickhouse.statement import Kind, Statement

Scope = MutableMapping[str, Any]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

PLAIN: Headers = [(b"content-type", b"text/plain; charset=UTF-8")]
OK_PATHS = ("/ping", "/replicas_status")


def build_app(front: Front, *, local: bool) -> App:
    """The application; the caller starts and closes the front. ``local``: it serves this machine only."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await answer(front, scope, receive, Started(send), local=local)

    return app


async def answer(front: Front, scope: Scope, receive: Receive, send: Started, *, local: bool) -> None:
    """Answer one request."""
    method, path = scope["method"], scope["path"]
    if path in OK_PATHS:
        return await send_whole(send, 200, [(b"content-type", b"text/html; charset=UTF-8")], b"Ok.\n")
    if path != "/":
        text = f"There is no handle {path}\n\nUse / or /ping for health checks.\nOr POST queries to /.\n"
        return await send_whole(send, 404, PLAIN, text.encode())
    headers = {name.decode("latin-1"): value.decode("utf-8", "replace") for name, value in scope["headers"]}
    if comes_from_a_page(headers, local=local):
        return await send_whole(send, 403, PLAIN, b"Requests of web pages are not served.\n")
    query_id = ""
    try:
        ask = read_ask(method, scope["query_string"], headers, packs_by_default=front.engine.packs_by_default)
        query_id = ask.query_id
        await answer_ask(front, ask, receive, send)
    except EngineError as error:
        assert not send.begun, "an error after the beginning of a reply is dealt with where it is sent"
        if error.status >= 500:
            get_logger("clickhouse").warning("query_failed", code=error.code, text=error.text)
        await send_error(front, query_id, error, send)
    except ClientGoneError:
        return None


async def answer_ask(front: Front, ask: Ask, receive: Receive, send: Started) -> None:
    """Answer a request for the engine."""
    front.check_account(ask)
    if ask.query is None and ask.method in ("GET", "HEAD"):
        return await send_whole(send, 200, [(b"content-type", b"text/html; charset=UTF-8")], b"Ok.\n")
    body = Body(receive, ask.content_encoding)
    tables: list[ExternalTable] = []
    if ask.content_type.startswith("multipart/form-data"):
        ask, tables = await take_form(ask, body)
    statement, first = await take_in(ask, body)
    async with front.lease(ask, read=statement.kind is Kind.READ and not tables) as lease:
        check_read_only(lease.connection, ask, statement)
        for table in tables:
            await front.run(partial(table.create, lease.connection))
        if statement.kind is Kind.READ:
            return await run_read(front, lease, ask, statement, (receive, send))
        if statement.kind is Kind.DATA_INSERT:
            result = await run_insert(front, Insert(lease, ask, statement, (first, body), front.room))
            outcome = Outcome(result)
        else:
            front.room.check_for(statement)
            try:
                outcome = await front.run(lambda: run_whole(lease, ask, statement))
            finally:
                await front.close_spares()
    return await send_outcome(front, ask, statement, outcome, send)


def run_whole(lease: Lease, ask: Ask, statement: Statement) -> Outcome:
    """Run a statement that is neither a plain read nor an insert with data."""
    lease.settle(ask, statement)
    result = lease.connection.query(statement.head, ask.default_format or "TabSeparated", ask.parameters)
    return Outcome(result, result.bytes())


async def send_outcome(front: Front, ask: Ask, statement: Statement, outcome: Outcome, send: Send) -> None:
    """Answer with a small result that is there as a whole."""
    output_format = ask.default_format or "TabSeparated"
    if statement.kind is Kind.OTHER and statement.output_format:
        output_format = statement.output_format
    headers = common_headers(front.server, ask.query_id, output_format)
    headers.append((b"x-clickhouse-summary", summary(outcome.result, len(outcome.output))))
    encoding = chosen_encoding(ask.accept)
    body = packed(outcome.output, encoding)
    if body is not outcome.output:
        assert encoding is not None
        headers.append((b"content-encoding", encoding.encode()))
    await send_whole(send, 200, headers, body)


async def send_error(front: Front, query_id: str, error: EngineError, send: Send) -> None:
    """Answer with the engine's error as ClickHouse words it."""
    headers = error_headers(front.server, query_id, error)
    if error.code == AUTHENTICATION_FAILED:
        headers.append((b"www-authenticate", b'Basic realm="ClickHouse server HTTP API"'))
    await send_whole(send, error.status, headers, error.line(front.engine.version).encode("utf-8", "replace"))


async def send_whole(send: Send, status: int, headers: Headers, body: bytes) -> None:
    """Send a reply of known length."""
    length = (b"content-length", str(len(body)).encode())
    await send({"type": "http.response.start", "status": status, "headers": [*headers, length]})
    await send({"type": "http.response.body", "body": body})


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a statement that does not stream came to."""

    result: Result
    output: bytes = b""


class Started:
    """Sends on, and remembers whether the reply has begun."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.begun = False

    async def __call__(self, message: MutableMapping[str, Any]) -> None:
        """Send one message."""
        self.begun = True
        await self._send(message)
