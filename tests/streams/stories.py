"""Stories of events and corrections: told to a partition, and to plain Python that knows nothing of its code."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from catalog.meter import Filter, Meter
from catalog.snapshot import Snapshot
from core.clock import ManualClock
from ingest.correction import Content, Correction, FillAsked, build_corrections, build_fill
from ingest.event import AMEND, BACKFILL, RELEASE, RETRACT, Envelope, body_hash
from streams.claim import Claims, LogSeen
from streams.compiled import Compiled, compile_catalog
from streams.decode import Message, Readable
from streams.ledger_memory import MemoryLedger
from streams.partition import Partition
from streams.retry import Retry, RetryPolicy
from streams.sink import Moment, Parts, no_failpoint
from streams.store import BlockStore
from tests.streams.builders import NOON, PRODUCER, Said, batch, meter, minutes, snapshot


@dataclass(frozen=True)
class Corrected:
    """One correction as a test thinks of it: of the event with the id that ``said`` has."""

    action: int
    said: Said


@dataclass(frozen=True)
class Filled:
    """A fill of one meter between two minutes after noon."""

    meter_id: str
    since: int
    until: int


Told = Sequence[Said] | Sequence[Corrected] | Filled


def retract(event_id: str) -> Corrected:
    """Take an event back."""
    return Corrected(RETRACT, Said(event_id))


def amend(said: Said) -> Corrected:
    """Put another content in its place."""
    return Corrected(AMEND, said)


def release(said: Said) -> Corrected:
    """Count it at last."""
    return Corrected(RELEASE, said)


def backfill(said: Said) -> Corrected:
    """Hold it for a backfill."""
    return Corrected(BACKFILL, said)


def hash_of(said: Said) -> int:
    """What an event says."""
    return body_hash(said.type, said.subject, said.at.isoformat(), said.properties)


def as_correction(corrected: Corrected) -> Correction:
    """The same as its message has it."""
    said = corrected.said
    content = Content(said.type, said.subject, said.at, said.properties, hash_of(said))
    return Correction(
        corrected.action,
        said.merchant,
        said.source,
        said.id,
        "cor_1",
        None if corrected.action == RETRACT else content,
    )


def message_of(told: Told, offset: int) -> Message:
    """One message of the log."""
    if isinstance(told, Filled):
        asked = FillAsked(f"fil_{offset}", "mer_a", told.meter_id, minutes(told.since), minutes(told.until))
        return Readable(offset, Envelope(PRODUCER, offset + 1, build_fill(asked, NOON)))
    if told and isinstance(told[0], Corrected):
        corrections = [as_correction(one) for one in told if isinstance(one, Corrected)]
        return Readable(offset, Envelope(PRODUCER, offset + 1, build_corrections(corrections, NOON)))
    return Readable(offset, Envelope(PRODUCER, offset + 1, batch([one for one in told if isinstance(one, Said)])))


@dataclass(frozen=True)
class Variant:
    """A catalog: meters and the subjects that it knows."""

    meters: tuple[Meter, ...]
    subjects: tuple[str, ...] = ("c-1", "c-2")


ALL = (
    meter("calls", "count"),
    meter("sum", "sum", "v"),
    meter("min", "min", "v", group_by=("g",)),
    meter("max", "max", "v"),
    meter("last", "latest", "v"),
    meter("names", "unique", "u"),
)
FEW = (meter("calls", "count"), meter("sum", "sum", "v"))
# The same ids with other rules: another value, a filter, another type, another aggregation.
CHANGED = (
    meter("calls", "count", filters=(Filter("u", "eq", ("a",)),)),
    meter("sum", "sum", "w"),
    meter("min", "min", "v", group_by=("u",)),
    meter("max", "max", "v", event_type="other"),
    meter("last", "sum", "v"),
    meter("names", "unique", "g"),
)
VARIANTS = (
    Variant(ALL),
    Variant(FEW),
    Variant(CHANGED),
    Variant((*ALL, meter("late", "sum", "w")), ("c-1", "c-2", "c-3")),
    Variant((), ("c-1",)),
)


@dataclass
class Deployment:
    """One partition with its ledger, a store and a catalog that changes; ``variants[v]`` is catalog version v."""

    store: BlockStore
    variants: list[Variant] = field(default_factory=lambda: [VARIANTS[0]])
    clock: ManualClock = field(default_factory=lambda: ManualClock(NOON))
    ledger: MemoryLedger = field(init=False)

    def __post_init__(self) -> None:
        self.ledger = MemoryLedger(self.clock, lambda: len(self.variants) - 1)

    def catalog(self, version: int) -> Compiled:
        """One version, laid out."""
        variant = self.variants[version]
        found = snapshot(variant.meters, variant.subjects)
        return compile_catalog(Snapshot(version, found.meters, found.customers))

    def claim(self, failpoint: Callable[[Moment], None] = no_failpoint, rows_max: int = 100) -> Partition:
        """A fresh worker on the partition."""
        patience = Retry(RetryPolicy(give_up_s=1), self.clock, lambda wait_s: self.clock.advance(seconds=wait_s))
        parts = Parts(self.ledger, self.store, self.catalog, patience, failpoint)
        return Claims(parts, LogSeen("usage", 1), owner="w", clock=self.clock, rows_max=rows_max).claim(0)

    def tell(self, *story: Told) -> None:
        """Feed messages to a fresh worker, after those that are sealed."""
        partition = self.claim()
        log = [message_of(told, offset) for offset, told in enumerate(story, start=partition.next_offset)]
        while log:
            del log[: partition.advance(log).count]

    def blocks(self) -> Iterator[tuple[int, int, int]]:
        """First and last offset and catalog version of each sealed block."""
        for block in self.ledger.partitions["usage", 0].blocks:
            if block.state == "sealed":
                yield block.intent.first_offset, block.intent.last_offset, block.intent.catalog_version
