"""``millrace gateway``: the process that takes events."""

from __future__ import annotations

import gc
from typing import Annotated

import typer
import uvicorn
from fastapi import FastAPI
from sqlalchemy import Engine

from catalog.keys import find_key
from core.clock import SystemClock
from core.db import transaction
from core.errors import Refused
from core.logs import configure_logs
from ingest.app import build_app
from ingest.authorize import Identity
from ingest.backfill import Backfill, find_backfill
from ingest.catalog_feed import CatalogFeed
from ingest.config import GatewayConfig, GatewayParts
from ingest.direct import protocol_of
from ingest.gateway import Gateway
from ingest.sealed import SealedState, read_sealed
from runtime.keep_memory import keep_memory
from runtime.settings import Settings, load_settings, load_stack_settings
from runtime.stop_signals import leave_stopping_to_server
from runtime.wiring import open_books

# What a supervisor allows for stopping must be longer than this and the flush after it.
SHUTDOWN_S = 5
KEEP_ALIVE_S = 75
BACKLOG = 2048
# Requests leave no cycles behind, so the collector finds nothing and only costs time.
COLLECT_EVERY = (50_000, 50, 100)


def gateway(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int | None, typer.Option(help="Port; MILLRACE_GATEWAY_PORT by default.")] = None,
) -> None:
    """Take usage events over HTTP and put them on the log, until SIGTERM or Ctrl-C."""
    configure_logs()
    keep_memory()
    settings = load_settings()
    books = open_books(settings)
    feed = CatalogFeed(books)
    feed.start()
    app = build_app(gateway_config(settings), gateway_parts(books, feed))
    settle_memory()
    leave_stopping_to_server()
    listen_on = load_stack_settings().gateway_port if port is None else port
    try:
        uvicorn.Server(server_config(app, host, listen_on)).run()
    finally:
        feed.stop()
        books.dispose()


def settle_memory() -> None:
    """Keep the collector away from what stays, and let it look seldom."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECT_EVERY)


def gateway_config(settings: Settings) -> GatewayConfig:
    """The gateway's part of the settings."""
    return GatewayConfig(
        kafka=settings.kafka,
        topic=settings.topic,
        partitions=settings.partitions,
        journal_dir=settings.journal_dir,
    )


def gateway_parts(books: Engine, feed: CatalogFeed) -> GatewayParts:
    """What the gateway asks the books for."""

    def find(key: str) -> Identity | None:
        with transaction(books) as connection:
            owner = find_key(connection, key)
        return None if owner is None else Identity(owner.merchant_id, owner.scope)

    def sealed(topic: str) -> SealedState:
        with transaction(books) as connection:
            return read_sealed(connection, topic)

    def backfill(merchant_id: str, backfill_id: str) -> Backfill | None:
        with transaction(books) as connection:
            try:
                return find_backfill(connection, merchant_id, backfill_id)
            except Refused:
                return None

    return GatewayParts(SystemClock(), find, feed.current, sealed, backfill)


def server_config(app: object, host: str, port: int) -> uvicorn.Config:
    """How uvicorn serves it; a gateway takes plain requests straight from its connections."""
    gateway = getattr(app.state, "gateway", None) if isinstance(app, FastAPI) else None
    return uvicorn.Config(
        app,  # type: ignore[arg-type] # uvicorn's own type of an application is narrower than what it takes
        host=host,
        port=port,
        loop="uvloop",
        http=protocol_of(gateway) if isinstance(gateway, Gateway) else "httptools",
        ws="none",
        lifespan="on",
        access_log=False,
        log_config=None,
        server_header=False,
        date_header=False,
        proxy_headers=False,
        backlog=BACKLOG,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=SHUTDOWN_S,
    )
