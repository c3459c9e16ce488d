"""The driver on a real broker, with a real ledger and ClickHouse: killed between any two steps, it stores once."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import get_args
from uuid import uuid4

import pytest
from sqlalchemy import select

from core.clock import SystemClock
from core.db import transaction
from runtime.embedded.broker import broker_part
from runtime.embedded.ports import EmbeddedPorts
from runtime.topic import open_admin, wait_for_topic
from streams.driver import EXIT_LOG_CHANGED, EXIT_STOPPED
from streams.sink import Moment
from streams.tables import stream_partitions
from tests.streams.line import PARTITIONS, WITHIN_S, Line, wait_until
from tests.streams.worker_process import NEVER, RAISE

MOMENTS: tuple[Moment, ...] = get_args(Moment)

pytestmark = pytest.mark.timeout(240)


def test_a_worker_stores_what_is_in_the_log_and_leaves_at_sigterm(line: Line) -> None:
    """From the start of a new topic; it exits with 0 within seconds."""
    line.produce(range(400), uuid4())
    worker = line.worker()
    wait_until(line, lambda: line.sealed() == 400)

    worker.send_signal(signal.SIGTERM)

    assert worker.wait(timeout=8) == 0
    assert line.stored() == (400, 400, "200")


def test_a_worker_killed_between_any_two_steps_stores_once(line: Line) -> None:
    """One worker after the other dies at another moment; the last one finishes what they began."""
    producer = uuid4()
    line.produce(range(400), producer)
    for place, moment in enumerate(MOMENTS):
        worker = line.worker(moment, count=1 if moment == "after_ack" else 2)
        line.produce(range(400 + 100 * place, 500 + 100 * place), producer, first_sequence=100 * (place + 1))
        # A copy of everything so far under new sequences: a client's repeat.
        line.produce(range(0, 400, 7), producer, first_sequence=1000 + 100 * place)
        assert worker.wait(timeout=WITHIN_S) == -signal.SIGKILL, line.log.read_text()[-6000:]

    line.worker()
    repeats = len(MOMENTS) * len(range(0, 400, 7))
    wait_until(line, lambda: line.sealed() == 1000 + repeats)

    assert line.stored() == (1000, 1000, "500")
    assert line.sealed("duplicates") == repeats


@pytest.mark.parametrize("moment", ["after_intent", "after_seal"])
def test_an_error_that_nobody_thought_of_ends_the_process_and_loses_nothing(line: Line, moment: Moment) -> None:
    """Faust would acknowledge what an exception passes; the worker exits instead, and the next one stores once."""
    line.produce(range(400), uuid4())

    assert line.worker(moment, how=RAISE).wait(timeout=WITHIN_S) == EXIT_STOPPED

    line.worker()
    wait_until(line, lambda: line.sealed() == 400)
    assert line.stored() == (400, 400, "200")


def test_a_frozen_worker_wakes_up_and_finds_itself_replaced(line: Line) -> None:
    """A zombie writes nothing more: it exits or starts over, and the log goes in once."""
    producer = uuid4()
    frozen = line.worker()
    line.produce(range(400), producer)
    wait_until(line, lambda: line.sealed() == 400)
    frozen.send_signal(signal.SIGSTOP)
    line.produce(range(400, 800), producer, first_sequence=100)
    line.worker()
    wait_until(line, lambda: line.sealed() == 800)

    frozen.send_signal(signal.SIGCONT)
    line.produce(range(800, 1200), producer, first_sequence=200)
    wait_until(line, lambda: line.sealed() == 1200)

    assert line.stored() == (1200, 1200, "600")


def test_two_workers_share_the_partitions_and_survive_each_other(line: Line) -> None:
    """A second worker joins, the first one is killed, and the log goes in once."""
    producer = uuid4()
    first = line.worker()
    line.produce(range(400), producer)
    wait_until(line, lambda: line.sealed() == 400)
    second = line.worker()
    wait_until(line, lambda: len(owners(line)) == 2)
    line.produce(range(400, 800), producer, first_sequence=100)
    wait_until(line, lambda: line.sealed() == 800)
    first.kill()
    line.produce(range(800, 1200), producer, first_sequence=200)
    wait_until(line, lambda: line.sealed() == 1200)

    assert second.poll() is None
    assert line.stored() == (1200, 1200, "600")


def owners(line: Line) -> set[str]:
    """Who holds partitions."""
    with transaction(line.books) as connection:
        return set(connection.execute(select(stream_partitions.c.owner)).scalars())


@pytest.mark.parametrize("moment", [NEVER, "after_events"])
def test_a_broker_that_comes_back_empty_loses_nothing(line: Line, tmp_path: Path, moment: str) -> None:
    """The worker leaves by itself; a fresh one takes the new log in, and knows what was sealed in the old one."""
    port = EmbeddedPorts.free().kafka
    line.kafka = f"127.0.0.1:{port}"
    line.env |= {"MILLRACE_KAFKA": line.kafka, "MILLRACE_JOURNAL_DIR": str(tmp_path / "journal")}
    producer = uuid4()
    broker = own_broker(line, tmp_path, port)
    worker = line.worker(moment, count=3)
    line.produce(range(400), producer)
    if moment == NEVER:
        wait_until(line, lambda: line.sealed() == 400)
    else:
        assert worker.wait(timeout=WITHIN_S) == -signal.SIGKILL
    broker.kill()
    broker.wait()
    own_broker(line, tmp_path, port)

    if moment == NEVER:
        assert worker.wait(timeout=30) == EXIT_LOG_CHANGED
    # The journal brings what was not sealed for certain, and the gateway goes on.
    line.produce(range(400), producer)
    line.produce(range(400, 800), producer, first_sequence=100)
    line.worker()
    wait_until(line, lambda: line.sealed() == 800)

    assert line.stored() == (800, 800, "400")
    assert line.sealed("duplicates") == 0


def answers(probe: Callable[[], bool]) -> bool:
    """Whether a part answers; one that is still starting refuses the connection."""
    try:
        return probe()
    except OSError:
        return False


def own_broker(line: Line, home: Path, port: int) -> subprocess.Popen[bytes]:
    """A broker of this test alone, with the topic made."""
    part = broker_part(home, port)
    broker = subprocess.Popen(part.argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    line.running.callback(broker.wait)
    line.running.callback(broker.kill)
    wait_until(line, lambda: answers(part.ready))
    wait_for_topic(open_admin(line.kafka), line.topic, PARTITIONS, SystemClock())
    return broker
