"""A gateway by its promises: acknowledge when log and journal have everything; give a new log what it lacks."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from uuid import UUID

from core.errors import Transient
from ingest.codec import Headers, encode_envelope
from ingest.event import Envelope
from ingest.sealed import SealedState
from tests.simulation.clients import Request, batch_of, name_of, split
from tests.simulation.log import MemoryLog


@dataclass(eq=False)
class Kept:
    """An envelope as a journal keeps it. ``topic_id`` is the life of the log that confirmed it."""

    producer: UUID
    partition: int
    sequence: int
    value: bytes
    headers: Headers
    topic_id: str = ""


@dataclass(eq=False)
class Parcel:
    """An envelope on its way: what is still to be done for it, in an order that chance chose."""

    kept: Kept
    request: Request
    todo: list[str]


@dataclass(eq=False)
class Gateway:
    """One gateway process. ``journal`` survives it."""

    producer: UUID
    log: MemoryLog
    chance: random.Random
    with_journal: bool
    land_later: Callable[[str, Callable[[], object]], None]
    journal: list[Kept] = field(default_factory=list)
    parcels: list[Parcel] = field(default_factory=list)
    sequences: dict[int, int] = field(default_factory=dict)

    def take(self, request: Request, received_at: datetime) -> None:
        """Begin with a request."""
        parts = split(request.sent, self.log.partitions)
        request.remaining = len(parts)
        request.tries += 1
        for partition, sent in parts.items():
            sequence = self.sequences[partition] = self.sequences.get(partition, 0) + 1
            value, headers = encode_envelope(Envelope(self.producer, sequence, batch_of(sent, received_at)))
            todo = ["journal", "log"] if self.with_journal else ["log"]
            self.chance.shuffle(todo)
            self.parcels.append(Parcel(Kept(self.producer, partition, sequence, value, headers), request, todo))

    def step(self, note: Callable[[str], None]) -> None:
        """Do one thing for one parcel; the last one of a request is its acknowledgement."""
        parcel = self.chance.choice(self.parcels)
        kept = parcel.kept
        if parcel.todo[0] == "journal":
            self.journal.append(kept)
        else:
            try:
                self.produce(kept)
            except Transient:
                self.fail(parcel)
                return
            kept.topic_id = self.log.topic_id
        note(f"{parcel.todo[0]} takes {self.name(kept)}")
        del parcel.todo[0]
        if not parcel.todo:
            self.parcels.remove(parcel)
            parcel.request.remaining -= 1
            if parcel.request.remaining == 0:
                parcel.request.acknowledged = True
                note(f"acknowledged: {[name_of(one) for one in parcel.request.sent]}")

    def produce(self, kept: Kept) -> None:
        """Write to the log; raises ``Transient`` when no report comes, whatever became of the message."""
        send = partial(self.log.append, kept.partition, kept.value, kept.headers)
        kind = self.chance.random()
        if kind < 0.03:
            self.land_later(f"produce {self.name(kept)}", send)
            raise Transient("no report")
        send()
        if kind < 0.06:
            raise Transient("no report")
        if kind < 0.11:
            # The producer was replaced before the report came: sent again, and nobody can tell.
            send()

    def fail(self, parcel: Parcel) -> None:
        """The request has its 503; whatever is on its way stays wherever it came to."""
        self.parcels = [other for other in self.parcels if other.request is not parcel.request]

    def watch(self, sealed: SealedState, note: Callable[[str], None]) -> None:
        """Forget what is sealed, and give the log what its present life has not confirmed."""
        if not self.log.answers:
            return
        self.journal[:] = [
            kept for kept in self.journal if not sealed.holds(kept.partition, kept.producer.bytes, kept.sequence)
        ]
        for kept in self.journal:
            if kept.topic_id != self.log.topic_id and not self.under_way(kept):
                self.log.append(kept.partition, kept.value, kept.headers)
                kept.topic_id = self.log.topic_id
                note(f"log takes {self.name(kept)} again")
                if self.chance.random() < 0.1:
                    # The rest waits for the next look; whoever is killed now has sent a part of them.
                    return

    def under_way(self, kept: Kept) -> bool:
        """Whether a parcel will still bring it to the log."""
        return any(parcel.kept is kept and "log" in parcel.todo for parcel in self.parcels)

    def adopt(self, journal: list[Kept]) -> None:
        """Take over what a dead gateway left; which life of the log confirmed it is not written there."""
        for kept in journal:
            kept.topic_id = ""
        self.journal += journal

    def name(self, kept: Kept) -> str:
        """An envelope in a trace."""
        return f"envelope {kept.producer.int}:{kept.sequence} of partition {kept.partition}"
