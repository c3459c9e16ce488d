"""A worker that stands still leaves by itself, and says why; one that only cannot commit goes on."""

from __future__ import annotations

import signal

import orjson
import pytest

from core.clock import SystemClock
from streams.driver import EXIT_DONE, EXIT_STOPPED
from tests.streams.faust.conftest import Faulty
from tests.streams.faust.faulty_worker import Fault
from tests.streams.faust.test_pitfalls import GRACE_S, finish, seal_some
from tests.streams.line import WITHIN_S

STALL_LIMIT_S = 5

pytestmark = pytest.mark.timeout(240)


@pytest.fixture
def impatient(faulty: Faulty) -> Faulty:
    """Workers that leave after a few seconds of standing still."""
    faulty.line.env["MILLRACE_STALL_LIMIT_S"] = str(STALL_LIMIT_S)
    return faulty


@pytest.mark.parametrize(("fault", "why"), [("hang", "a block"), ("paused_for_ever", "the log does not bring them")])
def test_a_worker_that_stands_still_leaves_and_says_why(impatient: Faulty, fault: Fault, why: str) -> None:
    """A store that took a call and never answers, or a log that brings nothing more: the next worker goes on."""
    seal_some(impatient, fault)

    assert impatient.workers[-1].wait(WITHIN_S) == EXIT_STOPPED, impatient.log_tail()

    last = orjson.loads(impatient.line.log.read_text().splitlines()[-1])
    assert (last["event"], last["level"]) == ("stopped", "error")
    assert why in last["error"] and "start the worker again" in last["next"]
    assert impatient.beyond_seal() == {}
    finish(impatient, 800)


def test_commits_that_hang_are_no_reason_to_leave_while_blocks_are_sealed(impatient: Faulty) -> None:
    """The stream goes on for much longer than the limit, and SIGTERM still ends the worker in time."""
    producer, clock = seal_some(impatient, "commits_hang"), SystemClock()
    impatient.wait_for(lambda: impatient.said("hanging") == 1)
    worker, began_s, events = impatient.workers[-1], clock.steady_s(), 800

    while clock.steady_s() - began_s < 3 * STALL_LIMIT_S:
        impatient.line.produce(range(events, events + 40), producer, first_sequence=10 * events)
        events += 40
        impatient.wait_for(lambda: impatient.line.sealed() == events)  # noqa: B023 - asked at once

    assert worker.poll() is None, impatient.log_tail()
    assert sum(impatient.committed().values()) == 40
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(GRACE_S) == EXIT_DONE
    assert impatient.line.stored() == (events, events, str(events // 2))


def test_a_worker_without_a_partition_waits_for_one(impatient: Faulty) -> None:
    """Of two workers on one partition one has nothing; it does not take that for standing still."""
    impatient.line.env |= {
        "MILLRACE_TOPIC": f"{impatient.line.topic}.narrow",
        "MILLRACE_PARTITIONS": "1",
        "MILLRACE_STALL_LIMIT_S": str(2 * STALL_LIMIT_S),
    }
    workers = [impatient.worker("none") for _ in range(2)]
    clock = SystemClock()
    began_s = clock.steady_s()

    impatient.wait_for(lambda: clock.steady_s() - began_s > 5 * STALL_LIMIT_S)

    assert [worker.poll() for worker in workers] == [None, None], impatient.log_tail()
