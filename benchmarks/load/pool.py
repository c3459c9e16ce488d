"""The pool: whole requests as bytes, made once; each round only ids, times and keys are written anew."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
import numpy.typing as npt

from benchmarks.load.base import Base
from benchmarks.load.kinds import Kinds, kinds_of_pool
from benchmarks.load.plan import LoadPlan, id_text
from benchmarks.load.wire import KEY_WIDTH, Head
from runtime.traffic.draws import Ints, bits, draw, pick_table, split
from runtime.traffic.events import Identity, facts_of, shape_of
from runtime.traffic.plan import LATE_HOURS
from runtime.traffic.rows import ROW, empty_rows, make_writer

Bytes = npt.NDArray[np.uint8]
OPEN, COMMA, CLOSE = ord("["), ord(","), ord("]")
BAD_DAY = b"2023-13-45"
MERCHANT_BITS = 20


@dataclass(frozen=True, slots=True)
class Stripe:
    """Requests ``first`` up to ``last`` of the pool, freshly written for a round, and whose each of them is."""

    number: int
    first: int
    last: int
    merchants: Ints


class Pool:
    """Bodies of a plan. A stripe must not be written while one of its requests is under way."""

    def __init__(self, plan: LoadPlan, head: Head, keys: Bytes, base: Base) -> None:
        self.plan, self.head, self.keys, self.base = plan, head, keys, base
        self.kinds: Kinds = kinds_of_pool(plan)
        body_at = len(head.text)
        width = body_at + 1 + plan.request_events * ROW.itemsize
        self.bytes: Bytes = np.empty((plan.pool_requests, width), dtype=np.uint8)
        self.bytes[:, :body_at] = np.frombuffer(head.text, dtype=np.uint8)
        self.bytes[:, body_at] = OPEN
        shape = (plan.pool_requests, plan.request_events)
        strides = (width, ROW.itemsize)
        self.rows: npt.NDArray[np.void] = np.ndarray(shape, ROW, self.bytes.data, body_at + 1, strides)
        self.events: Bytes = np.ndarray((*shape, ROW.itemsize), np.uint8, self.bytes.data, body_at + 1, (*strides, 1))
        self.tables = {hot: pick_table(plan.merchant_weights(hot=hot), MERCHANT_BITS) for hot in (True, False)}
        self.views = [memoryview(request.data) for request in self.bytes]
        self.days: list[bytes] = [b""] * (plan.pool_requests // plan.stripe_requests)
        self.fill()

    def fill(self) -> None:
        """Write everything that stays as it is: what the events say, and their places in the pool."""
        plan = self.plan
        traffic = plan.traffic(plan.pool_events)
        shape, writer = shape_of(traffic), make_writer(traffic)
        scratch = empty_rows(plan.request_events)
        for request in range(plan.pool_requests):
            ordinals = np.arange(request * plan.request_events, (request + 1) * plan.request_events, dtype=np.int64)
            identity = Identity(ordinals, self.kinds.said[request], ordinals)
            writer.write(scratch, identity, facts_of(traffic, shape, identity))
            self.events[request] = scratch.view(np.uint8).reshape(-1, ROW.itemsize)
        self.bytes[:, -1] = CLOSE

    def write(self, number: int, round_: int, now: datetime, *, hot: bool) -> Stripe:
        """Write a stripe for a round: its events occur in the second before ``now``, late ones hours earlier."""
        first = number * self.plan.stripe_requests
        last = first + self.plan.stripe_requests
        merchants = self.merchants_of(first, last, round_, hot=hot)
        key_at = self.head.key_at
        self.bytes[first:last, key_at : key_at + KEY_WIDTH] = self.keys[merchants]
        self.rows["id_a"][first:last] = id_text(round_)
        self.write_times(number, first, last, now.astimezone(UTC) - timedelta(seconds=1))
        self.write_copies(number, first, round_, merchants)
        self.bytes[first:last, -1] = CLOSE
        return Stripe(number, first, last, merchants)

    def merchants_of(self, first: int, last: int, round_: int, *, hot: bool) -> Ints:
        """Whose each request is: one merchant a turn."""
        turns = np.arange(first, last, dtype=np.int64) // 4 + round_ * self.plan.pool_requests
        drawn = bits(draw(self.plan.seed, 11, turns), 0, MERCHANT_BITS)
        return self.tables[hot][drawn].astype(np.int64)

    def write_times(self, number: int, first: int, last: int, at: datetime) -> None:
        """Day and second; fractions stay, so that the events of a request differ."""
        rows, marks = self.rows[first:last], self.kinds.stripes[number]
        day, clock = time_texts(at)
        rows["clock"] = clock
        changed = self.days[number] != day
        if changed:
            rows["day"] = day
            rows["day"][marks.bad_time] = BAD_DAY
            self.days[number] = day
        for hours in range(1, LATE_HOURS + 1):
            late_day, late_clock = time_texts(at - timedelta(hours=hours))
            rows["clock"][marks.late[hours]] = late_clock
            rows["day"][marks.late[hours]] = late_day

    def write_copies(self, number: int, first: int, round_: int, merchants: Ints) -> None:
        """Repeats of the same turn, repeats of hours ago, and ids of hours ago with other content."""
        marks, last = self.kinds.stripes[number], first + self.plan.stripe_requests
        # What is copied into the middle may come from an end.
        self.bytes[first:last, -1] = COMMA
        events, rows = self.events[first:last], self.rows[first:last]
        events[marks.near] = events[marks.near_roots]
        if len(marks.far[0]):
            chosen = self.base.choose(merchants[marks.far[0]], round_)
            events[marks.far] = self.base.events[chosen]
        if len(marks.conflicts[0]):
            chosen = self.base.choose(merchants[marks.conflicts[0]], round_)
            high, low = split(chosen, 10_000)
            texts = self.base.digits
            # The source is part of what an event is known by.
            rows["source"][marks.conflicts] = self.base.rows["source"][chosen]
            rows["id_a"][marks.conflicts] = id_text(0)
            rows["id_b"][marks.conflicts] = texts[high]
            rows["id_c"][marks.conflicts] = texts[low]


def time_texts(at: datetime) -> tuple[bytes, int]:
    """Day and time of day as a row holds them."""
    return at.strftime("%Y-%m-%d").encode(), int.from_bytes(at.strftime("%H:%M:%S").encode(), "little")
