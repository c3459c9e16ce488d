"""The next request: stripes of the pool in turn, each written for its round when its first request is wanted."""

from __future__ import annotations

from collections import deque

from benchmarks.load.line import Job
from benchmarks.load.plan import ROUNDS_MAX
from benchmarks.load.pool import Pool
from core.clock import Clock


class Feed:
    """Hands out jobs. A stripe with a request still under way is passed over: its bytes must not change."""

    def __init__(self, pool: Pool, clock: Clock) -> None:
        self.pool = pool
        self.clock = clock
        self.stripes = pool.plan.pool_requests // pool.plan.stripe_requests
        self.open = [0] * self.stripes
        self.round = 1
        self.next_stripe = 0
        self.ready: deque[tuple[int, int, int]] = deque()

    def take(self, due_s: float, *, hot: bool) -> Job | None:
        """A job that is due then; None while every stripe has a request under way."""
        if not self.ready and not self.write_stripe(hot=hot):
            return None
        stripe, request, merchant = self.ready.popleft()
        # What is ready is of one stripe, and so of the present round.
        return Job(self.pool.views[request], self.round, request, merchant, due_s, stripe)

    def write_stripe(self, *, hot: bool) -> bool:
        """Write the next free stripe; says whether there was one."""
        # Rounds are few, and must not pass while nothing is sent.
        if all(self.open):
            return False
        for _ in range(self.stripes):
            if self.next_stripe == self.stripes:
                self.next_stripe = 0
                self.round += 1
                assert self.round < ROUNDS_MAX, "ids of a load have no more room"
            number = self.next_stripe
            self.next_stripe += 1
            if self.open[number]:
                continue
            written = self.pool.write(number, self.round, self.clock.now(), hot=hot)
            merchants = written.merchants.tolist()
            self.open[number] = len(merchants)
            self.ready.extend(
                (number, request, merchant)
                for request, merchant in zip(range(written.first, written.last), merchants, strict=True)
            )
            return True
        return False

    def done(self, job: Job) -> None:
        """Nothing reads the job's bytes any more."""
        if job.stripe is not None:
            self.open[job.stripe] -= 1

    def forget_rest(self) -> None:
        """Let go of what was written and not handed out: the next run begins with a stripe of its own."""
        for stripe, _request, _merchant in self.ready:
            self.open[stripe] -= 1
        self.ready.clear()
