"""The rows of the fault matrix that strike at a running stack, in the order in which they share one."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from random import Random
from typing import get_args

from runtime.settings import LogKind
from tests.runtime.faults import strikes_gateway as gateway
from tests.runtime.faults import strikes_log as log
from tests.runtime.faults import strikes_stores as stores
from tests.runtime.faults import strikes_worker as worker
from tests.runtime.faults.field import CHUNK_EVENTS, SLACK_S, Field, Strike

STRIKES = 3
KILLED = "was ended by signal 9"
LOGS: tuple[LogKind, ...] = get_args(LogKind)


@contextmanager
def as_it_is(field: Field) -> Iterator[str]:
    """The stack's own door."""
    yield field.settings.gateway_url


def ready_as_it_is(_field: Field) -> None:
    """Nothing more is needed before events are sent."""


@dataclass(frozen=True)
class StackRow:
    """``strike`` is called three times, each while events are sent, or ``at_rest`` when all of them are stored.

    ``ready`` is called before each. ``small_disk_of`` names a part whose disk can be filled: such a row has a stack of
    its own.
    """

    name: str
    strike: Strike
    around: Callable[[Field], AbstractContextManager[str]] = as_it_is
    logs: tuple[LogKind, ...] = LOGS
    at_rest: bool = False
    ready: Callable[[Field], None] = ready_as_it_is
    small_disk_of: str | None = None


@dataclass(frozen=True)
class Ran:
    """What a row's run showed: the longest strike, and how long the stream took to catch up."""

    longest_s: float
    caught_up_s: float


# Parts take turns, so that none is started again too often in too short a time.
STACK_ROWS = (
    StackRow("20", stores.empty_and_rebuild, at_rest=True),
    StackRow("1", gateway.kill_at("before_produce")),
    StackRow("9", worker.strike_at(("after_intent",), "kill", KILLED)),
    StackRow("2", gateway.kill_at("before_report")),
    StackRow("10", worker.strike_at(("after_events", "after_windows"), "kill", KILLED)),
    StackRow("17", stores.kill_store_in_insert),
    StackRow("11", worker.strike_at(("after_seal", "after_ack"), "kill", KILLED)),
    StackRow("3", gateway.kill_at("before_answer")),
    StackRow("12", worker.terminate_blocked),
    StackRow("18", log.send_again, around=log.tokens_forgotten),
    StackRow("6", log.kill_broker),
    StackRow("13", worker.strike_at(("after_intent", "after_events", "after_seal"), "raise", "exited with 70")),
    StackRow("4", gateway.terminate),
    StackRow("14", worker.freeze_worker, around=worker.two_workers, ready=worker.ensure_second),
    StackRow("19", stores.fill_store, ready=stores.crowd_store, small_disk_of="clickhouse"),
    StackRow("7", log.freeze_broker),
    StackRow("15", worker.come_and_go),
    StackRow("8", gateway.fill_journal, logs=("embedded",)),
    StackRow("8", log.fill_broker, logs=("apache",)),
    StackRow("5", gateway.part_from_broker, around=gateway.behind_a_proxy),
    StackRow("21", worker.harm_key_files),
    StackRow("books", stores.kill_books),
    StackRow("worker", worker.kill_worker),
    StackRow("30", stores.kill_everything),
)


def run_row(field: Field, row: StackRow, seed: int) -> Ran:
    """Send the row's events, strike three times, and let the checker judge.

    Raises ``AssertionError`` with what is broken.
    """
    chance = Random(f"{row.name} {seed}")
    longest_s = 0.0
    with row.around(field) as door:
        for number in range(STRIKES):
            row.ready(field)
            traffic = field.send(door)
            if not row.at_rest:
                traffic.wait_for(chance.randrange(CHUNK_EVENTS // 10, CHUNK_EVENTS * 6 // 10), within_s=150)
                longest_s = max(longest_s, struck(field, row, chance, number))
            traffic.finish(within_s=200)
        field.send(door).finish(within_s=200)
        allowed_s = 3 * longest_s + SLACK_S
        caught_up_s = field.drain(allowed_s)
        for number in range(STRIKES if row.at_rest else 0):
            longest_s = max(longest_s, struck(field, row, chance, number))
    field.must_hold(allowed_s - caught_up_s)
    return Ran(longest_s, caught_up_s)


def struck(field: Field, row: StackRow, chance: Random, number: int) -> float:
    """One strike, and what must be true right after it; how long it lasted."""
    began_s = time.monotonic()
    row.strike(field, chance, number)
    took_s = time.monotonic() - began_s
    field.must_be_safe()
    return took_s
