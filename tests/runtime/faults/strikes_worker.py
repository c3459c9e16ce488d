"""Strikes at the workers: rows 9 to 15 and 21."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from random import Random

import psutil

from benchmarks.processes import family
from runtime.commands.worker import LEAVE_WITHIN_S
from streams.sink import Moment
from tests.runtime.faults.field import LEASE_S, Field
from tests.runtime.faults.orders import How, Order, give, obeyed_by
from tests.runtime.faults.stack_process import wait_until

WORKER = "tests.runtime.faults.struck_worker"
OPEN = "SELECT partition, first_offset, incarnation FROM stream_blocks WHERE topic = %(topic)s AND state = 'intent'"
STOPPED = {psutil.STATUS_STOPPED, psutil.STATUS_TRACING_STOP}


def strike_at(moments: Sequence[Moment], how: How, says: str) -> Callable[[Field, Random, int], None]:
    """End a worker at a moment between two steps, another of ``moments`` each time; it must end as ``says``."""

    def strike(field: Field, chance: Random, number: int) -> None:
        moment, before, ends = moments[number % len(moments)], field.stack.running("worker"), field.stack.ends_of
        seen = len(ends("worker"))
        # All messages that wait are acknowledged in one go: there may be no second time.
        count = 1 if moment == "after_ack" else chance.randint(1, 3)
        give(field.home, "worker", Order(moment, count, how))
        wait_until(lambda: obeyed_by(field.home, "worker") is not None, 40, lambda: f"no worker came to {moment}")
        field.stack.started_again("worker", before)
        assert ends("worker")[seen:] == [says]

    return strike


def kill_worker(field: Field, _chance: Random, _number: int) -> None:
    """SIGKILL at whatever it is doing."""
    field.stack.end("worker")


def terminate_blocked(field: Field, chance: Random, _number: int) -> None:
    """SIGTERM while ClickHouse does not answer: it leaves in time, and nothing is committed beyond what is sealed."""
    store = family(field.stack.running("clickhouse"))
    for process in store:
        process.suspend()
    try:
        time.sleep(chance.uniform(0.3, 1.0))
        began_s = time.monotonic()
        field.stack.end("worker", signal.SIGTERM)
        assert time.monotonic() - began_s < LEAVE_WITHIN_S + 5
    finally:
        for process in store:
            process.resume()


@contextmanager
def two_workers(field: Field) -> Iterator[str]:
    """A second worker shares the partitions for as long as the row runs."""
    ensure_second(field)
    yield field.settings.gateway_url
    field.dismiss()


def ensure_second(field: Field) -> None:
    """Have two workers in the group."""
    field.extras[:] = [process for process in field.extras if process.poll() is None]
    if not field.extras:
        field.run_beside(WORKER)
    field.wait_for_owners(2)


def freeze_worker(field: Field, chance: Random, number: int) -> None:
    """One of two stops within a block; the other takes over and does the block again; then the first wakes up.

    It goes on where it was, with the same rows under the same tokens, and is told at its next step that it is late.
    """
    moment: Moment = ("after_intent", "after_events", "after_windows")[number % 3]
    give(field.home, "worker", Order(moment, chance.randint(1, 2), "stop"))
    wait_until(lambda: obeyed_by(field.home, "worker") is not None, 40, lambda: f"no worker came to {moment}")
    frozen = obeyed_by(field.home, "worker")
    assert frozen is not None
    zombie = psutil.Process(frozen)
    wait_until(lambda: zombie.status() in STOPPED, 5, lambda: "it goes on")
    wait_until(lambda: str(frozen) not in owner_pids(field), 40, lambda: f"nobody took over:\n{field.stack.log_tail()}")
    zombies = field.rows(OPEN)
    wait_until(
        lambda: not set(zombies) & set(field.rows(OPEN)), 40, lambda: f"{zombies} stay open:\n{field.stack.log_tail()}"
    )
    field.must_be_safe()
    os.kill(frozen, signal.SIGCONT)
    wait_until(lambda: gone(zombie), 40, lambda: f"the zombie goes on:\n{field.stack.log_tail()}")


def owner_pids(field: Field) -> set[str]:
    """The processes that hold partitions."""
    return {owner.rpartition(":")[2] for owner in field.owners().values()}


def gone(process: psutil.Process) -> bool:
    """Whether it ended; our own children stay as zombies of another kind until somebody waits for them."""
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def come_and_go(field: Field, chance: Random, _number: int) -> None:
    """Two more workers join; one leaves in order, the other by force: four changes of the group in a few seconds."""
    joined: list[subprocess.Popen[bytes]] = []
    for _ in range(2):
        joined.append(field.run_beside(WORKER))
        time.sleep(chance.uniform(0.2, LEASE_S[field.log] / 2))
    time.sleep(chance.uniform(0.5, LEASE_S[field.log]))
    chance.shuffle(joined)
    joined[0].terminate()
    time.sleep(chance.uniform(0.2, 1.5))
    joined[1].kill()
    for process in joined:
        process.wait(20)
        field.extras.remove(process)


def harm_key_files(field: Field, chance: Random, number: int) -> None:
    """Delete, damage, or put back an old copy of the dedupe index's files, then kill the worker that has them."""
    folder = field.home / "dedupe" / field.settings.topic
    copy = field.home / "dedupe-copy"
    wait_until(lambda: bool(key_files(folder)), 30, lambda: "there are no key files")
    if number == 0:
        shutil.copytree(folder, copy, dirs_exist_ok=True)
        for path in chance.sample(key_files(folder), k=max(1, len(key_files(folder)) // 2)):
            path.unlink(missing_ok=True)
    elif number == 1:
        for path in key_files(folder):
            damage(path, chance)
    else:
        shutil.rmtree(folder)
        shutil.copytree(copy, folder)
    field.stack.end("worker")


def key_files(folder: Path) -> list[Path]:
    """The segments of all partitions."""
    return sorted(folder.rglob("*.keys"))


def damage(path: Path, chance: Random) -> None:
    """Change one byte."""
    try:
        contents = bytearray(path.read_bytes())
        contents[chance.randrange(len(contents))] ^= 1 << chance.randrange(8)
        path.write_bytes(contents)
    except FileNotFoundError:
        return
