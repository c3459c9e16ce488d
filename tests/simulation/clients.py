"""What merchants send in a small world, and the catalogs that come one after the other."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache
from typing import TypeVar

import pyarrow as pa

from catalog.meter import Filter, Meter
from ingest.correction import build_corrections
from ingest.event import AMEND, BACKFILL, CORRECTIONS, RELEASE, RETRACT, body_hash, event_key
from streams.compiled import Compiled, compile_catalog
from tests.streams.builders import NOON, Said, batch, meter, snapshot
from tests.streams.stories import Corrected, as_correction

# Each catalog makes something else of the same events: other windows, other customers, other refusals.
CATALOGS: tuple[tuple[tuple[Meter, ...], tuple[str, ...]], ...] = (
    ((meter("tokens", group_by=("model",)),), ("c-1",)),
    ((meter("tokens", group_by=("model",)), meter("size", "sum", "size")), ("c-1", "c-2")),
    (
        (
            meter("tokens", "sum", filters=(Filter("model", "ne", ("m0",)),)),
            meter("level", "latest"),
            meter("models", "unique", "model"),
        ),
        ("c-1", "c-2"),
    ),
)


@cache
def laid_out(variant: int) -> Compiled:
    """One of the catalogs, ready for blocks."""
    meters, subjects = CATALOGS[variant]
    return compile_catalog(snapshot(meters, subjects))


Sent = Said | Corrected
SomeSent = TypeVar("SomeSent", bound=Sent)


@dataclass(eq=False)
class Request:
    """Events, or corrections, sent together; ``remaining`` of its envelopes are not confirmed in the try under way."""

    sent: tuple[Sent, ...]
    acknowledged: bool = False
    remaining: int = 0
    tries: int = 0


@dataclass
class Clients:
    """All requests of a world. Whoever gets no answer asks again."""

    requests: list[Request]
    # By key and body: what each row of a message said.
    said: dict[tuple[bytes, int], Said] = field(default_factory=dict)
    # By key alone: what the event is called.
    named: dict[bytes, Said] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for one in (one for request in self.requests for one in request.sent):
            said = said_of(one)
            self.said[key_of(one), body_of(said)] = said
            self.named[key_of(one)] = said

    def correct(self) -> bool:
        """Whether there are corrections among them."""
        return any(isinstance(one, Corrected) for request in self.requests for one in request.sent)

    def acknowledged(self) -> list[Sent]:
        """Every event and correction, as often as it was acknowledged."""
        return [one for request in self.requests if request.acknowledged for one in request.sent]


def make_clients(chance: random.Random) -> Clients:
    """A few requests, with repeats, conflicting repeats and, in some worlds, corrections among them."""
    fresh = iter(make_event(chance, number) for number in range(1000))
    sent: list[Said] = []
    requests = []
    corrections_share = chance.choice((0, 0, 0, 0.5))
    for _ in range(chance.randint(2, 5)):
        if sent and chance.random() < corrections_share:
            requests.append(Request(some_corrections(chance, sent)))
            continue
        events = []
        for _ in range(chance.randint(1, 5)):
            kind = chance.random()
            if sent and kind < 0.25:
                events.append(chance.choice(sent))
            elif sent and kind < 0.35:
                events.append(otherwise(chance.choice(sent), chance))
            else:
                events.append(next(fresh))
            sent.append(events[-1])
        requests.append(Request(tuple(events)))
    return Clients(requests)


def some_corrections(chance: random.Random, sent: list[Said]) -> tuple[Sent, ...]:
    """Up to three events taken back, replaced, released or filled in late; some of them were never sent."""
    found: dict[str, Corrected] = {}
    for _ in range(chance.randint(1, 3)):
        said = chance.choice(sent) if chance.random() < 0.9 else make_event(chance, chance.randint(900, 905))
        action = chance.choices((RETRACT, AMEND, RELEASE, BACKFILL), (3, 3, 1, 1))[0]
        if action != RETRACT and chance.random() < 0.6:
            said = otherwise(said, chance)
        found[said.id] = Corrected(action, said)
        sent.append(said)
    return tuple(found.values())


def make_event(chance: random.Random, number: int) -> Said:
    """A new event: mostly good, sometimes of an unknown customer or type, sometimes with an impossible value."""
    tokens = "many" if chance.random() < 0.08 else f"{chance.randint(-5, 999)}.{chance.randint(0, 999):03}"
    properties = {"tokens": tokens, "model": f"m{chance.randint(0, 1)}"}
    if chance.random() < 0.7:
        properties["size"] = str(chance.randint(0, 9))
    return Said(
        f"e{number}",
        properties,
        type="unheard" if chance.random() < 0.05 else "call",
        subject=chance.choices(("c-1", "c-2", "c-3"), (6, 3, 1))[0],
        at=NOON + timedelta(seconds=chance.randint(0, 150)),
    )


def otherwise(event: Said, chance: random.Random) -> Said:
    """The same id with another body."""
    properties = {**event.properties, "tokens": str(chance.randint(1000, 2000))}
    return Said(event.id, properties, event.type, event.subject, event.merchant, event.at)


def said_of(one: Sent) -> Said:
    """The event itself, or the one that is corrected as it shall be."""
    return one.said if isinstance(one, Corrected) else one


def name_of(one: Sent) -> str:
    """What it is called in a trace."""
    return f"{CORRECTIONS[one.action - 1]} {one.said.id}" if isinstance(one, Corrected) else one.id


def key_of(one: Sent) -> bytes:
    """The event's identity."""
    said = said_of(one)
    return event_key(said.merchant, said.source, said.id)


def body_of(event: Said) -> int:
    """The hash of what it says, as its gateway writes it."""
    return body_hash(event.type, event.subject, event.at.isoformat(), event.properties)


def split(sent: Sequence[SomeSent], partitions: int) -> dict[int, list[SomeSent]]:
    """What goes to each partition."""
    parts: dict[int, list[SomeSent]] = {}
    for one in sent:
        parts.setdefault(int.from_bytes(key_of(one)[:8], "big") % partitions, []).append(one)
    return parts


def batch_of(sent: Sequence[Sent], received_at: datetime) -> pa.RecordBatch:
    """The columns of an envelope."""
    corrections = [as_correction(one) for one in sent if isinstance(one, Corrected)]
    if corrections:
        return build_corrections(corrections, received_at)
    return batch([one for one in sent if isinstance(one, Said)], received_at)
