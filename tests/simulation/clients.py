"""What merchants send in a small world, and the catalogs that come one after the other."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache

from catalog.meter import Filter, Meter
from ingest.event import body_hash, event_key
from streams.compiled import Compiled, compile_catalog
from tests.streams.builders import NOON, Said, meter, snapshot

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


@dataclass(eq=False)
class Request:
    """Events sent together; ``remaining`` of its envelopes are not confirmed in the try under way."""

    events: tuple[Said, ...]
    acknowledged: bool = False
    remaining: int = 0
    tries: int = 0


@dataclass
class Clients:
    """All requests of a world. Whoever gets no answer asks again."""

    requests: list[Request]
    said: dict[tuple[bytes, int], Said] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for event in (event for request in self.requests for event in request.events):
            self.said[key_of(event), body_of(event)] = event

    def acknowledged(self) -> list[Said]:
        """Every event, as often as it was acknowledged."""
        return [event for request in self.requests if request.acknowledged for event in request.events]


def make_clients(chance: random.Random) -> Clients:
    """A few requests, with repeats and conflicting repeats among them."""
    fresh = iter(make_event(chance, number) for number in range(1000))
    sent: list[Said] = []
    requests = []
    for _ in range(chance.randint(2, 5)):
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


def key_of(event: Said) -> bytes:
    """The event's identity."""
    return event_key(event.merchant, event.source, event.id)


def body_of(event: Said) -> int:
    """The hash of what it says, as its gateway writes it."""
    return body_hash(event.type, event.subject, event.at.isoformat(), event.properties)


def split(events: Sequence[Said], partitions: int) -> dict[int, list[Said]]:
    """The events of each partition."""
    parts: dict[int, list[Said]] = {}
    for event in events:
        parts.setdefault(int.from_bytes(key_of(event)[:8], "big") % partitions, []).append(event)
    return parts
