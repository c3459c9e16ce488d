"""A gateway with a port for each of its two ways in, and a client that says every byte itself."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from ingest.app import build_app
from ingest.config import GatewayConfig
from ingest.direct import protocol_of
from ingest.gateway import Gateway
from tests.ingest.conftest import KEY, parts_with

EVENT = b'{"id":"%s","type":"t","subject":"s","time":"%s","properties":{"n":1}}'


@dataclass
class Doors:
    """One gateway with a port for each way in."""

    gateway: Gateway
    protocol: type[Any]
    direct: int
    ordinary: int


class Wire:
    """A connection of a client that says every byte itself."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def send(self, *pieces: bytes) -> None:
        """Send pieces so that each arrives by itself."""
        for place, piece in enumerate(pieces):
            if place:
                await asyncio.sleep(0.01)
            self.writer.write(piece)
            await self.writer.drain()

    async def answer(self) -> bytes:
        """One answer, every byte of it; what comes before it (``100 Continue``) is left out."""
        head = await self.reader.readuntil(b"\r\n\r\n")
        if head.startswith(b"HTTP/1.1 100"):
            return await self.answer()
        length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
        return head + await self.reader.readexactly(int(length))

    async def ask(self, *pieces: bytes) -> bytes:
        """One question."""
        await self.send(*pieces)
        return await asyncio.wait_for(self.answer(), 30)


@asynccontextmanager
async def wire_to(port: int) -> AsyncIterator[Wire]:
    """A connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield Wire(reader, writer)
    finally:
        writer.close()


async def ask_once(port: int, *pieces: bytes) -> bytes:
    """One question on a connection of its own."""
    async with wire_to(port) as wire:
        return await wire.ask(*pieces)


def head_of(length: int, *more: bytes, kind: bytes = b"application/json", key: str = KEY) -> bytes:
    """A plain head."""
    lines = [b"POST /v1/events HTTP/1.1", b"Host: x", b"Authorization: Bearer " + key.encode()]
    lines += [b"Content-Type: " + kind, b"Content-Length: %d" % length, *more]
    return b"\r\n".join(lines) + b"\r\n\r\n"


def request_of(body: bytes, *more: bytes, kind: bytes = b"application/json", key: str = KEY) -> bytes:
    """A plain request."""
    return head_of(len(body), *more, kind=kind, key=key) + body


def event_of(name: str, gateway: Gateway) -> bytes:
    """An event of now."""
    return EVENT % (name.encode(), gateway.parts.clock.now().isoformat().encode())


AskDoors = Callable[[Callable[[Doors], Awaitable[None]]], None]


@asynccontextmanager
async def open_doors(config: GatewayConfig) -> AsyncIterator[Doors]:
    """Both ways in, with the fast lane open and a key that is known."""
    app = build_app(config, parts_with())
    gateway: Gateway = app.state.gateway
    protocol: Any = protocol_of(gateway)
    served = uvicorn.Config(app, ws="none", log_config=None, server_header=False, date_header=False)
    served.load()
    async with app.router.lifespan_context(app):
        loop = asyncio.get_running_loop()
        servers = [
            await loop.create_server(partial(kind, served, ServerState(), {}), "127.0.0.1", 0)
            for kind in (protocol, HttpToolsProtocol)
        ]
        for _ in range(1200):
            if gateway.lanes.lane:
                break
            await asyncio.sleep(0.1)
        assert gateway.lanes.lane
        direct, ordinary = (server.sockets[0].getsockname()[1] for server in servers)
        assert (await ask_once(ordinary, request_of(b"[]"))).startswith(b"HTTP/1.1 422")
        yield Doors(gateway, protocol, direct, ordinary)
        for server in servers:
            server.close()
