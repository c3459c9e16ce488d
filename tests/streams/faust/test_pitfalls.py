"""What is known to go wrong with Faust, one test a pitfall: the driver must lose nothing over it.

Run them all before a new version of Faust is taken: ``make test-faust``. Each test runs the real worker with one thing
wrong, and judges by the ledger, by ClickHouse and by what the group has committed. ``docs/streams.md`` lists them.
"""

from __future__ import annotations

import signal
from uuid import UUID, uuid4

import pytest
from confluent_kafka import Producer
from sqlalchemy import select

from core.db import transaction
from runtime.commands.worker import LEAVE_WITHIN_S
from streams.driver import EXIT_DONE, EXIT_STOPPED
from streams.tables import dead_letters
from tests.streams.faust.conftest import Faulty
from tests.streams.faust.faulty_worker import LOST, Fault
from tests.streams.line import PARTITIONS, WITHIN_S, Line
from tests.streams.worker_process import KILL

pytestmark = pytest.mark.timeout(240)

GRACE_S = LEAVE_WITHIN_S + 6
FIRST, SECOND, THIRD = range(400), range(400, 800), range(800, 1200)


def finish(faulty: Faulty, events: int, producer: UUID | None = None) -> None:
    """A worker without faults takes over: everything is stored once, and commits go as far as what is sealed."""
    worker = faulty.worker("none")
    faulty.wait_for(lambda: faulty.line.sealed() == events)
    if producer is not None:
        # Commits that were skipped come with the next ones.
        faulty.line.produce(range(events, events + 40), producer, first_sequence=5_000)
        events += 40
        faulty.wait_for(lambda: faulty.line.sealed() == events)
    faulty.wait_for(lambda: faulty.committed() == faulty.sealed_ends())
    assert worker.poll() is None, faulty.log_tail()
    assert faulty.line.stored() == (events, events, str(events // 2))
    assert (faulty.line.sealed("duplicates"), faulty.line.sealed("redelivered")) == (0, 0)


def seal_some(faulty: Faulty, fault: Fault) -> UUID:
    """A worker seals and commits a part of the log, and goes wrong when it gets more."""
    producer = uuid4()
    faulty.line.produce(FIRST, producer)
    faulty.worker(fault)
    faulty.wait_for(lambda: faulty.line.sealed() == len(FIRST))
    faulty.wait_for(lambda: faulty.committed() == faulty.sealed_ends())
    faulty.arm()
    faulty.line.produce(SECOND, producer, first_sequence=100)
    return producer


def test_f1_an_exception_in_the_loop_acknowledges_nothing(faulty: Faulty) -> None:
    """Faust's ``take`` acknowledges the batch that an exception passes; the worker ends before anything can."""
    faulty.line.produce(FIRST, uuid4())

    worker = faulty.worker("raise", armed=True)

    assert worker.wait(WITHIN_S) == EXIT_STOPPED, faulty.log_tail()
    assert faulty.beyond_seal() == {}
    assert sum(faulty.committed().values()) == 0
    finish(faulty, len(FIRST))


def poison(line: Line, numbers: range) -> dict[tuple[int, int], bytes]:
    """Write messages that nobody can read; returns them by partition and offset."""
    log = Producer({"bootstrap.servers": line.kafka, "acks": "all"})
    written: dict[tuple[int, int], bytes] = {}

    def keep(_error: object, message: object) -> None:
        partition, offset, value = (getattr(message, name)() for name in ("partition", "offset", "value"))
        written[partition, offset] = value

    for number in numbers:
        log.produce(line.topic, b"poison %d" % number, partition=number % PARTITIONS, on_delivery=keep)
    assert log.flush(20) == 0
    return written


@pytest.mark.parametrize("moment", ["after_windows", "after_seal"])
def test_f2_a_poison_message_is_kept_before_it_is_acknowledged(faulty: Faulty, moment: str) -> None:
    """Iteration acknowledges the event that raised; here it is a dead letter first, wherever the worker is killed."""
    line, producer = faulty.line, uuid4()
    line.produce(FIRST, producer)
    written = poison(line, range(9))
    line.produce(SECOND, producer, first_sequence=100)

    assert line.worker(moment, how=KILL).wait(WITHIN_S) == -signal.SIGKILL, faulty.log_tail()
    assert faulty.beyond_seal() == {}

    faulty.worker("none")
    faulty.wait_for(lambda: line.sealed() == 800 + len(written))
    with transaction(line.books) as connection:
        letters = connection.execute(select(dead_letters)).all()
    assert {(letter.partition, letter.kafka_offset): letter.raw for letter in letters} == written
    assert (len(letters), line.sealed("rejected")) == (len(written), len(written))
    assert line.stored() == (800, 800, "400")


@pytest.mark.parametrize("fresh", [True, False])
def test_f3_no_commit_passes_a_block_that_is_not_done(faulty: Faulty, fresh: bool) -> None:
    """Faust commits past an event in flight, of a fresh group above all; here the head is slow and commits wait."""
    if fresh:
        faulty.line.produce(SECOND, uuid4())
        faulty.worker("hang", armed=True)
    else:
        seal_some(faulty, "hang")
    faulty.wait_for(lambda: faulty.said("hanging") > 0)
    faulty.line.produce(THIRD, uuid4())
    before = faulty.committed()
    faulty.hear("commit", more=5)

    assert faulty.committed() == before
    assert faulty.beyond_seal() == {}
    faulty.workers[-1].kill()
    finish(faulty, 800 if fresh else 1200)


@pytest.mark.parametrize("fresh", [True, False])
def test_f4_after_an_exception_the_next_worker_commits_again(faulty: Faulty, fresh: bool) -> None:
    """With ``noack_take`` Faust skips the lost batch or never commits again; a fresh start does neither."""
    producer = uuid4()
    if fresh:
        faulty.line.produce(FIRST, producer)
        faulty.worker("raise", armed=True)
    else:
        producer = seal_some(faulty, "raise")

    assert faulty.workers[-1].wait(WITHIN_S) == EXIT_STOPPED, faulty.log_tail()
    assert faulty.beyond_seal() == {}
    finish(faulty, 400 if fresh else 800, producer)


def test_f5_sigterm_while_the_sink_blocks_acknowledges_nothing(faulty: Faulty) -> None:
    """Without waiting for an empty stream Faust acknowledges at the end what the agent has in hand; we do not."""
    seal_some(faulty, "hang")
    faulty.wait_for(lambda: faulty.said("hanging") > 0)

    faulty.workers[-1].send_signal(signal.SIGTERM)

    assert faulty.workers[-1].wait(GRACE_S) == EXIT_DONE, faulty.log_tail()
    assert faulty.beyond_seal() == {}
    finish(faulty, 800)


def test_f6_a_blocked_sink_does_not_keep_the_worker_from_leaving(faulty: Faulty) -> None:
    """Faust waits for ever for a stream to empty; we leave within seconds, and may be killed before that."""
    faulty.line.produce(FIRST, uuid4())
    first = faulty.worker("hang", armed=True)
    faulty.wait_for(lambda: faulty.said("hanging") > 0)
    first.send_signal(signal.SIGTERM)
    assert first.wait(GRACE_S) == EXIT_DONE, faulty.log_tail()
    second = faulty.worker("hang", armed=True)
    faulty.wait_for(lambda: faulty.said("hanging") > 0)

    # A supervisor that has less patience than that.
    second.send_signal(signal.SIGTERM)
    second.kill()
    second.wait()

    assert faulty.beyond_seal() == {}
    finish(faulty, 400)


def test_f7_refused_commits_neither_stop_the_stream_nor_repeat_it(faulty: Faulty) -> None:
    """Faust forgets what it failed to commit; the ledger says where to go on, so that nothing comes twice."""
    producer = seal_some(faulty, "commits_refused")
    faulty.wait_for(lambda: faulty.line.sealed() == 800 and faulty.said("refused") > 0)

    behind = sum(faulty.sealed_ends().values()) - sum(faulty.committed().values())

    assert behind == 40
    assert faulty.workers[-1].poll() is None, faulty.log_tail()
    faulty.workers[-1].kill()
    finish(faulty, 800, producer)


def test_f7_failed_commits_end_the_worker_and_lose_nothing(faulty: Faulty) -> None:
    """When a commit fails for an unknown reason Faust crashes; the worker does not go on as if nothing had happened."""
    producer = seal_some(faulty, "commits_fail")

    assert faulty.workers[-1].wait(WITHIN_S) == EXIT_STOPPED, faulty.log_tail()
    assert faulty.beyond_seal() == {}
    faulty.worker("none")
    faulty.wait_for(lambda: faulty.line.sealed() == 800)
    faulty.workers[-1].kill()
    finish(faulty, 800, producer)


def test_f8_an_acknowledgement_that_got_lost_stops_only_the_commits(faulty: Faulty) -> None:
    """Faust waits for the gap for ever and its commits stop; the stream goes on, and a fresh start commits again."""
    producer = seal_some(faulty, "ack_lost")
    faulty.wait_for(lambda: faulty.line.sealed() == 800 and faulty.said("lost") == LOST)
    faulty.hear("commit", more=5)

    assert faulty.committed()[0] <= 10 < faulty.sealed_ends()[0]
    assert faulty.beyond_seal() == {}
    assert faulty.workers[-1].poll() is None, faulty.log_tail()
    faulty.workers[-1].kill()
    finish(faulty, 800, producer)


def test_f8_a_storm_of_pauses_holds_nothing_up(faulty: Faulty) -> None:
    """Partitions that are paused and resumed all the time still go in, once, and are committed to the end."""
    producer = seal_some(faulty, "paused")
    for place in range(3):
        faulty.line.produce(range(800 + 400 * place, 1200 + 400 * place), producer, first_sequence=1_000 * (place + 1))
        faulty.hear("paused", more=3)
    faulty.wait_for(lambda: faulty.line.sealed() == 2_000)
    faulty.wait_for(lambda: faulty.committed() == faulty.sealed_ends())

    assert faulty.workers[-1].poll() is None, faulty.log_tail()
    assert faulty.line.stored() == (2_000, 2_000, "1000")
