"""Parcels on their way to the log, across producers: one that can work no more is replaced, and all is sent again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from itertools import count
from typing import Protocol

from core.errors import Transient
from core.logs import get_logger
from ingest.codec import Headers
from ingest.parcel import Parcel
from ingest.problems import unconfirmed
from ingest.producer import OnReports, OnTrouble, Report


class Client(Protocol):
    """What is needed of a producer."""

    def send(self, token: int, partition: int, value: bytes, headers: Headers) -> None:
        """Queue a message; raises ``Transient``."""

    def flush(self, time_limit_s: float) -> None:
        """Wait for reports."""

    def close(self) -> None:
        """Drop what is queued and stop; may block."""


OpenClient = Callable[[OnReports, OnTrouble], Client]


class Delivery:
    """Sends parcels and hands each its confirmation. Everything here runs on the loop.

    A report of success can only belong to the log that was there when the parcel was sent, or to a later one; so a
    parcel is noted under the topic id known *before* it was sent, and at worst it is sent once too often.
    """

    def __init__(self, open_client: OpenClient, on_trouble: Callable[[], None]) -> None:
        self.open_client = open_client
        self.on_trouble = on_trouble
        self.tokens = count(1)
        self.in_flight: dict[int, Parcel] = {}
        self.in_flight_bytes = 0
        self.topic_id = ""
        self.client: Client | None = None
        self.generation = 0
        self.broken = False
        self.closings: set[asyncio.Task[None]] = set()
        self.log = get_logger("ingest.delivery")

    def renew(self, topic_id: str) -> None:
        """Start over with a new producer, under the log's present id; what is on its way is sent again, in order."""
        if self.client:
            closing = asyncio.ensure_future(asyncio.to_thread(self.client.close))
            self.closings.add(closing)
            closing.add_done_callback(self.closings.discard)
            self.log.warning("producer replaced", topic_id=topic_id, sent_again=len(self.in_flight))
        self.generation += 1
        self.broken = False
        self.topic_id = topic_id
        generation = self.generation
        self.client = self.open_client(
            lambda reports: self.note_reports(generation, reports),
            lambda name, fatal: self.note_trouble(generation, name, fatal=fatal),
        )
        again, self.in_flight, self.in_flight_bytes = list(self.in_flight.values()), {}, 0
        for parcel in again:
            if parcel.entry:
                parcel.entry.in_flight = False
            # One that nobody waits for any more is left to the journal, if it is there.
            if not parcel.settled:
                self.ship(parcel)

    def ship(self, parcel: Parcel) -> None:
        """Send a parcel; it is confirmed, or failed, once the log has reported."""
        token = next(self.tokens)
        self.in_flight[token] = parcel
        self.in_flight_bytes += len(parcel.value)
        if parcel.entry:
            parcel.entry.in_flight = True
        try:
            assert self.client, "nothing is accepted before the topic is known"
            self.client.send(token, parcel.partition, parcel.value, parcel.headers)
        except Transient as error:
            self.log.warning("a message was not queued", error=str(error))
            self.land(token)
            parcel.fail(unconfirmed("the log takes no more messages"))

    def land(self, token: int) -> Parcel | None:
        """Take a parcel out of those on their way."""
        parcel = self.in_flight.pop(token, None)
        if parcel:
            self.in_flight_bytes -= len(parcel.value)
            if parcel.entry:
                parcel.entry.in_flight = False
        return parcel

    def note_reports(self, generation: int, reports: list[Report]) -> None:
        """Delivery reports of one producer; those of a replaced one are about messages that were sent again."""
        if generation != self.generation:
            return
        for report in reports:
            if report.fatal:
                self.note_trouble(generation, report.error, fatal=True)
                continue
            parcel = self.land(report.token)
            if parcel is None:
                continue
            if report.error:
                parcel.fail(unconfirmed(f"the log answered {report.error}"))
                continue
            if parcel.entry:
                parcel.entry.topic_id = self.topic_id
            parcel.confirm()

    def note_trouble(self, generation: int, name: str, *, fatal: bool) -> None:
        """The connection has trouble, or this producer is done for."""
        if generation == self.generation:
            if fatal:
                self.log.error("the producer failed for good", error=name)
                self.broken = True
            self.on_trouble()

    async def close(self, time_limit_s: float) -> None:
        """Wait for the reports of what is on its way, then stop."""
        if self.client:
            await asyncio.to_thread(self.client.flush, time_limit_s)
            await asyncio.sleep(0)
            await asyncio.to_thread(self.client.close)
        if self.closings:
            await asyncio.wait(self.closings, timeout=time_limit_s)
