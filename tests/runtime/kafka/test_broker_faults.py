"""A real Apache Kafka that is killed, paused, restarted, or out of disk in the middle of the stream.

Method as in the other fault tests: seeded traffic, strikes at seeded instants, then every number is compared.
"""

from __future__ import annotations

import os
import signal
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from runtime.commands.worker import SESSION_TIMEOUT_S
from tests.runtime.faults.compared_stream import STRIKES, must_hold, parts_of, stream_under
from tests.runtime.faults.stack_process import StackProcess, wait_until
from tests.runtime.kafka.small_disk import fill, limit_files, may_mount, small_filesystem

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(420)]

FULL_S = 12.0
ENDS_WITHIN_S = 60.0
LIMITED = "limit on files"
SMALL = "small filesystem"
DISK_SAYS = {LIMITED: "File too large", SMALL: "No space left on device"}


@contextmanager
def stack_on_apache(stack: StackProcess) -> Iterator[StackProcess]:
    """Start it; whatever happens, it leaves no process behind."""
    stack.start()
    try:
        yield stack
    finally:
        stack.stop()


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[StackProcess]:
    """A stack on an Apache Kafka of its own."""
    with stack_on_apache(StackProcess(tmp_path / "home", "apache")) as running:
        yield running


def deaths(stack: StackProcess) -> int:
    """How often the broker ended, in whatever way."""
    lines = (stack.home / "up.log").read_text(errors="replace").splitlines()
    return sum(1 for line in lines if line.split()[:2] == ["died", "kafka"])


def incarnations(stack: StackProcess) -> int:
    """How often the log was made anew, and the first time."""
    with parts_of(stack) as parts, parts.books.connect() as connection:
        return int(connection.exec_driver_sql("SELECT count(*) FROM stream_incarnations").scalar_one())


def test_a_broker_that_is_killed_goes_on_where_it_was(stack: StackProcess) -> None:
    """It comes back with its log, without a journal: nothing is delivered again, and the topic is the same."""
    outcome = stream_under(stack, lambda running: running.kill("kafka"), seed=41)

    must_hold(stack, outcome)
    assert (deaths(stack), incarnations(stack)) == (STRIKES, 1)
    assert not (stack.home / "journal").exists()


def test_a_broker_that_is_restarted_goes_on_where_it_was(stack: StackProcess) -> None:
    """SIGTERM, as an upgrade sends it."""
    outcome = stream_under(stack, lambda running: os.kill(running.pid_of("kafka"), signal.SIGTERM), seed=42)

    must_hold(stack, outcome)
    assert (deaths(stack), incarnations(stack)) == (STRIKES, 1)


def test_a_broker_that_stands_still_for_longer_than_a_session_loses_nothing(stack: StackProcess) -> None:
    """Workers and gateway wait for it, or are thrown out and come back."""

    def strike(running: StackProcess) -> None:
        broker = running.pid_of("kafka")
        os.kill(broker, signal.SIGSTOP)
        time.sleep(SESSION_TIMEOUT_S * 2)
        os.kill(broker, signal.SIGCONT)

    outcome = stream_under(stack, strike, seed=43)

    must_hold(stack, outcome)
    assert (deaths(stack), incarnations(stack)) == (0, 1)


def limit_for_a_while(stack: StackProcess) -> None:
    """Every write to a partition fails, until the broker is a fresh process."""
    before = deaths(stack)
    limit_files(stack)
    wait_until(lambda: deaths(stack) > before, ENDS_WITHIN_S, lambda: "the broker wrote on")


def fill_for_a_while(stack: StackProcess) -> None:
    """Not a byte is left, while the broker ends and is started again in vain; then there is room again."""
    before = deaths(stack)
    ballast = fill(stack, stack.home / "kafka")
    wait_until(lambda: deaths(stack) > before, ENDS_WITHIN_S, lambda: "the broker wrote on")
    time.sleep(FULL_S)
    ballast.unlink()


def ways() -> list[str]:
    """What this machine allows: a limit on files is always possible, a small filesystem where we may mount."""
    with tempfile.TemporaryDirectory() as folder:
        return [LIMITED, *([SMALL] if may_mount(Path(folder) / "small") else [])]


@pytest.mark.parametrize("way", ways())
def test_a_full_disk_loses_nothing(tmp_path: Path, way: str) -> None:
    """The broker ends, the gateway refuses meanwhile; with room again all goes on by itself."""
    home = tmp_path / "home"
    strike, within = {
        LIMITED: (limit_for_a_while, []),
        SMALL: (fill_for_a_while, small_filesystem(home / "kafka")),
    }[way]
    with stack_on_apache(StackProcess(home, "apache", within)) as stack:
        must_hold(stack, stream_under(stack, strike, seed=44))
        assert deaths(stack) >= STRIKES
        assert incarnations(stack) == 1
        said = (home / "logs" / "kafka.log").read_text(errors="replace")
        assert DISK_SAYS[way] in said, said[-3000:]
