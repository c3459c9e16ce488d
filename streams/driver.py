"""Faust as the driver, in the subset of it that loses nothing.

One agent with ``concurrency=1`` takes messages with ``noack_take``; they are acknowledged in order, and only after
their block is sealed. No exception crosses the agent's loop: whatever was not foreseen ends the process at once,
because Faust acknowledges what an exception passes. No tables, web server, leader topic or topics made by Faust.

Where to read from is the ledger's word: group offsets are written as a hint for lag monitors and never read. All
blocking work happens in threads, so that heartbeats go on. Each partition has a loop of its own that does one block
after the other, so that none waits for a slower one; what comes meanwhile is gathered for its next block.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, NoReturn, TypeVar

import faust

from core.errors import MillraceError, Stop
from core.logs import get_logger
from streams.desk import Desk, Record
from streams.faust_app import DriverSettings, build_app
from streams.intake import Intake
from streams.watchdog import NO_ANSWER, Sight, Watchdog

Answer = TypeVar("Answer")

EXIT_DONE = 0
# Something that was not foreseen, or that must not go on: a fresh start sorts it out or stops at the same place.
EXIT_STOPPED = 70
# The log was made anew under our feet; a fresh start claims its new incarnation.
EXIT_LOG_CHANGED = 71
NEXT_STEP = "start the worker again: it goes on where the ledger stands; if it stops again, mend what the error names"


@dataclass(frozen=True, slots=True)
class Hooks:
    """What the driver asks the outside.

    ``log_unchanged`` says whether the topic still is the one we started with, and True when nobody can tell. It may
    take a while. So may ``log_ends``: for each partition the offset after the last message, empty when nobody can tell.
    ``leave`` ends the process at once, without any clean-up. ``joined`` hears, perhaps repeatedly, that we are of
    the group and have claimed what we were given.
    """

    log_unchanged: Callable[[], bool]
    log_ends: Callable[[], Mapping[int, int]] = dict
    leave: Callable[[int], NoReturn] = os._exit
    after_ack: Callable[[], object] = lambda: None
    joined: Callable[[], object] = lambda: None


class Driver:
    """Runs a desk on a Kafka topic until it is told to stop."""

    def __init__(self, settings: DriverSettings, desk: Desk, hooks: Hooks) -> None:
        self._settings = settings
        self._desk = desk
        self._hooks = hooks
        self._log = get_logger("streams")
        self._worker = ThreadPoolExecutor(settings.blocks_at_once, "blocks")
        self._slots = asyncio.Semaphore(settings.blocks_at_once)
        self._watcher = ThreadPoolExecutor(max_workers=1, thread_name_prefix="watch")
        self._generation = -1
        self._joined = False
        self._in_hand: dict[Future[Any], str] = {}
        self._patience = settings.patience
        self._intakes: dict[int, Intake[Any]] = {}
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
        await self._finish_blocks()
        for task in tasks:
            task.cancel()
        await app.stop()
        return EXIT_DONE

    async def seek_positions(self, generation: int, partitions: set[int]) -> Mapping[int, int]:
        """Claim what was assigned; returns the offsets to read from."""
        self._log.info("assigned", partitions=sorted(partitions), generation=generation)
        # Until the claims are there, nothing that came before them may be worked on.
        self._generation = -1
        self._patience = self._settings.patience.of_each(len(partitions))
        for intake in self._intakes.values():
            intake.patience = self._patience
        await self._guard(self._finish_blocks())
        claiming = self._in_thread(lambda: self._desk.assign(partitions), "claiming partitions")
        positions = await self._guard(claiming)
        self._generation = generation
        self._see_joined()
        return positions

    async def _blocks(self, stream: Any) -> None:
        """The agent: take, work, acknowledge. Nothing leaves it but by the end of the process."""
        loops: list[asyncio.Task[None]] = []

        def intake_of(partition: int) -> Intake[Any]:
            if partition not in self._intakes:
                intake = self._intakes[partition] = Intake[Any](self._patience)
                loops.append(asyncio.create_task(self._guard(self._work_for_ever(intake, stream))))
            return self._intakes[partition]

        try:
            await self._guard(self._take_for_ever(stream, intake_of))
        finally:
            for loop in loops:
                loop.cancel()
            self._intakes.clear()

    async def _take_for_ever(self, stream: Any, intake_of: Callable[[int], Intake[Any]]) -> None:
        settings = self._settings
        async for events in stream.noack_take(settings.messages_max, within=settings.hand_over_s):
            by_partition: dict[int, list[tuple[Any, int]]] = {}
            for event in events:
                message = event.message
                by_partition.setdefault(message.partition, []).append((event, len(message.value or b"")))
            for partition, sized in by_partition.items():
                if not self._stopping:
                    await intake_of(partition).put(sized)

    async def _work_for_ever(self, intake: Intake[Any], stream: Any) -> None:
        """One partition's blocks, one after the other."""
        while True:
            await intake.due()
            async with self._slots:
                # What came while others were at work goes along.
                events = intake.taken()
                # What was fetched before a rebalance comes again; its first delivery must not be mixed in.
                current = [event for event in events if event.message.generation_id == self._generation]
                if self._stopping or not current:
                    continue
                records = [as_record(event) for event in current]
                done = await self._in_thread(partial(self._desk.work, records), "a block")
            for event in done:
                await stream.ack(event)
            self._hooks.after_ack()

    async def _let_go(self, *_: Any, **__: Any) -> None:
        """Partitions are about to go: finish what is in hand of them."""
        self._joined = False
        self._generation = -1
        await self._finish_blocks()

    async def _see_assigned(self, app: Any, /, *_: Any, **__: Any) -> None:
        """Without a partition there is nothing to claim, and nothing to wait for."""
        self._joined = False
        if not app.consumer.assignment():
            self._see_joined()

    def _see_joined(self) -> None:
        self._joined = True
        self._hooks.joined()

    async def _finish_blocks(self) -> None:
        """Wait until no thread has anything in hand; raises ``Stop`` when that takes longer than anything may."""
        limit_s, in_hand = self._settings.stall_limit_s, dict(self._in_hand)
        if not in_hand:
            return
        _, late = await asyncio.wait([asyncio.wrap_future(work) for work in in_hand], timeout=limit_s)
        if late:
            raise Stop(f"{next(iter(in_hand.values()))} took more than {limit_s:.0f} s: {NO_ANSWER}")

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
            lag, in_hand = self._lag(app), next(iter(tuple(self._in_hand.values())), None)
            complaint = watchdog.complaint(loop.time(), Sight(self._desk.blocks, lag, self._joined, in_hand))
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
        limit_s = self._settings.stall_limit_s
        running = self._worker.submit(work)
        self._in_hand[running] = what
        running.add_done_callback(lambda done: self._in_hand.pop(done, None))
        try:
            return await asyncio.wait_for(asyncio.wrap_future(running), limit_s)
        except TimeoutError as error:
            raise Stop(f"{what} took more than {limit_s:.0f} s: {NO_ANSWER}") from error

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
