"""Faust as the driver, in the subset of it that loses nothing.

One agent with ``concurrency=1`` takes messages with ``noack_take``; they are acknowledged in order, and only after
their block is sealed. No exception crosses the agent's loop: whatever was not foreseen ends the process at once,
because Faust acknowledges what an exception passes. No tables, web server, leader topic or topics made by Faust.

Where to read from is the ledger's word: group offsets are written as a hint for lag monitors and never read. All
blocking work happens in one thread, so that heartbeats go on and blocks stay in order. What comes meanwhile is gathered
for the next ones.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import faust
from faust.transport.drivers import aiokafka as kafka_transport
from mode.services import WaitResults
from yarl import URL

from core.errors import MillraceError, Stop
from core.logs import get_logger
from streams.at_once import Begun
from streams.desk import Desk, Record
from streams.intake import Intake, Patience
from streams.watchdog import NO_ANSWER, Sight, Watchdog

Answer = TypeVar("Answer")
# (group generation, assigned partitions) -> the offset to read each from.
Positions = Callable[[int, set[int]], Awaitable[Mapping[int, int]]]

EXIT_DONE = 0
# Something that was not foreseen, or that must not go on: a fresh start sorts it out or stops at the same place.
EXIT_STOPPED = 70
# The log was made anew under our feet; a fresh start claims its new incarnation.
EXIT_LOG_CHANGED = 71
NEXT_STEP = "start the worker again: it goes on where the ledger stands; if it stops again, mend what the error names"
# Faust would have its fetcher wait for a commit after so many messages; a commit without an answer would end reading.
COMMIT_BY_THE_CLOCK_ONLY = 2**62


@dataclass(frozen=True, slots=True)
class DriverSettings:
    """How to read the log. Faust wants a ``folder`` of its own, although it keeps nothing there."""

    kafka: str
    topic: str
    folder: Path
    group: str = "millrace-streams"
    # When what has come makes blocks.
    patience: Patience = field(default_factory=Patience)
    # How often Faust hands over what it has.
    hand_over_s: float = 0.05
    messages_max: int = 1024
    message_bytes_max: int = 16 * 1024 * 1024
    # The embedded broker answers a join only after about this long; Apache Kafka allows no less than 6 s by default.
    session_timeout_s: float = 6.0
    watch_every_s: float = 1.0
    # Messages that wait this long while nothing is sealed mean that something is stuck without saying so. Not less
    # than a claim or a block may take with stores that are tried again.
    stall_limit_s: float = 180.0
    # How often to ask where the log ends, beside what Faust has heard.
    ends_every_s: float = 5.0
    report_every_s: float = 10.0


@dataclass(frozen=True, slots=True)
class Hooks:
    """What the driver asks the outside.

    ``log_unchanged`` says whether the topic still is the one we started with, and True when nobody can tell. It may
    take a while. So may ``log_ends``: for each partition the offset after the last message, empty when nobody can tell.
    ``leave`` ends the process at once, without any clean-up.
    """

    log_unchanged: Callable[[], bool]
    log_ends: Callable[[], Mapping[int, int]] = dict
    leave: Callable[[int], NoReturn] = os._exit
    after_ack: Callable[[], object] = lambda: None


class Driver:
    """Runs a desk on a Kafka topic until it is told to stop."""

    def __init__(self, settings: DriverSettings, desk: Desk, hooks: Hooks) -> None:
        self._settings = settings
        self._desk = desk
        self._hooks = hooks
        self._log = get_logger("streams")
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="blocks")
        self._watcher = ThreadPoolExecutor(max_workers=1, thread_name_prefix="watch")
        self._generation = -1
        self._joined = False
        self._in_hand: str | None = None
        self._intake = Intake[Any](settings.patience)
        self._ends: Mapping[int, int] = {}
        self._stopping = False
        self._stopped = asyncio.Event()

    def stop(self) -> None:
        """Finish the block in hand and leave the group. To be called on the loop's thread."""
        self._stopping = True
        self._stopped.set()

    async def run(self) -> int:
        """Join the group and work until ``stop``; returns the exit code."""
        app = build_app(self._settings, self.seek_positions)
        topic = app.topic(self._settings.topic, key_serializer="raw", value_serializer="raw")
        app.agent(topic, concurrency=1, name="blocks")(self._blocks)
        # Another worker may claim what we are about to lose: let the block in hand be sealed before.
        app.on_partitions_revoked.connect(self._let_go)
        app.on_rebalance_complete.connect(self._see_assigned)
        tasks = [asyncio.create_task(self._guard(app.start())), asyncio.create_task(self._guard(self._watch(app)))]
        await self._stopped.wait()
        self._log.info("stopping")
        await self._finish_block()
        for task in tasks:
            task.cancel()
        await app.stop()
        return EXIT_DONE

    async def seek_positions(self, generation: int, partitions: set[int]) -> Mapping[int, int]:
        """Claim what was assigned; returns the offsets to read from."""
        self._log.info("assigned", partitions=sorted(partitions), generation=generation)
        # Until the claims are there, nothing that came before them may be worked on.
        self._generation = -1
        claiming = self._in_thread(lambda: self._desk.assign(partitions), "claiming partitions")
        positions = await self._guard(claiming)
        self._generation = generation
        self._joined = True
        return positions

    async def _blocks(self, stream: Any) -> None:
        """The agent: take, work, acknowledge. Nothing leaves it but by the end of the process."""
        working = asyncio.create_task(self._guard(self._work_for_ever(stream)))
        try:
            await self._guard(self._take_for_ever(stream))
        finally:
            working.cancel()

    async def _take_for_ever(self, stream: Any) -> None:
        settings = self._settings
        async for events in stream.noack_take(settings.messages_max, within=settings.hand_over_s):
            if not self._stopping:
                await self._intake.put((event, len(event.message.value or b"")) for event in events)

    async def _work_for_ever(self, stream: Any) -> None:
        while True:
            events = await self._intake.take()
            if self._stopping:
                continue
            # What was fetched before a rebalance comes again; its first delivery must not be mixed in.
            current = [event for event in events if event.message.generation_id == self._generation]
            records = [as_record(event) for event in current]
            for event in await self._in_thread(partial(self._desk.work, records), "a block"):
                await stream.ack(event)
            self._hooks.after_ack()

    async def _let_go(self, *_: Any, **__: Any) -> None:
        """Partitions are about to go: finish what is in hand of them."""
        self._joined = False
        self._generation = -1
        await self._finish_block()

    async def _see_assigned(self, app: Any, /, *_: Any, **__: Any) -> None:
        """Without a partition there is nothing to claim, and nothing to wait for."""
        self._joined = not app.consumer.assignment()

    async def _finish_block(self) -> None:
        """Wait until the thread has nothing in hand."""
        await self._in_thread(lambda: None, self._in_hand or "nothing")

    async def _watch(self, app: faust.App) -> None:
        """End the process when the log was made anew, when Faust gave up, or when nothing moves though it should."""
        loop = asyncio.get_running_loop()
        watchdog = Watchdog(self._settings.stall_limit_s, loop.time())
        reported_s = ends_s = loop.time()
        while not self._stopping:
            await asyncio.sleep(self._settings.watch_every_s)
            if app.crashed:
                raise Stop("Faust crashed")
            if not await loop.run_in_executor(self._watcher, self._hooks.log_unchanged):
                self._log.error("the log was made anew", topic=self._settings.topic)
                self._hooks.leave(EXIT_LOG_CHANGED)
            if loop.time() - ends_s > self._settings.ends_every_s:
                self._ends = await loop.run_in_executor(self._watcher, self._hooks.log_ends)
                ends_s = loop.time()
            lag = self._lag(app)
            complaint = watchdog.complaint(loop.time(), Sight(self._desk.blocks, lag, self._joined, self._in_hand))
            if complaint is not None:
                raise Stop(complaint)
            if loop.time() - reported_s > self._settings.report_every_s:
                reported_s = loop.time()
                self._log.info("so far", blocks=self._desk.blocks, lag=lag, **asdict(self._desk.totals))

    def _lag(self, app: faust.App) -> int:
        """How many messages our partitions hold beyond what is sealed, as far as we or the consumer have heard.

        The consumer alone would not do: what it cannot read it does not hear of.
        """
        sealed = self._desk.next_offsets()
        ends = {tp.partition: app.consumer.highwater(tp) or 0 for tp in app.consumer.assignment()}
        return sum(
            max(0, end - sealed[at], self._ends.get(at, 0) - sealed[at]) for at, end in ends.items() if at in sealed
        )

    async def _in_thread(self, work: Callable[[], Answer], what: str) -> Answer:
        """Do blocking work; raises ``Stop`` when it takes longer than anything may."""
        loop, limit_s = asyncio.get_running_loop(), self._settings.stall_limit_s
        self._in_hand = what
        try:
            return await asyncio.wait_for(loop.run_in_executor(self._worker, work), limit_s)
        except TimeoutError as error:
            raise Stop(f"{what} took more than {limit_s:.0f} s: {NO_ANSWER}") from error
        finally:
            self._in_hand = None

    async def _guard(self, work: Awaitable[Answer]) -> Answer:
        """Let nothing but an answer, or the loop's own end, come out of ``work``."""
        try:
            return await work
        except asyncio.CancelledError:
            raise
        except MillraceError as error:
            self._log.error("stopped", error=f"{type(error).__name__}: {error}", next=NEXT_STEP)
            return self._hooks.leave(EXIT_STOPPED)
        except BaseException:  # noqa: BLE001 - the process ends here; an exception that went on would acknowledge
            self._log.exception("stopped by something unforeseen", next=NEXT_STEP)
            return self._hooks.leave(EXIT_STOPPED)


def as_record(event: Any) -> Record:
    """What the desk needs of a Faust event."""
    message = event.message
    return Record(message.partition, message.offset, message.value, list(message.headers or ()), event)


def build_app(settings: DriverSettings, positions: Positions) -> faust.App:
    """Faust with everything off that loses or costs."""
    brokers = [URL(f"kafka://{address}") for address in settings.kafka.split(",")]
    app = faust.App(
        settings.group,
        broker=brokers,
        datadir=settings.folder,
        store="memory://",
        key_serializer="raw",
        value_serializer="raw",
        consumer_auto_offset_reset="earliest",
        consumer_max_fetch_size=settings.message_bytes_max,
        broker_session_timeout=settings.session_timeout_s,
        broker_rebalance_timeout=settings.session_timeout_s / 2,
        broker_heartbeat_interval=settings.session_timeout_s / 6,
        broker_commit_every=COMMIT_BY_THE_CLOCK_ONLY,
        stream_buffer_maxsize=settings.messages_max,
        # Waiting for acknowledgements that may never come is how Faust hangs; the ledger does not need them.
        stream_wait_empty=False,
        web_enabled=False,
        topic_disable_leader=True,
        topic_allow_declare=False,
    )
    app.transport = ledger_transport(app, brokers, positions)
    return app


def ledger_transport(app: faust.App, brokers: list[URL], positions: Positions) -> kafka_transport.Transport:
    """Faust's Kafka transport, but for where it starts to read after an assignment."""

    class LedgerConsumer(kafka_transport.Consumer):
        async def seek_to_committed(self) -> Mapping[Any, int]:
            assigned = self.assignment()
            offsets = await positions(self.app.consumer_generation_id, {tp.partition for tp in assigned})
            found = {tp: offsets[tp.partition] for tp in assigned}
            await self.seek_wait(found)
            return found

        async def wait_first(self, *coros: Any, timeout: Any = None) -> Any:
            # Faust makes four tasks to hand over one message, though its queue nearly always has room for it.
            if len(coros) == 1 or self.should_stop:
                return await super().wait_first(*coros, timeout=timeout)
            begun = Begun(coros[0])
            if not begun.is_done:
                return await super().wait_first(begun, *coros[1:], timeout=timeout)
            for other in coros[1:]:
                other.close()
            return WaitResults([coros[0]], [begun.answer], False)

    class LedgerTransport(kafka_transport.Transport):
        Consumer = LedgerConsumer

    return LedgerTransport(brokers, app)
