"""The gateway's HTTP face."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from ingest.accept import Take, accept, take_events
from ingest.config import GatewayConfig, GatewayParts
from ingest.correct import take_amendment, take_backfill, take_corrections, take_retraction
from ingest.gateway import Gateway
from ingest.problems import Answer, answer_error, answer_json, answer_problem
from ingest.read_corrections import read_query


def build_app(config: GatewayConfig, parts: GatewayParts) -> FastAPI:
    """An ASGI application that takes events; it connects when its lifespan begins."""
    gateway = Gateway(config, parts)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        await gateway.start()
        yield
        await gateway.stop()

    app = FastAPI(title="Millrace gateway", lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None)
    app.state.gateway = gateway
    # Straight to ASGI: nothing between the socket and the decoder copies or inspects a body.
    for path, method, choose in DOORS:
        app.router.routes.append(Route(path, Door(gateway, choose), methods=[method]))
    add_probes(app, gateway)
    app.add_exception_handler(HTTPException, answer_http_error)
    app.add_exception_handler(RequestValidationError, answer_validation_error)
    app.add_exception_handler(Exception, answer_bug)
    return app


def named_in(scope: Scope) -> str:
    """The id in a request's address."""
    named: str = scope["path_params"]["id"]
    return named


def query_of(scope: Scope) -> dict[str, str]:
    """The parameters of a request's address."""
    return read_query(scope.get("query_string", b""))


DOORS: tuple[tuple[str, str, Callable[[Scope], Take]], ...] = (
    ("/v1/events", "POST", lambda _scope: take_events),
    ("/v1/corrections", "POST", lambda _scope: take_corrections),
    # An id may hold slashes.
    ("/v1/events/{id:path}/retract", "POST", lambda scope: take_retraction(named_in(scope), query_of(scope))),
    ("/v1/events/{id:path}", "PUT", lambda scope: take_amendment(named_in(scope), query_of(scope))),
    ("/v1/backfills/{id}/events", "POST", lambda scope: take_backfill(named_in(scope))),
)


class Door:
    """A route that takes events or corrections: the same way in for all of them."""

    def __init__(self, gateway: Gateway, choose: Callable[[Scope], Take]) -> None:
        self.gateway = gateway
        self.choose = choose

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Take what a request holds."""
        answer = await accept(self.gateway, scope, receive, self.choose(scope))
        if answer:
            await send_answer(answer, send)


async def send_answer(answer: Answer, send: Send) -> None:
    """Write an answer to the connection."""
    length = str(len(answer.body)).encode()
    headers = [(b"content-type", answer.content_type), (b"content-length", length), *answer.headers]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body})


def add_probes(app: FastAPI, gateway: Gateway) -> None:
    """What watches the process asks here."""

    @app.get("/healthz")
    async def healthz() -> Response:
        """The process runs and its loop turns."""
        return respond(answer_json(200, {"status": "ok"}))

    @app.get("/readyz")
    async def readyz() -> Response:
        """Events can be taken."""
        checks = gateway.readiness()
        ready = all(checks.values())
        return respond(answer_json(200 if ready else 503, {"ready": ready, "checks": checks}))

    @app.get("/metrics")
    async def metrics() -> Response:
        """Prometheus' text format."""
        text = await asyncio.to_thread(gateway.metrics.exposition)
        return Response(text, media_type="text/plain; version=0.0.4; charset=utf-8")


def respond(answer: Answer) -> Response:
    """An answer as Starlette's response."""
    headers = {name.decode(): value.decode() for name, value in answer.headers}
    return Response(answer.body, answer.status, headers, media_type=answer.content_type.decode())


async def answer_http_error(_request: Request, error: Exception) -> Response:
    """Unknown paths and methods."""
    assert isinstance(error, HTTPException), "registered for this kind only"
    code = {404: "not_found", 405: "method_not_allowed"}.get(error.status_code, "http_error")
    answer = answer_problem(error.status_code, code, str(error.detail))
    response = respond(answer)
    response.headers.update(error.headers or {})
    return response


async def answer_validation_error(_request: Request, error: Exception) -> Response:
    """A parameter of a small route has the wrong form."""
    return respond(answer_problem(422, "request_invalid", str(error)[:300]))


async def answer_bug(_request: Request, error: Exception) -> Response:
    """A bug of ours: logged in full, told in a word."""
    return respond(answer_error(error))
