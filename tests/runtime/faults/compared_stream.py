"""A stream that is struck twice, billed, and compared with the sender's own account to the last cent.

Method: a whole stack as `millrace up` starts it, seeded traffic at a steady rate through the public door, strikes at
seeded instants, then the month is closed and everything is compared: each event's fate, each line's quantity and
amount, each invoice.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from core.clock import SystemClock
from runtime.close import close_books
from runtime.conservation.drain import wait_until_drained
from runtime.demo.run import Outcome, Parts, compare_all, ignore_step
from runtime.traffic.ledger import SimulatorLedger
from runtime.traffic.plan import plan_for_last_month
from runtime.traffic.prepare import prepare_traffic
from runtime.traffic.usage import month_of
from runtime.wiring import open_admin, open_books, open_usage_store
from tests.runtime.faults.stack_process import StackProcess
from tests.runtime.traffic_thread import TrafficThread

EVENTS = 60_000
RATE = 8_000.0
DRAIN_LIMIT_S = 150.0
STRIKES = 2

Strike = Callable[[StackProcess], None]


@contextmanager
def parts_of(stack: StackProcess) -> Iterator[Parts]:
    """Clients of the stack's stores."""
    settings = stack.settings()
    books, store = open_books(settings), open_usage_store(settings)
    yield Parts(books, store, open_admin(settings), settings.gateway_url, settings.topic)
    store.close()
    books.dispose()


def stream_under(stack: StackProcess, strike: Strike, seed: int) -> Outcome:
    """Send a plan at a steady rate, strike twice at seeded instants meanwhile, drain, close, and compare."""
    clock, chance = SystemClock(), random.Random(seed)
    plan = plan_for_last_month(
        clock.now(), seed=seed, events=EVENTS, merchants=20, customers=20, request_events=200, conflict_share=0.0
    )
    ledger = SimulatorLedger(plan)
    instants = sorted(chance.sample(range(EVENTS // 10, EVENTS * 9 // 10), STRIKES))
    with parts_of(stack) as parts:
        keys = prepare_traffic(parts.books, parts.store, plan)
        traffic = TrafficThread(ledger, parts.gateway_url, keys, rate=RATE, give_up_after_s=120)
        for instant in instants:
            traffic.wait_for(instant, within_s=180)
            strike(stack)
        traffic.finish(within_s=240)
    # Ports stay, passwords stay: but a stack that was started anew has told its addresses anew.
    with parts_of(stack) as parts:
        wait_until_drained(
            parts.books,
            parts.admin,
            parts.topic,
            clock,
            acknowledged=ledger.accepted,
            time_limit_s=DRAIN_LIMIT_S,
        )
        period = month_of(plan).isoformat()[:7]
        close_books(parts.books, parts.store, clock, period, on_step=ignore_step)
        return compare_all(parts, ledger, period, stream_seconds=1.0)


def must_hold(stack: StackProcess, outcome: Outcome) -> None:
    """All numbers agree; otherwise the stack's logs are part of the answer."""
    assert outcome.ok, "\n".join([*outcome.conservation.faults, *outcome.differences, stack.log_tail()])
