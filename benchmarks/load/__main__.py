"""``python -m benchmarks.load``: the generator's process. Lines of JSON in, lines of JSON out.

The first line says what to make; after ``ready`` each line is an order: ``base``, ``run`` or ``account``.
Orders begin when they are read, so that whoever gives them can look at the machine in between.
"""

from __future__ import annotations

import asyncio
import gc
import sys
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import orjson
import uvloop

from benchmarks.load.base import make_base
from benchmarks.load.feed import Feed
from benchmarks.load.ledger import ANSWERED, Ledger, Sent, percentiles_ms
from benchmarks.load.line import Job
from benchmarks.load.plan import LoadPlan
from benchmarks.load.pool import Pool
from benchmarks.load.schedule import RunSpec
from benchmarks.load.send import Run, Sender
from benchmarks.load.wire import KEY_WIDTH, head_of
from core.clock import SystemClock

PROGRESS_EVERY_S = 0.25
BASE_CONNECTIONS = 16
TIMELINE_S = 0.5
CLOCK = SystemClock()


def main() -> None:
    """Serve orders until the input ends."""
    asked = orjson.loads(sys.stdin.buffer.readline())
    parts = urlsplit(asked["url"])
    assert parts.hostname, "an http:// address"
    address = (parts.hostname, parts.port or 80)
    plan = LoadPlan(**asked["plan"])
    keys = np.frombuffer("".join(asked["keys"]).encode(), dtype=np.uint8).reshape(-1, KEY_WIDTH)
    base = make_base(plan, CLOCK.now())
    body_bytes = 1 + plan.request_events * base.events.shape[1]
    pool = Pool(plan, head_of(*address, body_bytes), keys, base)
    ledger = Ledger(plan, pool.kinds)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:

        async def made() -> Sender:
            return Sender(ledger, Feed(pool, CLOCK), address, CLOCK)

        sender = runner.run(made())
        gc.collect()
        gc.freeze()
        gc.disable()
        say({"ready": True, "event_bytes": base.events.shape[1] - 1, "pool_bytes": pool.bytes.nbytes})
        for line in sys.stdin.buffer:
            order = orjson.loads(line)
            if order["do"] == "base":
                run = runner.run(sender.send_all(base_jobs(pool, address), BASE_CONNECTIONS))
                say({"done": summary(ledger, run)})
            elif order["do"] == "run":
                run = runner.run(sender.run(RunSpec(**order["spec"]), progress()))
                say({"done": summary(ledger, run)})
            elif order["do"] == "account":
                say({"done": ledger.account().to_json()})


def base_jobs(pool: Pool, address: tuple[str, int]) -> list[Job]:
    """The requests that are sent before."""
    bodies = pool.base.bodies()
    head = head_of(*address, len(bodies[0][1]))
    jobs = []
    for number, (merchant, body) in enumerate(bodies):
        text = bytearray(head.text)
        text[head.key_at : head.key_at + KEY_WIDTH] = pool.keys[merchant].tobytes()
        jobs.append(Job(memoryview(bytes(text) + body), 0, number, merchant, CLOCK.steady_s()))
    return jobs


def say(what: dict[str, Any]) -> None:
    """One line to whoever gave the order."""
    sys.stdout.buffer.write(orjson.dumps(what) + b"\n")
    sys.stdout.buffer.flush()


def progress() -> Callable[[Run], None]:
    """Tells now and then how far a run is."""
    told_s = CLOCK.steady_s()

    def tell(run: Run) -> None:
        nonlocal told_s
        now_s = CLOCK.steady_s()
        if now_s - told_s >= PROGRESS_EVERY_S:
            told_s = now_s
            say({"at_s": now_s, "accepted": run.accepted})

    return tell


def summary(ledger: Ledger, run: Run) -> dict[str, Any]:
    """What came of a run. Latencies count from when a request was due; ``small`` are those of all merchants but the
    hot one; ``timeline`` is how many events were answered in each half second."""
    sent = ledger.sent[run.first_sent :]
    answered = [one for one in sent if one.status in ANSWERED]
    waits = np.array([one.answered_s - one.due_s for one in answered])
    small = np.array([one.merchant != 0 for one in answered], dtype=np.bool_)
    events = ledger.plan.request_events
    return {
        "begun_s": run.begun_s,
        "ended_s": max((one.answered_s for one in sent), default=run.ended_s),
        "requests": len(sent),
        "events": len(sent) * events,
        "answered_requests": len(answered),
        "accepted": run.accepted,
        "refused": sum(len(one.refused) for one in answered),
        "unsent_requests": run.unsent,
        "statuses": {str(status): count for status, count in sorted(run.statuses.items())},
        "without_retry_after": run.without_retry_after,
        "wrong": run.wrong[:5],
        "latency_ms": percentiles_ms(waits),
        "small_ms": percentiles_ms(waits[small]) if len(waits) else {},
        "timeline": timeline(answered, run.begun_s, events),
    }


def timeline(answered: list[Sent], begun_s: float, request_events: int) -> list[int]:
    """Events answered in each ``TIMELINE_S``."""
    if not answered:
        return []
    places = ((np.array([one.answered_s for one in answered]) - begun_s) / TIMELINE_S).astype(np.int64)
    counts: list[int] = (np.bincount(np.maximum(places, 0)) * request_events).tolist()
    return counts


if __name__ == "__main__":
    main()
