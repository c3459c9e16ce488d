"""Watches the log: whether it answers, whether it is still the same one, and what it must be given again."""

from __future__ import annotations

import asyncio
from itertools import groupby
from typing import TYPE_CHECKING

from core.errors import Transient
from core.logs import get_logger
from ingest.codec import envelope_headers
from ingest.parcel import Parcel
from ingest.producer import TopicState
from ingest.segment import Entry, Segment

if TYPE_CHECKING:
    from ingest.gateway import Gateway

# While the log has trouble it is looked at this often at most.
TROUBLE_S = 0.05
# Bytes of journal entries on their way to the log at once, and how soon there is room for more.
REPLAY_BYTES = 16 * 1024 * 1024
REPLAY_S = 0.02


class LogWatcher:
    """Runs beside the requests; all decisions about the log's incarnation are made here, one after the other."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway
        self.wake = asyncio.Event()
        self.log_answers = False
        # The topic came back with another number of partitions: copies would no longer meet.
        self.mismatch = False
        self.sealed_looked_s = float("-inf")
        self.log = get_logger("ingest.watch")

    async def run(self) -> None:
        """Look at the log for ever."""
        while True:
            await asyncio.sleep(TROUBLE_S)
            try:
                async with asyncio.timeout(self.gateway.config.watch_interval_s):
                    await self.wake.wait()
            except TimeoutError:
                pass
            self.wake.clear()
            await self.tick()

    async def tick(self) -> None:
        """One look, and what follows from it."""
        try:
            state = await asyncio.to_thread(self.gateway.probe.look)
        except Transient as error:
            if self.log_answers:
                self.log.warning("the log does not answer", error=str(error))
            self.log_answers = False
            return
        self.log_answers = True
        self.meet(state)
        if self.gateway.journal:
            await self.forget_sealed()
            await self.replay()

    def meet(self, state: TopicState) -> None:
        """Compare the log with the one that was known."""
        gateway = self.gateway
        coalescer = gateway.coalescer
        self.mismatch = coalescer is not None and coalescer.partitions != state.partitions
        if self.mismatch:
            self.log.error("the topic has another number of partitions", partitions=state.partitions)
            return
        if state.topic_id != gateway.delivery.topic_id or gateway.delivery.broken:
            if gateway.delivery.topic_id and state.topic_id != gateway.delivery.topic_id:
                self.log.warning("the log was made anew", topic_id=state.topic_id)
            gateway.delivery.renew(state.topic_id)
        if coalescer is None:
            gateway.open_door(state.partitions)

    async def forget_sealed(self) -> None:
        """Let the journal drop what the stream has sealed."""
        gateway = self.gateway
        now_s = gateway.parts.clock.steady_s()
        if not gateway.journal or now_s - self.sealed_looked_s < gateway.config.sealed_interval_s:
            return
        self.sealed_looked_s = now_s
        try:
            sealed = await asyncio.to_thread(gateway.parts.sealed, gateway.config.topic)
        except Transient as error:
            # What is sealed may be sent again all the same: the stream knows it by its sequence.
            self.log.info("the ledger does not answer", error=str(error))
            return
        gateway.journal.forget_sealed(sealed)

    async def replay(self) -> None:
        """Give the log what another incarnation of it, or another gateway process, had taken."""
        journal, delivery = self.gateway.journal, self.gateway.delivery
        if not journal:
            return
        missing = journal.undelivered(delivery.topic_id)
        if missing:
            self.log.info("sending journal entries again", envelopes=len(missing))
        for segment, pairs in groupby(missing, key=lambda pair: pair[0]):
            entries = [entry for _segment, entry in pairs]
            while entries:
                batch = take_bytes(entries, REPLAY_BYTES // 4)
                entries = entries[len(batch) :]
                await self.send_again(segment, batch)
                while delivery.in_flight_bytes > REPLAY_BYTES:
                    if self.wake.is_set():
                        return
                    await asyncio.sleep(REPLAY_S)

    async def send_again(self, segment: Segment, entries: list[Entry]) -> None:
        """Send some entries of a segment with the producer and sequence that they had."""
        journal, delivery = self.gateway.journal, self.gateway.delivery
        assert journal, "only a journal has entries"
        for entry, value in zip(entries, await journal.read(segment, entries), strict=True):
            headers = envelope_headers(entry.producer, entry.sequence, value)
            delivery.ship(Parcel(entry.partition, entry.producer, entry.sequence, value, headers, entry=entry))


def take_bytes(entries: list[Entry], bytes_max: int) -> list[Entry]:
    """The first entries that fit ``bytes_max``, and at least one."""
    taken: list[Entry] = []
    size = 0
    for entry in entries:
        size += entry.size
        if taken and size > bytes_max:
            break
        taken.append(entry)
    return taken
