"""Send a plan's traffic through the gateway's door: several connections, retries with the same ids, a ledger."""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from core.clock import Clock
from runtime.traffic.ahead import ahead
from runtime.traffic.connection import Connection, Target
from runtime.traffic.deliver import Verdict, deliver
from runtime.traffic.ledger import SimulatorLedger
from runtime.traffic.requests import CONTENT_TYPE, Request, requests_of

Progress = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class SendOptions:
    """How to send. ``rate`` is in events a second (0: as fast as answers come); ``keys`` by merchant index."""

    gateway_url: str
    keys: Sequence[str]
    connections: int = 8
    rate: float = 0.0
    give_up_after_s: float = 120.0
    timeout_s: float = 30.0
    backfill: bool = False


@dataclass(slots=True)
class SendReport:
    """What sending took. ``waits_s`` is, for each request, the time from when it was due until it was answered."""

    seconds: float = 0.0
    events: int = 0
    requests: int = 0
    waits_s: list[float] = field(default_factory=list)

    @property
    def events_per_second(self) -> float:
        """Events answered a second."""
        return self.events / self.seconds if self.seconds else 0.0


def send_plan(
    ledger: SimulatorLedger, options: SendOptions, clock: Clock, progress: Progress = lambda _events: None
) -> SendReport:
    """Send all of a ledger's plan and note every answer in the ledger; ``progress`` hears of answered events.

    Can run in a thread of its own. Raises ``Transient`` when the gateway stays away for longer than
    ``give_up_after_s``, ``Refused`` when it turns a whole request away.
    """
    try:
        return send_requests(ledger, requests_of(ledger.plan), options, clock, progress)
    finally:
        ledger.save()


def send_requests(
    ledger: SimulatorLedger,
    chunks: Iterator[list[Request]],
    options: SendOptions,
    clock: Clock,
    progress: Progress = lambda _events: None,
) -> SendReport:
    """Send some chunks of a ledger's plan, such as one process's share of them.

    Conflicts wait for the earlier chunks that this call sends, and not for those of other processes.
    """
    try:
        return asyncio.run(_Sender(ledger, options, clock, progress).run(chunks))
    except ExceptionGroup as group:
        # One connection's failure ended the others; it alone says what happened.
        raise group.exceptions[0] from group


class _Sender:
    """The running state of one call of ``send_plan``."""

    def __init__(self, ledger: SimulatorLedger, options: SendOptions, clock: Clock, progress: Progress) -> None:
        self.ledger = ledger
        self.options = options
        self.clock = clock
        self.progress = progress
        self.report = SendReport()
        self.open_by_chunk: dict[int, int] = defaultdict(int)
        self.held_back: deque[Request] = deque()
        self.answered = asyncio.Event()
        self.scheduled_events = 0
        self.start_s = clock.steady_s()

    async def run(self, chunks: Iterator[list[Request]]) -> SendReport:
        """Hand requests to the connections in order, each as soon as it may go."""
        queue: asyncio.Queue[Request | None] = asyncio.Queue(maxsize=self.options.connections * 2)
        async with asyncio.TaskGroup() as group:
            for _ in range(self.options.connections):
                group.create_task(self._carry(queue))
            async for chunk in ahead(chunks):
                # Counted before any of them goes out: a later chunk's request waits for all of these.
                self.open_by_chunk[chunk[0].chunk] += len(chunk)
                for request in chunk:
                    await self._dispatch(request, queue)
            while self.held_back:
                await self._release(queue)
            for _ in range(self.options.connections):
                await queue.put(None)
        self.report.seconds = self.clock.steady_s() - self.start_s
        return self.report

    async def _dispatch(self, request: Request, queue: asyncio.Queue[Request | None]) -> None:
        if self._may_go(request):
            await queue.put(request)
        else:
            self.held_back.append(request)
        if self.held_back and self._may_go(self.held_back[0]):
            await queue.put(self.held_back.popleft())

    async def _release(self, queue: asyncio.Queue[Request | None]) -> None:
        """Wait until the first request held back may go, and hand it over."""
        while not self._may_go(self.held_back[0]):
            self.answered.clear()
            await self.answered.wait()
        await queue.put(self.held_back.popleft())

    def _may_go(self, request: Request) -> bool:
        return request.after == 0 or all(chunk >= request.after for chunk in self.open_by_chunk)

    async def _carry(self, queue: asyncio.Queue[Request | None]) -> None:
        """One connection: take a request, bring it to its answer, take the next."""
        url = f"{self.options.gateway_url}/v1/events" + ("?backfill=true" if self.options.backfill else "")
        connection = Connection(Target.of(url), self.options.timeout_s)
        try:
            while (request := await queue.get()) is not None:
                due_s = await self._wait_until_due(len(request.ordinals))
                verdict = await self._deliver(connection, request)
                self._note(request, verdict, due_s)
        finally:
            await connection.close()

    async def _wait_until_due(self, events: int) -> float:
        """When this request is due by the schedule; without a rate, now."""
        now_s = self.clock.steady_s()
        if not self.options.rate:
            return now_s
        due_s = self.start_s + self.scheduled_events / self.options.rate
        self.scheduled_events += events
        if due_s > now_s:
            await asyncio.sleep(due_s - now_s)
        return due_s

    async def _deliver(self, connection: Connection, request: Request) -> Verdict:
        key = self.options.keys[request.merchant].encode()
        headers = b"Authorization: Bearer %s\r\nContent-Type: %s\r\n" % (key, CONTENT_TYPE)

        def on_retry(maybe_stored: bool) -> None:
            self.ledger.repeat(len(request.ordinals), maybe_stored=maybe_stored)

        return await deliver(
            connection,
            headers,
            request.body,
            clock=self.clock,
            give_up_at_s=self.clock.steady_s() + self.options.give_up_after_s,
            on_retry=on_retry,
        )

    def _note(self, request: Request, verdict: Verdict, due_s: float) -> None:
        refused = {index: code for index, (code, _message) in verdict.refused.items()}
        self.ledger.acknowledge(request.ordinals, refused)
        self.report.events += len(request.ordinals)
        self.report.requests += 1
        self.report.waits_s.append(self.clock.steady_s() - due_s)
        self.open_by_chunk[request.chunk] -= 1
        if not self.open_by_chunk[request.chunk]:
            del self.open_by_chunk[request.chunk]
            self.answered.set()
        self.progress(len(request.ordinals))
