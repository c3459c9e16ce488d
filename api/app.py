"""The API's HTTP face. Whose data it is comes from the key alone; every error is a problem document."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from api import backfills
from api.config import ApiParts
from api.current_bill import CurrentBills
from api.event_fate import event_fate, fate_json
from api.freshness import Freshness
from api.list_events import list_events
from api.parameters import Parameters, read_customer, read_events_question, read_top_question, read_usage_question
from api.price_migration import migrated
from api.price_simulation import limited_body, simulated
from api.remembered import Remembered
from api.usage import UsageAnswers
from core.errors import Refused, Transient
from core.logs import get_logger
from ingest.authorize import Authorizer
from ingest.problems import Answer, Unavailable, answer_busy, answer_json, answer_problem, answer_refused
from ingest.request import bearer_key

READING = frozenset({"merchant"})
SMALL_BODY_BYTES_MAX = 64 * 1024
ASKED_AT_ONCE = 32


def build_app(parts: ApiParts) -> FastAPI:
    """An ASGI application that answers questions; it connects when it is asked."""
    app = FastAPI(title="Millrace API", version="1", docs_url=None, redoc_url=None)
    app.state.authorizer = Authorizer(parts.find_key, parts.clock)
    add_probes(app)
    add_events(app, parts)
    add_usage(app, parts)
    add_backfills(app, parts)
    add_prices(app, parts)
    for kind, handler in {
        Refused: on_refused,
        Transient: on_transient,
        HTTPException: on_http_error,
        RequestValidationError: on_invalid,
        Exception: on_bug,
    }.items():
        app.add_exception_handler(kind, handler)
    return app


async def identify(request: Request) -> str:
    """The merchant that the request's key speaks for; raises ``Refused`` 401 or 403, or ``Unavailable``."""
    given = [value for name, value in request.scope["headers"] if name == b"authorization"]
    headers = {b"authorization": b",".join(given)}
    authorizer: Authorizer = request.app.state.authorizer
    identity = await authorizer.identify(bearer_key(headers))
    if identity.scope not in READING:
        raise Refused("scope_missing", "this key may not read", 403)
    return identity.merchant_id


Merchant = Annotated[str, Depends(identify)]


def add_probes(app: FastAPI) -> None:
    """What watches the process asks here."""

    @app.get("/healthz", include_in_schema=False)
    async def healthz() -> Response:
        """The process runs and its loop turns."""
        return respond(answer_json(200, {"status": "ok"}))


def add_events(app: FastAPI, parts: ApiParts) -> None:
    """What became of events."""

    @app.get("/v1/events")
    async def events(request: Request, merchant_id: Merchant) -> Response:
        """Events, the newest first, by ``subject``, ``type``, ``fate`` and time, page by page."""
        question, limit, cursor = read_events_question(request)
        page = await asyncio.to_thread(
            list_events,
            parts.books,
            parts.store,
            parts.topic,
            merchant_id=merchant_id,
            question=question,
            limit=limit,
            cursor=cursor,
        )
        body = {"until": page.until.isoformat(), "events": page.events, "next_cursor": page.next_cursor}
        return respond(answer_json(200, body))

    @app.get("/v1/events/{event_id:path}")
    async def event(request: Request, event_id: str, merchant_id: Merchant) -> Response:
        """The fate of one event: its copies, block, windows and invoice lines, or why it has none."""
        source = Parameters(request, frozenset({"source"})).text("source")
        found = await asyncio.to_thread(
            event_fate,
            parts.books,
            parts.store,
            parts.topic,
            merchant_id=merchant_id,
            event_id=event_id,
            source=source,
        )
        return respond(answer_json(200, fate_json(found)))


def add_usage(app: FastAPI, parts: ApiParts) -> None:
    """What was used, and what it comes to."""
    freshness = Freshness(parts.books, parts.topic, parts.look_at_log, parts.clock)
    remembered = Remembered(parts.books, parts.clock)
    answers = UsageAnswers(remembered, parts.store, freshness)
    bills = CurrentBills(parts.books, parts.store, freshness, parts.clock)
    # Who waits for others to be answered together does nothing meanwhile; the common pool has few threads.
    threads = ThreadPoolExecutor(ASKED_AT_ONCE, "usage")

    async def ask(answer: Callable[[], dict[str, Any]]) -> Response:
        return respond(answer_json(200, await asyncio.get_running_loop().run_in_executor(threads, answer)))

    @app.get("/v1/usage")
    async def usage(request: Request, merchant_id: Merchant) -> Response:
        """Usage in buckets: ``meter``, ``customer``, ``by``, ``zone``, ``from``, ``to``, ``group``, ``limit``."""
        return await ask(partial(answers.usage, merchant_id, read_usage_question(request)))

    @app.get("/v1/usage/top")
    async def top(request: Request, merchant_id: Merchant) -> Response:
        """The largest customers: by a ``meter`` or by events, ``zone``, ``from``, ``to``, ``limit``."""
        return await ask(partial(answers.top, merchant_id, read_top_question(request)))

    @app.get("/v1/bill")
    async def bill(request: Request, merchant_id: Merchant) -> Response:
        """What the current periods of a ``customer`` come to so far, line by line."""
        return await ask(partial(bills.ask, merchant_id, read_customer(request)))


def add_prices(app: FastAPI, parts: ApiParts) -> None:
    """What something would cost."""

    @app.post("/v1/prices/simulate")
    async def simulate_price(request: Request, _merchant_id: Merchant) -> Response:
        """What a ``price`` charges for a ``quantity``, ``events``, ``groups`` or parts; or many such ``cases``."""
        body = await limited_body(request)
        return respond(answer_json(200, await asyncio.to_thread(simulated, body)))

    @app.post("/v1/prices/migrate")
    async def migrate(request: Request, merchant_id: Merchant) -> Response:
        """Another version of a price: ``{"plan": …, "meter": …, "to": …, "from": …, "preview": true}``."""
        body = await read_small(request)
        told = await asyncio.to_thread(migrated, parts.books, parts.store, parts.clock, merchant_id, body)
        return respond(answer_json(200, told))


def add_backfills(app: FastAPI, parts: ApiParts) -> None:
    """Old usage as one piece; its events are sent to the gateway."""
    books, store, ask = parts.books, parts.store, asyncio.to_thread

    @app.post("/v1/backfills", status_code=201)
    async def open_backfill(request: Request, merchant_id: Merchant) -> Response:
        """Open a backfill for a span of time: ``{"from": …, "to": …, "note": …}``."""
        return respond(answer_json(201, await ask(backfills.open_one, books, merchant_id, await read_small(request))))

    @app.get("/v1/backfills")
    async def list_backfills(merchant_id: Merchant) -> Response:
        """All backfills, the youngest first."""
        return respond(answer_json(200, await ask(backfills.list_all, books, merchant_id)))

    @app.get("/v1/backfills/{backfill_id}")
    async def show_backfill(backfill_id: str, merchant_id: Merchant) -> Response:
        """One backfill, and what became of its events."""
        return respond(answer_json(200, await ask(backfills.show, books, store, merchant_id, backfill_id)))

    @app.get("/v1/backfills/{backfill_id}/preview")
    async def preview_backfill(backfill_id: str, merchant_id: Merchant) -> Response:
        """What closing it would change: quantities and amounts."""
        said = await ask(backfills.preview, books, store, parts.clock, merchant_id, backfill_id)
        return respond(answer_json(200, said))

    @app.post("/v1/backfills/{backfill_id}/close", status_code=202)
    async def close_backfill(backfill_id: str, merchant_id: Merchant) -> Response:
        """Let all of its events count, within seconds."""
        return respond(answer_json(202, await ask(backfills.decide_one, books, merchant_id, backfill_id, "closing")))

    @app.post("/v1/backfills/{backfill_id}/revert", status_code=202)
    async def revert_backfill(backfill_id: str, merchant_id: Merchant) -> Response:
        """Take all of its events back, within seconds."""
        return respond(answer_json(202, await ask(backfills.decide_one, books, merchant_id, backfill_id, "reverting")))


async def read_small(request: Request) -> bytes:
    """A body of a few lines; raises ``Refused`` 413 before a large one takes memory."""
    body = b""
    async for piece in request.stream():
        body += piece
        if len(body) > SMALL_BODY_BYTES_MAX:
            raise Refused("body_too_large", f"this body may take {SMALL_BODY_BYTES_MAX} bytes", 413)
    return body


def respond(answer: Answer) -> Response:
    """An answer as Starlette's response; nobody on the way may keep what belongs to one merchant."""
    headers = {name.decode(): value.decode() for name, value in answer.headers} | {"cache-control": "no-store"}
    return Response(answer.body, answer.status, headers, media_type=answer.content_type.decode())


async def on_refused(_request: Request, error: Exception) -> Response:
    """The question is wrong."""
    assert isinstance(error, Refused), "registered for this kind only"
    if error.problems:
        faults = [{"field": one.field, "code": one.code, "message": one.message} for one in error.problems]
        return respond(answer_problem(error.status, error.code, error.message, more={"problems": faults}))
    return respond(answer_refused(error))


async def on_transient(_request: Request, error: Exception) -> Response:
    """A store is away: come again."""
    if isinstance(error, Unavailable):
        return respond(answer_busy(error))
    get_logger("api").warning("a store did not answer", error=str(error))
    return respond(answer_busy(Unavailable("store_unavailable", "a store did not answer; ask again in a moment")))


async def on_http_error(_request: Request, error: Exception) -> Response:
    """Unknown paths and methods."""
    assert isinstance(error, HTTPException), "registered for this kind only"
    code = {404: "not_found", 405: "method_not_allowed"}.get(error.status_code, "http_error")
    response = respond(answer_problem(error.status_code, code, str(error.detail)))
    response.headers.update(error.headers or {})
    return response


async def on_invalid(_request: Request, error: Exception) -> Response:
    """A parameter has the wrong form."""
    return respond(answer_problem(422, "parameter_invalid", str(error)[:300]))


async def on_bug(_request: Request, error: Exception) -> Response:
    """A bug of ours: logged in full, told in a word."""
    get_logger("api").error("unexpected error", exc_info=error)
    return respond(answer_problem(500, "internal_error", "something went wrong here"))
