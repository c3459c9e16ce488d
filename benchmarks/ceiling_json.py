"""What parsing alone costs: ``orjson.loads`` of the very bodies that the generator sends."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from time import process_time

import numpy as np
import orjson

from benchmarks.load.base import make_base
from benchmarks.load.plan import LoadPlan
from benchmarks.load.pool import Pool
from benchmarks.load.wire import HEAD_END, KEY_WIDTH, head_of
from core.clock import SystemClock
from runtime.traffic.rows import ROW

SECONDS_LEAST = 0.3


def bodies_of(plan: LoadPlan) -> list[bytes]:
    """Bodies of a load's first stripes, as they are sent."""
    small = replace(plan, pool_requests=0)
    now = SystemClock().now()
    head = head_of("localhost", 80, 1 + plan.request_events * ROW.itemsize)
    keys = np.full((plan.merchants, KEY_WIDTH), ord("k"), dtype=np.uint8)
    pool = Pool(small, head, keys, make_base(small, now))
    for stripe in range(small.pool_requests // small.stripe_requests):
        pool.write(stripe, 1, now, hot=True)
    return [bytes(view).split(HEAD_END, 1)[1] for view in pool.views]


def json_ceiling_us(plan: LoadPlan) -> float:
    """CPU-microseconds an event; the best of five rounds."""
    bodies = bodies_of(plan)

    def parse() -> None:
        # One at a time, as a server meets them: what was parsed is let go of before the next.
        for body in bodies:
            orjson.loads(body)

    return round(best_us(parse, len(bodies) * plan.request_events), 3)


def best_us(work: Callable[[], object], events: int) -> float:
    """CPU-microseconds an event of the fastest of five rounds of some work on so many events."""
    found = []
    for _ in range(5):
        begun_s, rounds = process_time(), 0
        while process_time() - begun_s < SECONDS_LEAST:
            work()
            rounds += 1
        found.append((process_time() - begun_s) / rounds / events * 1e6)
    return min(found)
