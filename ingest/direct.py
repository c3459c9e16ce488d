"""The plain way in for ``POST /v1/events``: uvicorn's connection, but no ASGI in between while nothing needs it."""

from __future__ import annotations

import asyncio
from typing import Any, ClassVar

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from ingest.body import body_too_slow
from ingest.desk import Desk, PlainHead, read_plain
from ingest.exchange import Exchange
from ingest.gateway import Gateway
from ingest.problems import Busy, answer_busy, answer_error, answer_refused

URL = b"/v1/events"
HEAD_END = b"\r\n\r\n"


class DirectProtocol(HttpToolsProtocol):
    """Takes plain requests for events by itself; every other request goes its way through the application.

    Plain means: a known key, a length, one event after the other on a connection, no packing, no query. What is
    answered is the same on both ways. A request that comes in one piece, with a head whose bytes the parser has
    read before, is not parsed again.
    """

    desk: ClassVar[Desk]

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        # The plain request whose body is being read, answered or not.
        self.taking: Exchange | None = None
        self.plain: PlainHead | None = None
        # Whether the parser stands between two requests, and has met nothing but plain ones.
        self.between = True
        # The length of the plain body that ended last.
        self.ended_bytes = 0

    def data_received(self, data: bytes) -> None:
        """Bytes came in."""
        between = self.between
        end = data.find(HEAD_END) if between else -1
        if end > 0 and self.take_known(data, end + len(HEAD_END)):
            return
        super().data_received(data)
        if self.between and self.plain and end > 0 and end + len(HEAD_END) + self.ended_bytes == len(data):
            # All that came was one request, and this is where its head ended.
            self.desk.learn(data[: end + len(HEAD_END)], self.plain)
        taking = self.taking
        if taking and taking.hold and taking.timer is None:
            limit_s = self.desk.gateway.config.body_time_limit_s
            taking.timer = self.loop.call_later(limit_s, give_up, taking, limit_s)

    def take_known(self, data: bytes, start: int) -> bool:
        """Take a whole request that needs no parser; False when it does."""
        plain = self.desk.recall(data[:start])
        if plain is None or len(data) - start != plain.length or not self.is_free():
            return False
        merchant_id = self.desk.merchant_of(plain)
        if merchant_id is None:
            return False
        self._unset_keepalive_if_required()
        taking = self.begin(plain, merchant_id)
        if taking.hold and self.grow(taking, plain.length):
            self.take(taking, data[start:])
        return True

    def is_free(self) -> bool:
        """Whether the connection has answered what it was asked, and its sender reads the answers."""
        before: Any = self.cycle
        return (before is None or before.response_complete) and not self.flow.write_paused

    def on_message_begin(self) -> None:
        """A request begins."""
        self.taking, self.plain, self.between = None, None, False
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Choose the way."""
        if self.url != URL or not self.begin_plainly():
            super().on_headers_complete()

    def begin_plainly(self) -> bool:
        """Begin a plain request; False when it is none."""
        parser = self.parser
        if parser.get_method() != b"POST" or not self.is_free():
            return False
        plain = read_plain(self.headers, keep_alive=parser.get_http_version() != "1.0" and parser.should_keep_alive())
        merchant_id = self.desk.merchant_of(plain) if plain else None
        if plain is None or merchant_id is None:
            return False
        self.plain = plain
        self.taking = self.begin(plain, merchant_id)
        return True

    def begin(self, plain: PlainHead, merchant_id: str) -> Exchange:
        """A request whose head was read: let in, or answered already."""
        gateway = self.desk.gateway
        taking = Exchange(
            self.transport,
            self.on_response_complete,
            gateway.metrics,
            plain.head,
            merchant_id,
            keep_alive=plain.keep_alive,
        )
        self.cycle = taking  # type: ignore[assignment] # it has all that is looked at
        try:
            gateway.admit()
            taking.hold = gateway.pending.open()
        except Busy as busy:
            taking.answer(answer_busy(busy))
        return taking

    def grow(self, taking: Exchange, size: int) -> bool:
        """Whether so many more bytes can be held; that there is no room is the answer."""
        assert taking.hold, "it is not answered yet"
        try:
            taking.hold.grow(size)
        except Busy as busy:
            taking.answer(answer_busy(busy))
            return False
        return True

    def on_body(self, body: bytes) -> None:
        """A piece of a body; what follows an early answer is read away."""
        taking = self.taking
        if taking is None:
            super().on_body(body)
        elif taking.hold and self.grow(taking, len(body)):
            taking.pieces.append(body)

    def on_message_complete(self) -> None:
        """A body is whole."""
        taking = self.taking
        if taking is None:
            super().on_message_complete()
            return
        self.taking, self.between, self.ended_bytes = None, True, -1
        if taking.response_complete:
            return
        if taking.timer:
            taking.timer.cancel()
            taking.timer = None
        pieces = taking.pieces
        body = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        pieces.clear()
        self.ended_bytes = len(body)
        self.take(taking, body)

    def take(self, taking: Exchange, body: bytes) -> None:
        """Give a whole body to the desk."""
        try:
            self.desk.take(taking, body)
        except Exception as error:  # noqa: BLE001 - the parser would take it for a malformed request
            taking.answer(answer_error(error))

    def connection_lost(self, exc: Exception | None) -> None:
        """The sender has gone, with its body perhaps half sent."""
        if self.taking and not self.taking.response_complete:
            self.taking.end()
        self.taking = None
        super().connection_lost(exc)


def give_up(taking: Exchange, limit_s: float) -> None:
    """A body is late; what still comes of it is read away."""
    taking.answer(answer_refused(body_too_slow(limit_s)))


def protocol_of(gateway: Gateway) -> type[asyncio.Protocol]:
    """The connections of a gateway, for uvicorn."""

    class GatewayProtocol(DirectProtocol):
        desk = Desk(gateway)

    return GatewayProtocol
