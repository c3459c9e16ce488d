"""``millrace api``: the process that answers questions."""

from __future__ import annotations

from typing import Annotated

import typer
import uvicorn

from api.app import build_app
from api.config import ApiParts
from api.freshness import LogEnds
from catalog.keys import find_key
from core.clock import SystemClock
from core.db import transaction
from core.logs import configure_logs
from ingest.authorize import Identity
from runtime.commands.gateway import server_config
from runtime.log_ends import look_at_log
from runtime.settings import Settings, load_settings, load_stack_settings
from runtime.stop_signals import leave_stopping_to_server
from runtime.wiring import open_admin, open_books, open_usage_store


def api(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int | None, typer.Option(help="Port; MILLRACE_API_PORT by default.")] = None,
) -> None:
    """Answer questions over HTTP: what became of an event, what was used. Until SIGTERM or Ctrl-C."""
    configure_logs()
    parts = api_parts(load_settings())
    leave_stopping_to_server()
    listen_on = load_stack_settings().api_port if port is None else port
    try:
        uvicorn.Server(server_config(build_app(parts), host, listen_on)).run()
    finally:
        parts.store.close()
        parts.books.dispose()


def api_parts(settings: Settings) -> ApiParts:
    """Clients of the stores and the log."""
    books, clock = open_books(settings), SystemClock()
    admin = open_admin(settings)

    def find(key: str) -> Identity | None:
        with transaction(books) as connection:
            owner = find_key(connection, key)
        return None if owner is None else Identity(owner.merchant_id, owner.scope)

    def look() -> LogEnds | None:
        return look_at_log(admin, settings.topic, clock)

    return ApiParts(books, open_usage_store(settings), settings.topic, clock, find, look)
