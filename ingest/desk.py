"""Plain requests for events, from a head to a durable answer, without a task for each."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from core.errors import Refused
from core.limits import BODY_BYTES_MAX
from ingest.accept import answer_verdict, judge_at_once, take_events
from ingest.authorize import key_name
from ingest.exchange import Exchange
from ingest.gateway import Gateway
from ingest.problems import Busy, answer_error
from ingest.request import Head, bearer_key, read_head
from ingest.singles import Singles, line_of
from ingest.verdict import Verdict

# Who sends one of these has something in mind that the plain way does not know.
UNUSUAL = frozenset({b"expect", b"transfer-encoding", b"upgrade"})
# Larger ones are judged by a task, which gives way to others.
AT_ONCE_BYTES_MAX = 256 * 1024
HEADS_MAX = 2_000


@dataclass(frozen=True, slots=True)
class PlainHead:
    """A head that asks for nothing but to take a body of so many bytes as it is."""

    key_name: bytes
    head: Head
    length: int
    keep_alive: bool


class Desk:
    """Judges what the fast lane takes at once, gathers single events, and leaves the rest to tasks."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway
        self.known: dict[bytes, PlainHead] = {}
        self.singles = Singles(gateway, self.take_alone, self.answer)
        # The loop itself holds tasks weakly.
        self.tasks: set[asyncio.Task[None]] = set()

    def learn(self, head: bytes, plain: PlainHead) -> None:
        """Remember what a head says: a sender's requests differ in their lengths at most."""
        if len(self.known) >= HEADS_MAX:
            self.known.clear()
        self.known[hashlib.sha256(head).digest()] = plain

    def recall(self, head: bytes) -> PlainHead | None:
        """What a head says whose bytes are known; it holds a key, and so is not kept itself."""
        return self.known.get(hashlib.sha256(head).digest())

    def merchant_of(self, plain: PlainHead) -> str | None:
        """Whose request it is, if that is known without asking."""
        identity = self.gateway.authorizer.recall(plain.key_name)
        return identity.merchant_id if identity else None

    def take(self, exchange: Exchange, body: bytes) -> None:
        """Judge a body, and see to it that it is answered."""
        exchange.begun_s = self.gateway.parts.clock.steady_s()
        line = line_of(exchange.head, body) if self.gateway.lanes.lane else None
        if line is None:
            self.take_alone(exchange, body)
        else:
            self.singles.add(exchange, line, body)

    def take_alone(self, exchange: Exchange, body: bytes) -> None:
        """Judge a body by itself."""
        gateway = self.gateway
        if len(body) > AT_ONCE_BYTES_MAX:
            self.take_slowly(exchange, body)
            return
        try:
            verdict = judge_at_once(gateway, body, exchange.head, exchange.merchant_id)
            if verdict is None:
                self.take_slowly(exchange, body)
            elif verdict.kept:
                told = partial(self.answer, exchange, verdict)
                gateway.admit().submit_telling(verdict.kept, len(body), told)
            else:
                self.answer(exchange, verdict, None)
        except (Refused, Busy) as error:
            exchange.answer(answer_error(error))

    def answer(self, exchange: Exchange, verdict: Verdict, error: Exception | None) -> None:
        """Tell a sender what became of its events."""
        if error:
            exchange.answer(answer_error(error))
            return
        self.gateway.metrics.count_verdict(verdict, self.gateway.parts.clock.steady_s() - exchange.begun_s)
        exchange.answer(answer_verdict(verdict))

    def take_slowly(self, exchange: Exchange, body: bytes) -> None:
        """Give a body to a task."""
        task = asyncio.ensure_future(self.judge_slowly(exchange, body))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def judge_slowly(self, exchange: Exchange, body: bytes) -> None:
        """``take_alone`` the ordinary way."""
        try:
            answer = await take_events(self.gateway, exchange.merchant_id, exchange.head, body)
        except Exception as error:  # noqa: BLE001 - nobody else would answer
            answer = answer_error(error)
        exchange.answer(answer)


def read_plain(headers: list[tuple[bytes, bytes]], *, keep_alive: bool) -> PlainHead | None:
    """A head without a query; ``None`` for one with anything unusual, wrong, or packed about it."""
    named = dict(headers)
    if len(named) != len(headers) or not UNUSUAL.isdisjoint(named):
        return None
    length = read_length(named)
    try:
        head = read_head({}, named)
    except Refused:
        return None
    if length is None or head.encoding != "identity":
        return None
    return PlainHead(key_name(bearer_key(named)), head, length, keep_alive)


def read_length(headers: Mapping[bytes, bytes]) -> int | None:
    """The announced length, if it is one that may be taken."""
    text = headers.get(b"content-length", b"")
    if not text.isdigit() or len(text) > 15 or int(text) > BODY_BYTES_MAX:
        return None
    return int(text)
