"""The pitfalls themselves, in plain Faust: a test that fails here says that one of them is gone.

Then the driver's rule against it may go too, after its reason was looked up in ``docs/streams.md``.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pytest
from confluent_kafka import Producer

from core.clock import SystemClock
from runtime.embedded.endpoints import Endpoints
from runtime.topic import open_admin, wait_for_topic
from tests.streams.faust.conftest import committed
from tests.streams.faust.plain_worker import MESSAGES, POISON
from tests.streams.line import WITHIN_S
from tests.streams.worker_process import ROOT

TOPICS = ("f1", "f2", "f3", "f4", "f5")
GONE = "this pitfall is gone: Faust no longer commits what was not dealt with"

pytestmark = pytest.mark.timeout(240)


@dataclass(frozen=True)
class Outcome:
    """For each agent what it has dealt with, and what its group has committed; f5's after SIGTERM."""

    done: dict[str, set[int]]
    committed: dict[str, int]

    def lost(self, name: str) -> set[int]:
        """What is committed and was not dealt with."""
        return set(range(self.committed[name])) - self.done.get(name, set())


def read_said(folder: Path) -> dict[str, set[int]]:
    """What the agents have dealt with so far."""
    done: dict[str, set[int]] = {}
    said = folder / "said"
    for line in said.read_text().splitlines() if said.exists() else []:
        name, value = line.split()
        done.setdefault(name, set()).add(int(value))
    return done


def wait_until(holds: Callable[[], bool]) -> bool:
    """Whether something becomes true within a minute."""
    clock = SystemClock()
    end_s = clock.steady_s() + WITHIN_S
    while not holds():
        if clock.steady_s() > end_s:
            return False
        time.sleep(0.05)
    return True


@pytest.fixture(scope="module")
def outcome(endpoints: Endpoints, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outcome]:
    """Plain Faust at work on five topics of one partition, until nothing more comes, and after SIGTERM."""
    prefix, folder = f"plain-{uuid4().hex[:8]}", tmp_path_factory.mktemp("plain")
    admin = open_admin(endpoints.kafka)
    log = Producer({"bootstrap.servers": endpoints.kafka, "acks": "all"})
    for name in TOPICS:
        wait_for_topic(admin, f"{prefix}.{name}", 1, SystemClock())
        for number in range(MESSAGES):
            log.produce(f"{prefix}.{name}", b"%d" % number, partition=0)
    assert log.flush(20) == 0

    def offset(name: str) -> int:
        return committed(endpoints.kafka, f"{prefix}.plain", f"{prefix}.{name}", 1)[0]

    command = [sys.executable, "-m", "tests.streams.faust.plain_worker", endpoints.kafka, prefix, str(folder)]
    with (folder / "log").open("wb") as out:
        worker = subprocess.Popen(command, cwd=ROOT, stdout=out, stderr=out)
    try:
        last = MESSAGES - 1
        came = wait_until(lambda: all(last in read_said(folder).get(name, set()) for name in TOPICS[:4]))
        assert came, (folder / "log").read_text()[-4000:]
        assert wait_until(lambda: "f5.in_hand" in read_said(folder))
        assert wait_until(lambda: offset("f1") == offset("f2") == MESSAGES)
        # Without the pitfall there may never be a commit, and waiting longer would not bring one.
        wait_until(lambda: offset("f3") > 0 and offset("f4") > 0)
        offsets = {name: offset(name) for name in TOPICS[:4]}
        worker.send_signal(signal.SIGTERM)
        worker.wait(WITHIN_S)
        yield Outcome(read_said(folder), {**offsets, "f5": offset("f5")})
    finally:
        worker.kill()
        worker.wait()
        for name in TOPICS:
            admin.delete_topics([f"{prefix}.{name}"], request_timeout=5)[f"{prefix}.{name}"].exception(10)


@pytest.mark.parametrize("name", ["f1", "f3", "f4", "f5"])
def test_plain_faust_commits_what_was_not_dealt_with(outcome: Outcome, name: str) -> None:
    """F1 a batch that raised, F3 a slow head, F4 a batch that raised without acks, F5 a batch in hand at SIGTERM."""
    assert outcome.lost(name), GONE


def test_plain_faust_commits_the_event_that_raised(outcome: Outcome) -> None:
    """F2: iteration goes on behind the poison."""
    assert outcome.lost("f2") == {POISON}, GONE
