"""One gateway process: its parts, wired, and what it is ready for."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from uuid import UUID, uuid4

import pyarrow as pa

from core.logs import get_logger
from ingest.authorize import Authorizer
from ingest.coalesce import Coalescer
from ingest.config import GatewayConfig, GatewayParts
from ingest.delivery import Client, Delivery
from ingest.journal import Journal
from ingest.lane_loader import LaneLoader
from ingest.layout_memory import LayoutMemory
from ingest.metrics import GatewayMetrics
from ingest.parcel import Parcel
from ingest.pending import Pending
from ingest.problems import Busy, Unavailable, unconfirmed
from ingest.producer import LogClient, OnReports, OnTrouble, TopicProbe
from ingest.rows import Accepted
from ingest.segment import Entry
from ingest.watch import LogWatcher

FLUSH_S = 5.0
SWEEP_S = 0.25


class Gateway:
    """From rows to durable envelopes. Built outside the loop, started and stopped on it."""

    def __init__(self, config: GatewayConfig, parts: GatewayParts) -> None:
        self.config = config
        self.parts = parts
        self.producer: UUID = uuid4()
        self.authorizer = Authorizer(parts.find_key, parts.clock)
        self.pending = Pending(config.pending_bytes_max)
        self.metrics = GatewayMetrics(lambda: self.pending.held)
        self.probe = TopicProbe(config.kafka, config.topic, config.partitions, config.replication)
        self.layouts = LayoutMemory()
        self.lanes = LaneLoader()
        self.coalescer: Coalescer | None = None
        self.journal: Journal | None = None
        self.tasks: list[asyncio.Task[None]] = []
        self.log = get_logger("ingest.gateway")
        self.delivery = Delivery(self.open_client, self.note_trouble)
        self.watcher = LogWatcher(self)

    async def start(self) -> None:
        """Open the journal and begin to watch the log; events are taken once the topic is known."""
        config = self.config
        if config.fast_lane:
            self.lanes.start()
        if config.journal_dir:
            root = config.journal_dir / config.topic
            root.mkdir(parents=True, exist_ok=True)
            self.journal = Journal(root, self.producer.hex, self.parts.clock, self.metrics.note_journal_bytes)
            await self.journal.adopt()
        await self.watcher.tick()
        self.tasks = [asyncio.create_task(self.watcher.run()), asyncio.create_task(self.sweep())]

    async def stop(self) -> None:
        """Answer what waits as far as the log allows, then let go of everything."""
        self.lanes.stop()
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        if self.coalescer:
            self.coalescer.flush()
        await self.delivery.close(FLUSH_S)
        if self.journal:
            await asyncio.to_thread(self.journal.close)

    def open_client(self, on_reports: OnReports, on_trouble: OnTrouble) -> Client:
        """A fresh producer."""
        config = self.config
        return LogClient(config.kafka, config.topic, config.delivery_timeout_ms, on_reports, on_trouble)

    def open_door(self, partitions: int) -> None:
        """Events can be taken: the topic and its partitions are known."""
        linger_s = self.config.linger_ms / 1000
        self.coalescer = Coalescer(
            self.producer, partitions, linger_s, self.ship, self.parts.clock, write=self.lanes.write
        )

    def note_trouble(self) -> None:
        """The log should be looked at now rather than at the next turn."""
        self.watcher.wake.set()

    def admit(self) -> Coalescer:
        """The way in; raises ``Busy`` or ``Unavailable`` when a request had better come back later."""
        coalescer = self.coalescer
        if coalescer is None or self.watcher.mismatch:
            raise Unavailable("log_unavailable", "the log is not ready to take events")
        if self.parts.catalog() is None:
            raise Unavailable("catalog_unavailable", "the catalog is not loaded yet")
        if coalescer.oldest_age_s() > self.config.stall_s:
            raise Unavailable("log_unavailable", "the log does not confirm events at the moment")
        if self.journal and self.journal.size > self.config.journal_bytes_max:
            raise Busy("journal_full", "too many events wait to be stored", retry_after_s=10)
        return coalescer

    async def keep(self, rows: Sequence[Accepted], size: int) -> None:
        """Return once every event is in the log, and in the journal where there is one; raises ``Unavailable``.

        ``size`` is that of the body in which they came.
        """
        await self.admit().submit(rows, size)

    async def keep_apart(self, batch: pa.RecordBatch) -> None:
        """``keep`` for the corrections of one request, which share no message with others."""
        await self.admit().submit_apart(batch)

    def ship(self, parcel: Parcel) -> None:
        """Send a parcel to the log and, at the same time, to the journal."""
        if self.journal:
            parcel.confirmations = 2
            parcel.entry = Entry(parcel.producer, parcel.partition, parcel.sequence)
            self.journal.append(parcel.entry, parcel.value, lambda error: journaled(parcel, error))
        self.delivery.ship(parcel)

    async def sweep(self) -> None:
        """Fail, again and again, what was not confirmed in time."""
        while True:
            await asyncio.sleep(SWEEP_S)
            if self.coalescer:
                self.coalescer.expire(self.config.answer_time_limit_s)

    def readiness(self) -> dict[str, bool]:
        """What must be there before events can be taken, by name."""
        return {
            "broker": self.watcher.log_answers,
            "topic": self.coalescer is not None and not self.watcher.mismatch,
            "catalog": self.parts.catalog() is not None,
            "journal": self.journal is None or self.journal.healthy,
        }


def journaled(parcel: Parcel, error: OSError | None) -> None:
    """News from the journal about a parcel."""
    if error is None:
        parcel.confirm()
    else:
        parcel.fail(replace(unconfirmed("the journal cannot be written"), code="journal_unavailable"))
