"""Send requests over a few connections: closed loop, or open loop on a schedule; every answer goes into the ledger."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Coroutine, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import orjson

from benchmarks.load.feed import Feed
from benchmarks.load.ledger import ANSWERED, LOST, Ledger, Sent
from benchmarks.load.line import Job, Line
from benchmarks.load.plan import BASE_REQUEST_EVENTS
from benchmarks.load.schedule import RunSpec, due_times
from benchmarks.load.wire import Answer
from core.clock import Clock
from core.errors import Transient

TICK_S = 0.001
# What a sender that was asked to come again waits at most; a measurement is short.
RETRY_AFTER_MAX_S = 1.0
LATE_END_S = 60.0
# A request that found no connection for so long is given up by a sender with no room to wait.
UNSENT_AFTER_S = 1.0
NO_ROOM = (429, 503)


@dataclass(slots=True)
class Run:
    """What a run has come to so far. ``unsent`` requests were due and found neither connection nor bytes."""

    spec: RunSpec
    begun_s: float
    first_sent: int
    accepted: int = 0
    under_way: int = 0
    unsent: int = 0
    wrong: list[str] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    without_retry_after: int = 0
    ended_s: float = 0.0


class Sender:
    """Runs one after the other on one loop."""

    def __init__(self, ledger: Ledger, feed: Feed, address: tuple[str, int], clock: Clock) -> None:
        self.ledger, self.feed, self.address, self.clock = ledger, feed, address, clock
        self.idle: deque[Line] = deque()
        self.waiting: deque[Job] = deque()
        self.next_job: Callable[[], Job | None] = lambda: None
        self.run_now: Run | None = None
        self.wake = asyncio.Event()
        # The loop itself holds tasks weakly.
        self.tasks: set[asyncio.Task[None]] = set()

    async def run(self, spec: RunSpec, on_progress: Callable[[Run], object]) -> Run:
        """One run of generated load."""
        run = await self.begin(spec)
        try:
            if spec.mode == "closed":
                end_s = run.begun_s + spec.seconds
                self.next_job = lambda: self.closed_job(end_s)
                self.start_idle()
            ticker = asyncio.create_task(self.follow_schedule(run)) if spec.mode == "open" else None
            await self.until_done(run, on_progress, ticker)
        finally:
            self.end(run)
        self.feed.forget_rest()
        return run

    async def send_all(self, jobs: Iterable[Job], connections: int) -> Run:
        """Send given requests, as fast as answers come."""
        run = await self.begin(RunSpec(connections=connections, seconds=0))
        given = iter(jobs)
        self.next_job = lambda: next(given, None)
        try:
            self.start_idle()
            await self.until_done(run, lambda _run: None, None)
        finally:
            self.end(run)
        return run

    async def begin(self, spec: RunSpec) -> Run:
        """Connect."""
        self.idle.clear()
        self.waiting.clear()
        self.wake.clear()
        for _ in range(spec.connections):
            self.idle.append(await self.connect())
        self.run_now = Run(spec, self.clock.steady_s(), len(self.ledger.sent))
        return self.run_now

    def end(self, run: Run) -> None:
        """Close every connection."""
        run.ended_s = self.clock.steady_s()
        for line in self.idle:
            line.close()
        self.next_job = lambda: None

    async def connect(self) -> Line:
        """A new connection."""
        _transport, line = await asyncio.get_running_loop().create_connection(
            lambda: Line(self.on_answer), *self.address
        )
        return line

    def closed_job(self, end_s: float) -> Job | None:
        """The next request of a closed loop."""
        now_s = self.clock.steady_s()
        return self.feed.take(now_s, hot=self.now.spec.hot) if now_s < end_s else None

    @property
    def now(self) -> Run:
        """The run under way."""
        assert self.run_now is not None, "begun"
        return self.run_now

    def start_idle(self) -> None:
        """Give every idle connection something to do."""
        while self.idle:
            job = self.waiting.popleft() if self.waiting else self.next_job()
            if job is None:
                return
            self.now.under_way += 1
            self.send(self.idle.popleft(), job)

    def send(self, line: Line, job: Job) -> None:
        """Send on an idle connection, or on a new one when it was closed meanwhile."""
        job.tries += 1
        job.sent_s = job.sent_s or self.clock.steady_s()
        if line.is_open:
            line.send(job)
            return
        self.start_task(self.send_on_new(job))

    def start_task(self, work: Coroutine[Any, Any, None]) -> None:
        """Do something beside the rest."""
        task = asyncio.get_running_loop().create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def send_on_new(self, job: Job) -> None:
        """Connect and send; a server that does not let us in is tried again like one that sent us away."""
        try:
            line = await self.connect()
        except OSError:
            self.again_or_done(None, job, LOST)
        else:
            line.send(job)

    def on_answer(self, line: Line, job: Job, answer: Answer | None) -> None:
        """An answer came, or the connection was lost."""
        run = self.now
        status = answer.status if answer else LOST
        run.statuses[status] += 1
        if answer is None or status in (500, 502, 503, 504):
            self.ledger.note_maybe(job.merchant)
        if answer is not None and status in ANSWERED:
            self.note(job, status, refused_of(answer))
            self.free(line)
            return
        if answer is not None and status in NO_ROOM:
            run.without_retry_after += not answer.retry_after_s
        elif answer is not None:
            run.wrong.append(f"{status}: {answer.body[:200].decode(errors='replace')}")
        pause_s = min(answer.retry_after_s, RETRY_AFTER_MAX_S) if answer else 0.1
        self.again_or_done(line, job, status, pause_s)

    def again_or_done(self, line: Line | None, job: Job, status: int, pause_s: float = 0.1) -> None:
        """Send it again later on the same connection, unless this run's senders do not wait."""
        loop = asyncio.get_running_loop()
        if self.now.spec.shed or status not in (*NO_ROOM, LOST):
            self.note(job, status, ())
            if line is None:
                self.start_task(self.replace())
            else:
                self.free(line)
        elif line is None:
            loop.call_later(pause_s, self.start_task, self.send_on_new(job))
        else:
            loop.call_later(max(pause_s, 0.01), self.send, line, job)

    async def replace(self) -> None:
        """A new connection for one that was lost."""
        self.free(await self.connect())

    def note(self, job: Job, status: int, refused: tuple[int, ...]) -> None:
        """The request's last word."""
        run = self.now
        run.under_way -= 1
        self.feed.done(job)
        if job.stripe is None:
            if status != 202:
                run.wrong.append(f"a plain request was answered with {status}")
            self.ledger.base_answered.append(job.merchant)
            run.accepted += BASE_REQUEST_EVENTS
            return
        one = Sent(job.round, job.request, job.merchant, job.due_s, job.sent_s, self.clock.steady_s(), status, refused)
        self.ledger.sent.append(one)
        if status in ANSWERED:
            run.accepted += self.ledger.plan.request_events - len(refused)

    def free(self, line: Line) -> None:
        """A connection has nothing to do."""
        job = self.waiting.popleft() if self.waiting else self.next_job()
        if job is None:
            self.idle.append(line)
            self.wake.set()
            return
        self.now.under_way += 1
        self.send(line, job)

    async def follow_schedule(self, run: Run) -> None:
        """Open loop: requests become due whether or not earlier ones were answered."""
        due, number = due_times(run.spec, self.ledger.plan.request_events), 0
        while True:
            now_s = self.clock.steady_s() - run.begun_s
            while (due_s := due(number)) <= min(now_s, run.spec.seconds):
                number += 1
                job = self.feed.take(run.begun_s + due_s, hot=run.spec.hot)
                if job is None:
                    run.unsent += 1
                else:
                    self.waiting.append(job)
            if run.spec.shed:
                self.give_up_late(run, now_s)
            self.start_idle()
            if now_s >= run.spec.seconds:
                return
            await asyncio.sleep(TICK_S)

    def give_up_late(self, run: Run, now_s: float) -> None:
        """Requests that waited too long for a connection are not sent any more."""
        while self.waiting and self.waiting[0].due_s < run.begun_s + now_s - UNSENT_AFTER_S:
            self.feed.done(self.waiting.popleft())
            run.unsent += 1

    async def until_done(
        self, run: Run, on_progress: Callable[[Run], object], ticker: asyncio.Task[None] | None
    ) -> None:
        """Wait until everything is answered; raises ``Transient`` when that takes far too long."""
        give_up_s = run.begun_s + run.spec.seconds + LATE_END_S
        while run.under_way or self.waiting or (ticker and not ticker.done()):
            self.wake.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(self.wake.wait(), 0.25)
            on_progress(run)
            if self.clock.steady_s() > give_up_s:
                raise Transient(
                    f"{run.under_way} requests were not answered {LATE_END_S:g} s after the end: "
                    f"{dict(run.statuses)} so far, {run.wrong[:3]}"
                )
        if ticker:
            ticker.result()


def refused_of(answer: Answer) -> tuple[int, ...]:
    """The places of the events that the door turned away."""
    if answer.status == 202:
        return ()
    return tuple(sorted(entry["index"] for entry in orjson.loads(answer.body)["rejected"]))
