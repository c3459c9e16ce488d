"""Events of concurrent requests, gathered for a few milliseconds into one envelope a partition."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from uuid import UUID

import pyarrow as pa

from core.clock import Clock
from core.limits import ENVELOPE_BYTES_MAX, ENVELOPE_EVENTS_MAX
from ingest.codec import PACK_FROM_BYTES, encode_envelope, envelope_headers
from ingest.columns import build_batch, join_keys, split_by_partition
from ingest.event import Envelope, partition_of
from ingest.parcel import Parcel, Tell, Waiter
from ingest.problems import unconfirmed
from ingest.rows import Accepted, Rows

# From this many events on, a request is taken to touch every partition.
FEW = 64
# Bodies beyond this are packed at once, so that an envelope stays well below its limit.
GATHER_BYTES_MAX = 4 * 1024 * 1024
# Where so many requests shared the last messages the next are expected, too: they are worth waiting for. What a set of
# messages costs is shared by those who come at 2,000 requests a second in this time, and an answer stays below 20 ms.
CROWD = 4
CROWD_LINGER_S = 0.008
# So many events a second come in large requests, which nobody waits for one at a time: a message costs the log and the
# worker half a millisecond, whatever it holds, and an answer that takes this much longer is still a fast one.
BUSY_EVENTS_PER_S = 30_000
BUSY_LINGER_S = 0.02
COUNTED_S = 0.25

Ship = Callable[[Parcel], None]
# Writes accepted events for so many partitions as finished messages; None when that cannot be done yet.
Write = Callable[[Sequence[Accepted], int], list[tuple[int, bytes]] | None]


class Coalescer:
    """Gathers rows and ships parcels. Waits for more only while earlier parcels are under way, so idle means fast."""

    def __init__(
        self,
        producer: UUID,
        partitions: int,
        linger_s: float,
        ship: Ship,
        clock: Clock,
        *,
        write: Write = lambda _gathered, _partitions: None,
    ) -> None:
        self.producer = producer
        self.partitions = partitions
        self.linger_s = linger_s
        self.ship = ship
        self.clock = clock
        self.write = write
        self.sequences = [0] * partitions
        self.gathered: list[Accepted] = []
        self.waiters: list[tuple[Waiter, Sequence[Accepted]]] = []
        # Waiters of one event each, with its partition.
        self.singles: list[tuple[int, Waiter]] = []
        # What has to be done before packing, by those who gather themselves, and how many requests they hold.
        self.before_packing: Callable[[], None] | None = None
        self.held_back = 0
        self.events = 0
        self.size = 0
        # How many requests shared the last messages.
        self.crowd = 0
        # Events since a moment, and whether there were many in the span before.
        self.counted, self.counted_from_s = 0, clock.steady_s()
        self.busy = False
        # A dict for its order: the oldest comes first.
        self.under_way: dict[Parcel, None] = {}
        self.timer: asyncio.Handle | None = None
        # Whether the timer runs out in this round of the loop.
        self.due = False

    def submit(self, rows: Sequence[Accepted], size: int) -> asyncio.Future[None]:
        """Take a request of at most ``ENVELOPE_EVENTS_MAX`` events that came as ``size`` bytes.

        The future is done once all of them are safe, and fails with ``Unavailable`` when that is not known.
        """
        future = asyncio.get_running_loop().create_future()
        self.submit_telling(rows, size, partial(resolve, future))
        return future

    def submit_telling(self, rows: Sequence[Accepted], size: int, tell: Tell) -> None:
        """``submit`` for whoever wants to be called."""
        self.gather(rows, size)
        self.waiters.append((Waiter(tell), rows))
        self.prompt()

    def submit_each(self, rows: Sequence[Accepted], size: int, homes: list[tuple[int, Tell]]) -> None:
        """``submit_telling`` for requests of one event: whom to tell of each, with its partition, in order."""
        self.gather(rows, size)
        self.singles += [(home, Waiter(tell)) for home, tell in homes]
        self.prompt()

    def gather(self, rows: Sequence[Accepted], size: int) -> None:
        """Enter events, after packing those that were there where they would be too many."""
        events = sum(map(len, rows))
        if self.events + events > ENVELOPE_EVENTS_MAX:
            self.flush()
        self.gathered += rows
        self.events += events
        self.size += size
        self.count(events)

    def count(self, events: int) -> None:
        """Know whether times are busy."""
        self.counted += events
        span_s = self.clock.steady_s() - self.counted_from_s
        if span_s > COUNTED_S:
            self.busy = self.counted > BUSY_EVENTS_PER_S * span_s
            self.counted, self.counted_from_s = 0, self.counted_from_s + span_s

    def hold_back(self, before_packing: Callable[[], None], *, full: bool) -> None:
        """One more request will be submitted when events are packed: now when its gatherer is full, else as usual."""
        self.before_packing = before_packing
        self.held_back += 1
        if full:
            self.flush()
        else:
            self.prompt()

    def prompt(self) -> None:
        """See to it that what was gathered is packed in time."""
        if self.events >= ENVELOPE_EVENTS_MAX or self.size > GATHER_BYTES_MAX:
            self.flush()
        elif self.due:
            return
        elif not self.under_way and self.all_here():
            if self.timer:
                self.timer.cancel()
            # Whatever else has arrived in this round of the loop still gets in.
            self.timer, self.due = asyncio.get_running_loop().call_soon(self.flush), True
        elif self.timer is None:
            self.timer = asyncio.get_running_loop().call_later(self.patience_s(), self.flush)

    def all_here(self) -> bool:
        """Whether there is nobody to wait for: the last messages were not shared, or as many wait as shared them."""
        if self.crowd < CROWD:
            return not self.busy
        return len(self.waiters) + len(self.singles) + self.held_back >= self.crowd

    def patience_s(self) -> float:
        """How long the first request waits for others."""
        if self.busy:
            return BUSY_LINGER_S
        return self.linger_s if self.crowd < CROWD else CROWD_LINGER_S

    def flush(self) -> None:
        """Pack what was gathered and ship it."""
        if self.before_packing:
            before_packing, self.before_packing, self.held_back = self.before_packing, None, 0
            before_packing()
        if self.timer:
            self.timer.cancel()
            self.timer, self.due = None, False
        if not self.gathered:
            return
        gathered, waiters, singles = self.gathered, self.waiters, self.singles
        self.gathered, self.waiters, self.singles, self.events, self.size = [], [], [], 0, 0
        self.crowd = len(waiters) + len(singles)
        parcels = list(self.pack(gathered))
        for home, waiter in singles:
            for parcel in parcels:
                if parcel.partition == home:
                    parcel.waiters.append(waiter)
                    waiter.remaining += 1
        for waiter, rows in waiters:
            touched = touched_partitions(rows, self.partitions)
            for parcel in parcels:
                if touched is None or parcel.partition in touched:
                    parcel.waiters.append(waiter)
                    waiter.remaining += 1
        self.send_off(parcels)

    def submit_apart(self, batch: pa.RecordBatch) -> asyncio.Future[None]:
        """Take a request's corrections: messages of their own, after all that was gathered before them.

        The future is that of ``submit``.
        """
        self.flush()
        future = asyncio.get_running_loop().create_future()
        waiter = Waiter(partial(resolve, future))
        keys = b"".join(batch.column("key").to_pylist())
        parts = split_by_partition(batch, keys, self.partitions)
        parcels = [parcel for partition, part in parts for parcel in self.wrap(partition, part)]
        waiter.remaining = len(parcels)
        for parcel in parcels:
            parcel.waiters.append(waiter)
        self.send_off(parcels)
        return future

    def send_off(self, parcels: list[Parcel]) -> None:
        """Ship parcels, and know that they are under way."""
        now_s = self.clock.steady_s()
        for parcel in parcels:
            parcel.shipped_s = now_s
            self.under_way[parcel] = None
            self.ship(parcel)

    def pack(self, gathered: list[Accepted]) -> Iterator[Parcel]:
        """Envelopes of what was gathered, by partition."""
        written = self.write(gathered, self.partitions)
        if written is not None:
            for partition, value in written:
                yield from self.number(partition, value)
            return
        rows = [part for part in gathered if isinstance(part, Rows)]
        assert len(rows) == len(gathered), "whoever accepts sheets can write them"
        for partition, events in split_by_partition(build_batch(rows), join_keys(rows), self.partitions):
            yield from self.wrap(partition, events)

    def number(self, partition: int, value: bytes) -> Iterator[Parcel]:
        """Number an envelope that is encoded already; a large one is packed, and halved where that does not do."""
        if len(value) >= PACK_FROM_BYTES:
            yield from self.wrap(partition, pa.ipc.open_stream(value).read_next_batch())
            return
        self.sequences[partition] += 1
        sequence = self.sequences[partition]
        headers = envelope_headers(self.producer.bytes, sequence, value)
        yield Parcel(partition, self.producer.bytes, sequence, value, headers, on_settled=self.settled)

    def wrap(self, partition: int, events: pa.RecordBatch) -> Iterator[Parcel]:
        """Number and encode an envelope; one that is too large for a message is halved."""
        sequence = self.sequences[partition] + 1
        value, headers = encode_envelope(Envelope(self.producer, sequence, events))
        if len(value) > ENVELOPE_BYTES_MAX and len(events) > 1:
            half = len(events) // 2
            yield from self.wrap(partition, events.slice(0, half))
            yield from self.wrap(partition, events.slice(half))
            return
        self.sequences[partition] = sequence
        yield Parcel(partition, self.producer.bytes, sequence, value, headers, on_settled=self.settled)

    def settled(self, parcel: Parcel) -> None:
        """A parcel is through, or has failed: once none is under way there is nothing to wait for but a crowd."""
        self.under_way.pop(parcel, None)
        if not self.under_way and self.timer and self.all_here():
            self.flush()

    def oldest_age_s(self) -> float:
        """How long the oldest parcel has been under way; 0 when there is none."""
        oldest = next(iter(self.under_way), None)
        return self.clock.steady_s() - oldest.shipped_s if oldest else 0.0

    def expire(self, age_max_s: float) -> None:
        """Fail parcels that were not confirmed in time; they may be in the log all the same."""
        end_s = self.clock.steady_s() - age_max_s
        for parcel in [parcel for parcel in self.under_way if parcel.shipped_s < end_s]:
            parcel.fail(unconfirmed("the log did not confirm in time"))


def resolve(future: asyncio.Future[None], error: Exception | None) -> None:
    """Let whoever awaits a future know."""
    if future.done():
        return
    if error:
        future.set_exception(error)
    else:
        future.set_result(None)


def touched_partitions(rows: Sequence[Accepted], partitions: int) -> set[int] | None:
    """The partitions of a request's events, or ``None`` for all of them."""
    if sum(map(len, rows)) >= FEW:
        return None
    return {partition_of(key, partitions) for part in rows for key in part.keys}
